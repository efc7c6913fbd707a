"""What is handed to SLURM, with an sbatch that only answers. tests/slurm has a real one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lookalike.sweep.ledger import COLLECT, FINAL, LedgerJob
from lookalike.sweep.slurm.submission import Cluster
from tests.sweep.slurm.test_queue import make_command


@pytest.mark.parametrize("existing", [False, True])
def test_folders_of_submitted_jobs_are_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, existing: bool
) -> None:
    """Who could write the pickles would run code as the user; and they hold the whole configuration."""
    make_command(tmp_path, "sbatch", "echo Submitted batch job 7")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    before = os.umask(0o002)  # a group that shares its files
    try:
        sweep = tmp_path / "multirun" / "mine"
        sweep.mkdir(parents=True)
        if existing:  # made by an older version
            (sweep / ".submitit").mkdir()
        cluster = Cluster({"timeout_min": 5}, folder=sweep / ".submitit" / "%j")
        job = LedgerJob("flat", ["index=flat"], [], {}, "b")
        cluster.submit_phases([job], print, lambda jobs, phase: [(phase,) for _ in jobs])
        cluster.submit_command(["true"], COLLECT, after=["7"])
        (sweep / "shared").mkdir()
    finally:
        assert os.umask(before) == 0o002, "what comes after is shared as before"
    private = [sweep / ".submitit", *(sweep / ".submitit").rglob("*")]
    assert {oct(path.stat().st_mode & 0o077) for path in private} == {"0o0"}
    assert any(path.suffix == ".pkl" for path in private)
    assert (sweep / "shared").stat().st_mode & 0o777 == 0o775


def test_a_store_that_a_group_shares_stays_readable(tmp_path: Path) -> None:
    from lookalike.store.recipe import Recipe
    from lookalike.store.store import Store

    before = os.umask(0o002)
    try:
        store = Store(tmp_path / "store")
        store.obtain(Recipe("index", 1, {}, {}), lambda draft: (draft / "data").write_bytes(b"x") and None)
    finally:
        os.umask(before)
    modes = {path: path.stat().st_mode for path in (store.root, *store.root.rglob("*"))}
    assert all(mode & 0o060 == 0o060 for mode in modes.values()), modes


def test_a_final_timing_gets_what_jobs_that_are_timed_get(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_command(tmp_path, "sbatch", "echo Submitted batch job 7")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    timing = {"exclusive": True, "cpus_per_task": 8}
    cluster = Cluster({"timeout_min": 5, "cpus_per_task": 2}, {"time": timing}, tmp_path / ".submitit" / "%j")

    submission = cluster.submit_command(["time", "it"], FINAL, after=["5", "6"])

    assert (submission.phase, submission.job_id, submission.tasks) == ("final", "7", [])
    script = (tmp_path / ".submitit/7/7_submission.sh").read_text()
    assert "#SBATCH --dependency=afterany:5:6" in script
    assert "#SBATCH --exclusive" in script
    assert "#SBATCH --cpus-per-task=8" in script
    [command] = [line for line in script.splitlines() if line.startswith("srun ")]
    assert command.endswith("--ntasks=1 --cpus-per-task=8 time it"), "as many processors as the jobs had"
