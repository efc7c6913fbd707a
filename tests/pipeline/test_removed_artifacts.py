"""Artifacts that are removed while a run uses them: pruned, they stay; removed by hand, they are built."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lookalike.runs.record import FINISHED, Record
from lookalike.store import upkeep
from lookalike.store.store import Store
from tests.notes import Notes
from tests.pipeline.command_line import QUICK
from tests.pipeline.conftest import RunOf, outcomes
from tests.pipeline.inputs import few_pictures


class Removing(Notes):
    """Removes the artifacts of a kind when a stage has said that it is done, once."""

    def __init__(self, store: Path, kind: str, after: str) -> None:
        super().__init__()
        self.store, self.kind, self.after = store, kind, after

    def say(self, line: str) -> None:
        super().say(line)
        if self.after and line.startswith(f"{self.after}:"):
            shutil.rmtree(self.store / "artifacts" / self.kind)
            self.after = ""


@pytest.mark.parametrize(
    ("kind", "after"),
    [("embeddings", "embeddings"), ("embeddings", "queries"), ("index", "index"), ("index", "serving")],
)
def test_what_was_removed_by_hand_is_built_again(
    run_of: RunOf, tmp_path: Path, kind: str, after: str
) -> None:
    expected = run_of()
    notes = Removing(tmp_path / "store", kind, after)
    record = run_of(notes)
    assert record.status == FINISHED
    assert [point.curves for point in record.points] == [point.curves for point in expected.points]
    assert list(outcomes(record)) == list(outcomes(expected)), "each stage is in the record once"


KINDS = ("difficulty", "embeddings", "exact", "index", "serving", "trained")


def test_a_run_loses_nothing_to_those_who_prune_beside_it(tmp_path: Path) -> None:
    """As ``lookalike store prune --kind … --yes`` does it, over and over until the run is done."""
    home = tmp_path / "home"
    pictures = few_pictures(tmp_path / "pictures")
    command = [sys.executable, "-m", "lookalike", "run", f"paths.root={home}", *QUICK]
    command += [
        "index=ivf_flat",
        "index.nlist=2",
        "search.nprobe=1",
        "dataset=folder",
        f"dataset.root={pictures}",
    ]
    command += ["queries.n=3"]
    for _ in range(2):  # builds all, then reuses what is left of it
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while process.poll() is None:
            if (home / "store" / "format.json").exists():
                upkeep.prune(Store(home / "store"), kinds=KINDS, dry_run=False)
            time.sleep(0.002)
        out, err = process.communicate()
        assert process.returncode == 0, out + err
    records = [Record.load(path) for path in sorted(home.glob("outputs/*/*/record.json"))]
    assert [record.status for record in records] == [FINISHED, FINISHED]
