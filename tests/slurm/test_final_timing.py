"""The final timing on a real scheduler: a job of its own after the others, waited for or in the chain."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tests.slurm.conftest import Site
from tests.slurm.test_detached import detached, job_of, status, sweep_verb

INDEXES = (
    *("index=ivf_flat", "index.nlist=4,5", "search.nprobe=4"),  # as quick as each other, nearly as exact
    *("search.modes=[single,batch]", "search.repeats=5", "sweep.final_timing=true"),
)


def records(site: Site, sweep: str) -> list[dict[str, Any]]:
    found = (site.home / "multirun" / sweep).glob("*/record.json")
    return [json.loads(path.read_bytes()) for path in found]


def check_timed_together(site: Site, sweep: str, job: str) -> None:
    """Whether both points were timed in one job, after those that measured them."""
    first, second = records(site, sweep)
    assert first["final_timing"] == second["final_timing"]
    assert first["final_timing"]["slurm_job"] == job
    assert first["final_timing"]["points"] == 2
    assert first["final_timing"]["when"] > max(first["finished"], second["finished"])
    for record in (first, second):
        [point] = record["points"]
        assert point["metrics"]["final_latency_single_p50_ms"] > 0
        threads = {name: point[name]["batch"]["threads"] for name in ("latency", "final_latency")}
        assert threads["final_latency"] == threads["latency"], "it has the processors that the jobs had"
    report = (site.home / "multirun" / sweep / "comparison.md").read_text()
    assert f"timed together afterwards on {first['environment']['hostname']}, 2 points" in report


def test_a_sweep_that_waits_has_it_done_on_a_node(site: Site) -> None:
    ended = site.run(site.sweep(*INDEXES, "sweep.name=attached"))

    assert ended.returncode == 0, ended.stderr
    [job] = re.findall(r"SLURM: 1 to final \((\d+)\)", ended.stderr)
    check_timed_together(site, "attached", job)
    assert "timed together afterwards" in ended.stdout
    script = site.home / f"multirun/attached/.submitit/{job}/{job}_submission.sh"
    assert "--job-name=lookalike-final" in script.read_text()


def test_a_detached_sweep_has_it_before_the_collector(site: Site) -> None:
    submitted = site.run(detached(site, "chain", *INDEXES))
    assert submitted.returncode == 0, submitted.stderr
    assert "2 points in 2 jobs and a final timing" in submitted.stderr
    final, collector = job_of(site, "chain", "final"), job_of(site, "chain", "collect")
    assert dependency_of(site, final) == f"afterany:{job_of(site, 'chain', 'time')}"
    assert dependency_of(site, collector).split(",")[-1].endswith(final)

    assert site.cluster.wait_for_end(collector) == "COMPLETED"

    assert site.cluster.field(final, "JobState") == "COMPLETED"
    check_timed_together(site, "chain", final)
    shown = status(site, "chain")
    assert shown["counts"] == {"done": 2}
    assert (shown["final_timing"]["state"], "2 points together" in shown["final_timing"]["why"]) == (
        "done",
        True,
    )
    assert (
        sweep_verb(site, "status", "chain").stdout.splitlines()[-1].startswith("final timing: done (2 points")
    )


def dependency_of(site: Site, job: str) -> str:
    """As it was asked for: SLURM forgets those that are fulfilled."""
    script = Path(site.home, f"multirun/chain/.submitit/{job}/{job}_submission.sh").read_text()
    return re.findall(r"--dependency=(\S+)", script)[0]
