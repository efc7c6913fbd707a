"""From a measured point back to its images; who has none is not asked to make everything again."""

from __future__ import annotations

from pathlib import Path

from lookalike.config.composing import compose
from lookalike.report.losses import write_losses
from tests import records


def test_made_up_vectors_have_no_page_and_are_not_made_for_it(tmp_path: Path) -> None:
    experiment = compose(["dataset=synthetic", "queries=held_out", f"paths.root={tmp_path}"])
    record = records.make_sweep()[0]
    measured = (record, record.points[0])
    assert write_losses(experiment, measured, run_folder=tmp_path, folder=tmp_path) is None
    assert list(tmp_path.iterdir()) == []
