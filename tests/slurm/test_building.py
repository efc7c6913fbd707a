"""Two sweeps that need the same index, and what may become of the one that is building it."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.slurm.conftest import Site, eventually, save_vectors, submitted, suspend, wake

LONG_BUILD = ("index=hnsw", "index.ef_construction=800", "index.hnsw_m=48", "search.ef_search=16")
"""Takes seconds on 5,000 vectors: long enough to do something to it."""


@dataclass
class Meeting:
    """One sweep whose builder is suspended in the middle of its work, another that waits for it."""

    site: Site
    builder: subprocess.Popen[str]
    waiter: subprocess.Popen[str]
    owner: dict[str, Any]
    """Who builds: ``pid``, and ``job``, SLURM's number of its task."""
    lease: Path

    def results(self) -> dict[str, str]:
        """What both sweeps said in the end: neither fails, whatever happened to a build job."""
        said = {}
        for name, process in (("builder", self.builder), ("waiter", self.waiter)):
            _, said[name] = process.communicate(timeout=300)
            assert process.returncode == 0, said[name]
        return said

    def build_log(self, name: str, said: dict[str, str]) -> str:
        [log] = self.site.logs(submitted(said[name])["build"], name)
        return log


@pytest.fixture
def meeting(site: Site) -> Meeting:
    save_vectors(site.vectors / "v.npy", 5_000, 64)
    builder = site.start(site.sweep(*LONG_BUILD, "sweep.name=builder"))
    owner = eventually("an index in the making", lambda: index_builder(site))
    assert isinstance(owner, dict)
    suspend(owner["pid"])
    waiter = site.start(site.sweep(*LONG_BUILD, "sweep.name=waiter"))
    eventually("the second sweep waits", lambda: waits(site, "waiter"))
    assert not site.artifacts("index")
    return Meeting(site, builder, waiter, owner, owner["lease"])


def index_builder(site: Site) -> dict[str, Any] | None:
    """The owner of the lease on the index, while it is being built: the neighbours are made before it."""
    if not site.artifacts("exact") or site.artifacts("index"):
        return None
    for lease in (site.store / "leases").glob("*"):
        try:
            owner: dict[str, Any] = json.loads(lease.read_bytes())["owner"]
        except (OSError, ValueError):  # just gone, or just being written
            continue
        if list((site.store / "scratch").glob(f"{lease.name}.*.draft")):
            return owner | {"lease": lease}
    return None


def waits(site: Site, sweep: str) -> bool:
    logs = (site.home / "multirun" / sweep).glob(".submitit/*/*_log.err")
    return any("waiting for" in log.read_text() for log in logs)


def test_two_sweeps_build_their_index_once(meeting: Meeting) -> None:
    wake(meeting.owner["pid"])

    said = meeting.results()

    assert "index: built" in meeting.build_log("builder", said)
    assert "index: reused" in meeting.build_log("waiter", said)
    assert len(meeting.site.artifacts("index")) == 1


def test_a_killed_builder_is_replaced(meeting: Meeting) -> None:
    job = meeting.owner["job"]
    step = f"{job}.0"  # of a whole job SLURM would make a cancellation, which wakes it up and gives it time
    meeting.site.cluster.call("scancel", "--signal=KILL", step)

    said = meeting.results()

    assert meeting.site.cluster.wait_for_end(job) in ("CANCELLED", "FAILED")
    assert "index: built" in meeting.build_log("waiter", said)
    assert len(meeting.site.artifacts("index")) == 1
    assert verified(meeting.site)


def test_a_suspended_builder_that_wakes_up_does_no_harm(meeting: Meeting) -> None:
    shorten(meeting.lease, seconds=1.0)
    eventually("the index, by the second sweep", lambda: meeting.site.artifacts("index"))
    [index] = meeting.site.artifacts("index")
    manifest = (index / "manifest.json").read_bytes()
    wake(meeting.owner["pid"])

    said = meeting.results()

    assert "index: built" in meeting.build_log("waiter", said)
    assert "index: " in meeting.build_log("builder", said)
    assert meeting.site.artifacts("index") == [index]
    assert (index / "manifest.json").read_bytes() == manifest, "who comes late keeps what is there"
    assert not list((meeting.site.store / "leases").glob("*"))
    assert verified(meeting.site)


def shorten(lease: Path, seconds: float) -> None:
    """Let a lease run out soon without a heartbeat, as if its owner had slept for two minutes."""
    content = json.loads(lease.read_bytes())
    before = lease.stat().st_ino
    lease.write_text(json.dumps(content | {"seconds": seconds}))
    assert lease.stat().st_ino == before


def verified(site: Site) -> bool:
    """Whether every file of the store is what was published."""
    environment = os.environ | {"LOOKALIKE_HOME": str(site.home)}
    command = [site.sweep()[0], "-m", "lookalike", "store", "verify"]
    return subprocess.run(command, env=environment, cwd=site.home, check=False, timeout=60).returncode == 0
