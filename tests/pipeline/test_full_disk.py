"""A disk that fills up: an error with a cure, nothing by halves, and nothing lost."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipeline.command_line import QUICK, Run, drafts
from tests.pipeline.inputs import images, random_vectors, vectors
from tests.services import in_own_mounts

FULL_DISK = """\
set -u
disk=$1 size=$2; shift 2
mount -t tmpfs -o size=$size tmpfs "$disk" || exit 99
"$@"; code=$?
(cd "$disk" && find . -type f) | sort
mount -o remount,size=64m "$disk"
"$@" >&2; echo "$code $?"
"""
"""Runs a command on a small disk, lists what it left, and runs it again with room; prints both exit codes."""


NO_ROOM_FOR_A_SWEEP = """\
set -u
disk=$1 size=$2; shift 2
mount -t tmpfs -o $size tmpfs "$disk" || exit 99
timeout 120 "$@" tracking=local >&2; code=$?
find "$disk" -name '.*.db.*' -o -name '*.csv' -size 0
mount -o remount,size=64m,nr_inodes=100k "$disk"
"$@" tracking=local >&2; again=$?
mount -o remount,ro "$disk"
"$1" -m lookalike report --root "$disk" --filter "metrics.knn_recall_at_1 >= 0" --out "$disk/../page.html" >&2
"$1" - "$disk/mlruns/mlflow.db" <<'EOF'
import sqlite3, sys
query = "SELECT count(*) FROM runs WHERE status = 'RUNNING'"
print("running", *sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True).execute(query).fetchone())
EOF
echo "$code $again"
"""
"""Runs a sweep on a small disk, then goes on with room, then reads it where nothing can be written."""


@pytest.mark.mounts
@pytest.mark.parametrize("size", ["size=64m,nr_inodes=64", "size=1400k"], ids=["inodes", "bytes"])
def test_a_sweep_without_room_ends_in_sentences_and_goes_on_when_there_is_some(
    tmp_path: Path, size: str
) -> None:
    """Nothing hangs in retries, nothing ends in a traceback, and nothing stays RUNNING."""
    disk = tmp_path / "disk"
    disk.mkdir()
    overrides = [*QUICK[:-1], *vectors(tmp_path, random_vectors(400, 64))]
    command = [sys.executable, "-m", "lookalike", "run", "-m", f"paths.root={disk}", *overrides]
    command += ["sweep.name=small", "index=flat,hnsw"]
    done = subprocess.run(
        [*in_own_mounts(), "sh", "-c", NO_ROOM_FOR_A_SWEEP, "sh", str(disk), size, *command],
        capture_output=True,
        text=True,
        check=False,
    )
    *left, running, codes = done.stdout.splitlines()
    code, again = codes.split()
    assert code in "12" and again == "0", done
    assert (left, running) == ([], "running 0"), done
    assert "Traceback" not in done.stderr
    assert "No space left on device" in done.stderr or "is full" in done.stderr
    assert (tmp_path / "page.html").exists(), done


@pytest.mark.mounts
@pytest.mark.parametrize(
    ("size", "kept"),
    [
        pytest.param("48k", [], id="embeddings"),
        pytest.param("2500k", ["difficulty", "embeddings", "exact", "queries"], id="index"),
    ],
)
def test_a_full_disk_publishes_nothing_by_halves(tmp_path: Path, size: str, kept: list[str]) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    overrides = [*vectors(tmp_path, random_vectors(2000, 256)), "dataset.normalize=true"]  # not in place
    command = [sys.executable, "-m", "lookalike", "run", f"paths.root={disk}", *QUICK, *overrides]

    done = subprocess.run(
        [*in_own_mounts(), "sh", "-c", FULL_DISK, "sh", str(disk), size, *command],
        capture_output=True,
        text=True,
        check=False,
    )

    *left, codes = done.stdout.splitlines()
    assert codes == "2 0", done
    assert "Traceback" not in done.stderr
    [refusal] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert re.search(r"the disk \(or quota\) of the store in \S+disk/store is full, .*; free some", refusal)
    published = {path.split("/")[3] for path in left if path.startswith("./store/artifacts/")}
    assert sorted(published) == kept
    assert not [path for path in left if path.startswith("./store/scratch/")]
    again = done.stderr.partition(refusal)[2].splitlines()
    assert [line for line in again if line.endswith(": reused")] == [
        f"{stage}: reused" for stage in ("embeddings", "queries", "exact") if stage in kept
    ]


def test_a_disk_that_fills_up_under_the_results_leaves_none(
    run: Run, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = images(tmp_path)
    real = os.fsync

    def full(descriptor: int) -> None:
        if "record.json" in Path(f"/proc/self/fd/{descriptor}").readlink().name:
            raise OSError(28, os.strerror(28))
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        refusal = run(*overrides).refusal()
    assert re.search(
        r"results cannot be written to \S+ \(No space left on device\); free some space", refusal
    )
    assert not (home / "outputs").exists()
    assert drafts(home) == []
    assert run(*overrides).code == 0
