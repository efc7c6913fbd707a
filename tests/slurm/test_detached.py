"""Sweeps that nobody waits for, on a real scheduler: submitted, followed, killed, resumed, gathered."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lookalike.sweep.ledger import Ledger
from tests.pipeline.conftest import paint
from tests.slurm.conftest import Cluster, Site, eventually
from tests.tracking.snapshots import families

SUBMIT_SECONDS = 10.0
"""Processor time of a detached submission beyond the program's own start: more would mean that it does work
that belongs to jobs. Its wall time, at most 5 s, is measured by benchmarks/slurm_overhead.py.
"""
TWELVE = ("index=ivf_flat", "index.nlist=4,8,16", "search.nprobe=[1,2],[3,4]")


def detached(site: Site, name: str, *overrides: str) -> list[str]:
    return site.sweep("tracking=local", "sweep.detach=true", f"sweep.name={name}", *overrides)


def sweep_verb(site: Site, verb: str, name: str, *options: str) -> subprocess.CompletedProcess[str]:
    return site.run([sys.executable, "-m", "lookalike", "sweep", verb, name, *options])


def counts(site: Site, name: str) -> dict[str, int]:
    return dict(status(site, name)["counts"])


def status(site: Site, name: str) -> dict[str, Any]:
    asked = sweep_verb(site, "status", name, "--json")
    assert asked.returncode == 0, asked.stderr
    shown: dict[str, Any] = json.loads(asked.stdout)
    return shown


def queued(cluster: Cluster) -> set[str]:
    """Numbers of the jobs and arrays that are not over."""
    return set(cluster.call("squeue", "--noheader", "--format=%F").split())


def job_of(site: Site, name: str, phase: str) -> str:
    """The number of the last submission of a phase."""
    submissions = Ledger.load(site.home / "multirun" / name).submissions
    return [each.job_id for each in submissions if each.phase == phase][-1]


def seconds_of(site: Site, command: Sequence[str]) -> float:
    """What a command costs the processors: the clock on the wall counts other people's work as well."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ended = site.run(command)
    assert ended.returncode == 0, ended.stderr
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_twelve_points_killed_half_way_and_gone_on_with(site: Site) -> None:
    command = detached(site, "twelve", *TWELVE)
    verb = command.index("run") + 1
    composing = [*command[:verb], *(part for part in command[verb:] if part not in ("-m", *TWELVE[1:]))]
    start_up = seconds_of(site, [*composing, "--cfg", "job"])
    assert seconds_of(site, command) - start_up <= SUBMIT_SECONDS
    assert not list(site.home.glob("multirun/twelve/*/record.json")), "it waits for nothing"
    assert families(site.home) == (["RUNNING"], Counter())
    assert site.run(command).returncode == 2, "SLURM has it already"

    _kill_half_way(site, "twelve")
    before = counts(site, "twelve")
    assert before["done"] >= 2
    assert before["lost"] >= 2
    assert sum(before.values()) == 12
    kept = {path: path.read_bytes() for path in site.home.glob("multirun/twelve/*/points/*.npz")}

    again = site.run(command)
    assert again.returncode == 0, again.stderr
    assert f"twelve: 12 points: {before['done']} done, " in again.stderr
    assert site.cluster.wait_for_end(job_of(site, "twelve", "collect")) == "COMPLETED"
    assert counts(site, "twelve") == {"done": 12}
    assert families(site.home) == (["FINISHED"], Counter(FINISHED=12))
    assert {path: path.read_bytes() for path in kept} == kept
    assert sweep_verb(site, "collect", "twelve").returncode == 0
    assert families(site.home) == (["FINISHED"], Counter(FINISHED=12))


def _kill_half_way(site: Site, name: str) -> None:
    """scancel the timing array once two of its jobs are done, and the collector with it."""
    array, collector = job_of(site, name, "time"), job_of(site, name, "collect")
    eventually("two jobs done", lambda: len(list(site.home.glob(f"multirun/{name}/*/record.json"))) >= 2)
    site.cluster.call("scancel", array, collector)
    eventually("an end of them", lambda: not {array, collector} & queued(site.cluster))


def test_a_failing_point_ends_as_failed_everywhere(site: Site) -> None:
    for folder in ("good", "bad"):
        for number in range(8):
            paint(site.home / folder / f"{number}.png", number)
    for picture in (site.home / "bad").iterdir():
        picture.write_bytes(b"no picture")
    roots = f"dataset.root={site.home / 'good'},{site.home / 'bad'}"
    only = ("dataset=folder", roots, "model=pixels", "queries=in_gallery", "queries.n=5", "index=flat")
    submitted = site.run(detached(site, "half", *only))
    assert submitted.returncode == 0, submitted.stderr

    collector = job_of(site, "half", "collect")
    assert site.cluster.wait_for_end(collector) == "FAILED"
    assert site.cluster.field(collector, "ExitCode") == "1:0"
    assert families(site.home) == (["FAILED"], Counter(FINISHED=1, FAILED=1))
    shown = status(site, "half")
    assert shown["counts"] == {"done": 1, "failed": 1}
    [failed] = [point for point in shown["points"] if point["state"] == "failed"]
    assert "8 of 8 images" in failed["why"]
    assert Path(failed["log"]).is_file()
    told = sweep_verb(site, "status", "half").stdout
    assert failed["why"].splitlines()[0] in told
    assert failed["log"] in told
    gathered = sweep_verb(site, "collect", "half")
    assert gathered.returncode == 1
    assert "failed: " in gathered.stdout
    assert "failed" in (site.home / "multirun/half/comparison.md").read_text()


def test_a_cancelled_sweep_leaves_nothing_in_the_queue(site: Site, cluster: Cluster) -> None:
    site.run(detached(site, "gone", "index=flat"))
    jobs = {each.job_id for each in Ledger.load(site.home / "multirun/gone").submissions}
    assert len(jobs) == 3

    cancelled = sweep_verb(site, "cancel", "gone")
    assert cancelled.returncode == 0, cancelled.stderr
    assert not jobs & queued(cluster)
    assert families(site.home)[0] == ["KILLED"]
    assert counts(site, "gone") == {"lost": 1}

    assert sweep_verb(site, "retry", "gone").returncode == 0
    assert cluster.wait_for_end(job_of(site, "gone", "collect")) == "COMPLETED"
    assert families(site.home) == (["FINISHED"], Counter(FINISHED=1))
