"""How sweeps end that do not go well, or that nobody waits for."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.slurm.conftest import Site, eventually, save_vectors, submitted

HELD = "+hydra.launcher.additional_parameters.hold=true"
"""Jobs stay in the queue until somebody lets them go."""


def read(path: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(path.read_bytes())
    return record


def records(site: Site, sweep: str) -> dict[str, dict[str, Any]]:
    """Record of each job by the start of its folder's name."""
    paths = (site.home / "multirun" / sweep).glob("*/record.json")
    return {path.parent.name.rpartition("-")[0]: json.loads(path.read_bytes()) for path in paths}


def test_a_job_that_fails_is_failed_for_slurm_too(site: Site) -> None:
    good, bad = site.home / "good", site.home / "bad"
    for folder in (good, bad):  # that a vector is not a number shows only when it is read
        folder.mkdir()
        save_vectors(folder / "v.npy", 200, 16)
    np.save(bad / "v.npy", np.full((200, 16), np.nan, np.float32))

    ended = site.run(site.sweep(f"dataset.root={good},{bad}", "index=flat", "sweep.name=mixed"))

    assert ended.returncode == 1
    paths = (site.home / "multirun" / "mixed").glob("*/record.json")
    states = {record["config"]["dataset"]["root"]: record["status"] for record in map(read, paths)}
    assert states == {str(good): "finished", str(bad): "failed"}
    time = submitted(ended.stderr)["time"]
    by_slurm = [site.cluster.wait_for_end(f"{time}_{number}") for number in (0, 1)]
    assert by_slurm == ["COMPLETED", "FAILED"]


def test_a_job_that_slurm_ends_is_told_apart(site: Site) -> None:
    sweep = site.start(
        site.sweep("index=flat", "search.k=3,4", "hydra.launcher.array_parallelism=1", "sweep.name=cut")
    )
    folder = site.home / "multirun" / "cut" / ".submitit"
    array = eventually("the timing array", lambda: arrays(folder))
    first = f"{array}_0"
    eventually("the first at work", lambda: site.cluster.field(first, "JobState") == "RUNNING")
    site.cluster.call("scancel", first)
    sweep.communicate(timeout=200)

    assert sweep.returncode == 1
    found = records(site, "cut")
    assert [found[f"search.k={k}"]["status"] for k in (3, 4)] == ["failed", "finished"]
    assert f"SLURM job {first} left no result (cancelled)" in found["search.k=3"]["error"]
    assert f"{first}_0_log.err" in found["search.k=3"]["error"]


def arrays(folder: Path) -> str | None:
    """Number of the array whose second task waits to be timed: the one that was submitted last."""
    found = sorted(int(path.name.partition("_")[0]) for path in folder.glob("*_1"))
    return str(found[-1]) if len(found) > 1 else None


@pytest.mark.slow  # SLURM counts time in minutes
def test_a_job_that_runs_out_of_time_says_so(site: Site) -> None:
    save_vectors(site.vectors / "v.npy", 200_000, 64)
    slow = ("index=hnsw", "index.ef_construction=800", "index.hnsw_m=64", "search.ef_search=16")
    limits = ("hydra.launcher.timeout_min=1", "hydra.launcher.max_num_timeout=0")

    ended = site.run(site.sweep(*slow, *limits, "sweep.name=late"))

    assert ended.returncode == 1
    [record] = records(site, "late").values()
    assert record["status"] == "failed"
    assert record["error"].startswith("timed out: SLURM gave it no more time")
    status = site.run([sys.executable, "-m", "lookalike", "sweep", "status", "late", "--json"])
    [point] = json.loads(status.stdout)["points"]
    assert point["state"] == "timed out"


def test_ctrl_c_takes_all_jobs_back(site: Site) -> None:
    sweep = site.start(site.sweep("index=flat", "search.k=3,4", HELD))
    orders = (site.home / "multirun").glob
    eventually("two builds, two to time", lambda: len(list(orders("*/*/.submitit/*_*/*_submitted.pkl"))) == 4)
    assert len(site.jobs()) == 2
    sweep.send_signal(signal.SIGINT)
    _, said = sweep.communicate(timeout=60)

    assert sweep.returncode == 130, said
    eventually("an empty queue", lambda: not site.jobs())


def test_a_detached_sweep_returns_while_its_jobs_wait(site: Site) -> None:
    ended = site.run(
        site.sweep("index=ivf_flat", "index.nlist=2,4", "sweep.detach=true", "sweep.name=left", HELD)
    )

    assert ended.returncode == 0, ended.stderr
    ledger = json.loads((site.home / "multirun/left/sweep.json").read_bytes())
    jobs = {each["phase"]: each["job_id"] for each in ledger["submissions"]}
    try:
        assert list(jobs) == ["build", "time", "collect"]
        states = [site.cluster.field(job, "JobState") for job in jobs.values()]
        assert states == ["PENDING"] * 3
        waits_for = [site.cluster.field(jobs[phase], "Dependency") for phase in ("time", "collect")]
        assert waits_for[0].startswith(f"afterany:{jobs['build']}_")
        assert waits_for[1].startswith(f"afterany:{jobs['time']}_")
    finally:
        site.cluster.call("scancel", *jobs.values())


def test_a_detached_sweep_is_collected(site: Site) -> None:
    left = site.run(site.sweep("index=flat", "search.k=3,4", "sweep.detach=true", "sweep.name=left"))
    assert left.returncode == 0, left.stderr
    folder = site.home / "multirun" / "left"
    ledger = json.loads((folder / "sweep.json").read_bytes())

    assert site.cluster.wait_for_end(ledger["submissions"][-1]["job_id"]) == "COMPLETED"
    assert {record["status"] for record in records(site, "left").values()} == {"finished"}
    assert "search.k=3" in (folder / "comparison.md").read_text() or (folder / "report.html").exists()


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("hydra.launcher.partition=nowhere", "SLURM refuses such jobs (Invalid partition name specified)"),
        ("hydra.launcher.timing.constraint=epyc", "SLURM refuses such jobs (Invalid feature specification)"),
        ("hydra.launcher.mem_gb=1000000", "SLURM refuses such jobs"),
        ("hydra.launcher.timeout_min=2h", "hydra.launcher.timeout_min=2h must be a number"),
        ("hydra.launcher.build.timeout_min=-1", "hydra.launcher.build.timeout_min=-1 must be a number"),
        ("hydra.launcher.partitoin=main", "did you mean partition?"),
    ],
)
def test_what_slurm_would_refuse_is_refused_before_anything_is_done(
    site: Site, override: str, reason: str
) -> None:
    ended = site.run(site.sweep("index=flat", override))

    assert ended.returncode == 2
    [line] = ended.stderr.splitlines()
    assert line.startswith("error: ")
    assert reason in line
    assert not (site.home / "multirun").exists()
    assert not site.jobs()


def test_without_submitit_the_launcher_says_what_to_install(site: Site) -> None:
    hide = "import sys; sys.modules['submitit'] = None; from lookalike.cli import main; sys.exit(main())"
    command = site.sweep("index=flat")

    ended = site.run([sys.executable, "-c", hide, *command[3:]])

    assert ended.returncode == 2
    assert ended.stderr.startswith("error: submitit is not installed")
    assert "pip install 'lookalike[slurm]'" in ended.stderr


def test_away_from_the_cluster_the_launcher_says_where_to_go(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(site.home))

    ended = site.run(site.sweep("index=flat"))

    assert ended.returncode == 2
    assert ended.stderr.startswith("error: there is no sbatch here")
