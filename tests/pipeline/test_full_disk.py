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


def in_own_mounts() -> list[str]:
    """How to run something whose mounts nobody else sees; root needs no user namespace for that."""
    as_root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", "--mount", *as_root, "sh", "-c", FULL_DISK, "sh"]


@pytest.mark.skipif(sys.platform != "linux", reason="tmpfs and mount namespaces are Linux's")
@pytest.mark.parametrize(
    ("size", "kept"),
    [
        pytest.param("48k", [], id="embeddings"),
        pytest.param("2500k", ["embeddings", "exact", "queries"], id="index"),
    ],
)
def test_a_full_disk_publishes_nothing_by_halves(tmp_path: Path, size: str, kept: list[str]) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    overrides = vectors(tmp_path, random_vectors(2000, 256))
    command = [sys.executable, "-m", "lookalike", "run", f"paths.root={disk}", *QUICK, *overrides]

    done = subprocess.run(
        [*in_own_mounts(), str(disk), size, *command], capture_output=True, text=True, check=False
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
