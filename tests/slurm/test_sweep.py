"""A whole sweep through the scheduler: built once, timed alone, tracked under one parent."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run

from tests.slurm.conftest import Site, submitted


def test_twelve_points_over_nlist_and_nprobe(site: Site) -> None:
    ended = site.run(
        site.sweep(
            "index=ivf_flat",
            "index.nlist=4,8,16",
            "search.nprobe=[1,2],[3,4]",
            "tracking=local",
            "hydra.launcher.timing.exclusive=true",
            "sweep.name=twelve",
        )
    )

    assert ended.returncode == 0, ended.stderr
    assert "12 points in 6 jobs" in ended.stderr
    jobs = submitted(ended.stderr)
    records = [
        json.loads(path.read_bytes()) for path in (site.home / "multirun/twelve").glob("*/record.json")
    ]
    _check_built_once(site, jobs["build"], records)
    _check_timed_alone(site, jobs["time"], records)
    _check_tracked(site)


def _check_built_once(site: Site, job: str, records: list[dict[str, Any]]) -> None:
    assert len(site.artifacts("index")) == len(site.artifacts("trained")) == 3
    assert len(site.artifacts("exact")) == len(site.artifacts("embeddings")) == 1
    logs = site.logs(job, "twelve")
    assert len(logs) == 3, "one build job for each index, whatever is asked of it"
    assert all("index: built" in log for log in logs)
    assert sum("exact: built" in log for log in logs) == 1
    assert len(records) == 6
    assert {stage["outcome"] for record in records for stage in record["stages"]} == {"reused"}


def _check_timed_alone(site: Site, job: str, records: list[dict[str, Any]]) -> None:
    assert site.cluster.field(job, "OverSubscribe") == "NO"
    spans = sorted((record["started"], record["finished"]) for record in records)
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(spans))
    assert len({record["environment"]["slurm_job"] for record in records}) == 6
    assert all(record["environment"]["cpuset"] for record in records)
    assert len(list((site.home / "multirun/twelve/.submitit").glob(f"{job}_*/*_result.pkl"))) == 6, (
        "a node for itself, and still one process"
    )


def _check_tracked(site: Site) -> None:
    client = MlflowClient(f"sqlite:///{site.home / 'mlruns' / 'mlflow.db'}")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    runs: list[Run] = list(client.search_runs(experiments))
    children = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    [parent] = [run for run in runs if run not in children]
    assert len(children) == 12
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    assert {run.info.status for run in runs} == {"FINISHED"}
    settings = {(run.data.params["nlist"], run.data.params["nprobe"]) for run in children}
    assert settings == {(str(n), str(p)) for n in (4, 8, 16) for p in (1, 2, 3, 4)}
