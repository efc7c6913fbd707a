"""A real SLURM to submit to: the one that SLURM_CONF names when it answers, else one of our own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from tests.services import as_root, cluster_answers

ONE_NODE = Path(__file__).parents[2] / "slurm" / "one_node.sh"
DEADLINE_SECONDS = 120.0
ENDED = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slurm)


def eventually(what: str, look: Callable[[], object], seconds: float = DEADLINE_SECONDS) -> object:
    """What ``look`` returns as soon as that is something; fails when it never is."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.05)
    return seen


@dataclass(frozen=True)
class Cluster:
    """What the tests ask of SLURM, in its own commands."""

    def call(self, *command: str) -> str:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    def field(self, job: str, name: str) -> str:
        """A field of ``scontrol show job``: of an array's task (``12_0``) or of a job."""
        return re.findall(rf"\b{name}=(\S+)", self.call("scontrol", "--oneliner", "show", "job", job))[0]

    def start_again(self, job: str) -> None:
        """Do not let a job wait the two minutes that SLURM gives a requeued one."""
        eventually("the job in the queue again", lambda: self.field(job, "JobState") == "PENDING")
        self.call("scontrol", "update", f"JobId={job}", "StartTime=now")

    def wait_for_end(self, job: str) -> str:
        """The state in which the job ended."""
        eventually(f"end of job {job}", lambda: self.field(job, "JobState") in ENDED)
        return self.field(job, "JobState")

    def queued(self) -> set[str]:
        """Numbers of the jobs that are not over."""
        return set(self.call("squeue", "--noheader", "--format=%A").split())


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster that takes jobs; missing packages are a failure: tests/conftest.py skips where one may."""
    if cluster_answers():
        yield Cluster()
        return
    state = tmp_path_factory.mktemp("slurm")
    root = as_root() or []
    started = subprocess.run(
        [*root, ONE_NODE, "start", state], capture_output=True, text=True, check=False, timeout=90
    )
    assert started.returncode == 0, started.stderr
    before = os.environ.get("SLURM_CONF")
    os.environ["SLURM_CONF"] = str(state / "slurm.conf")
    try:
        yield Cluster()
    finally:
        subprocess.run([*root, ONE_NODE, "stop", state], check=True, timeout=90)
        del os.environ["SLURM_CONF"]
        if before is not None:
            os.environ["SLURM_CONF"] = before


@dataclass(frozen=True)
class Site:
    """A user's folder on the cluster, with ready vectors in it."""

    home: Path
    cluster: Cluster
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def vectors(self) -> Path:
        return self.home / "vectors"

    @property
    def store(self) -> Path:
        return self.home / "store"

    def sweep(self, *overrides: str) -> list[str]:
        """The command line of a quick sweep over ready vectors, on one processor a job."""
        return [
            *(sys.executable, "-m", "lookalike", "run", "-m"),
            *("dataset=embeddings", f"dataset.root={self.vectors}", "queries=held_out", "queries.n=20"),
            *("search.k=5", "search.modes=[batch]", "search.repeats=1", "search.warm_up=0"),
            *("measures.bootstrap=0", "index.threads=1", "tracking=none"),
            *("hydra/launcher=slurm_cpu", "hydra.launcher.cpus_per_task=1", "hydra.launcher.mem_gb=1"),
            "hydra.launcher.timing.exclusive=false",
            *overrides,
        ]

    def start(self, command: Sequence[str]) -> subprocess.Popen[str]:
        environment = os.environ | {"LOOKALIKE_HOME": str(self.home), "COLUMNS": "200"}
        pipe = subprocess.PIPE
        self.processes.append(
            subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment, cwd=self.home)
        )
        return self.processes[-1]

    def run(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        process = self.start(command)
        out, err = process.communicate(timeout=300)
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def logs(self, phase_job: str, sweep: str) -> list[str]:
        """What the tasks of one submission wrote, in order."""
        folder = self.home / "multirun" / sweep / ".submitit"
        found = folder.glob(f"{phase_job}*/{phase_job}*_0_log.err")
        return [path.read_text() for path in sorted(found)]

    def jobs(self) -> set[str]:
        """Numbers of this site's jobs that are not over."""
        lines = self.cluster.call("squeue", "--noheader", "--format=%A %o").splitlines()
        return {line.split()[0] for line in lines if str(self.home) in line}

    def close(self) -> None:
        """Leave no process and no job."""
        for process in self.processes:
            process.kill()
            process.communicate()
        if jobs := self.jobs():
            self.cluster.call("scancel", *jobs)

    def artifacts(self, kind: str) -> list[Path]:
        """Folders of what is published of a kind."""
        return sorted((self.store / "artifacts" / kind).glob("*"))


@pytest.fixture
def site(cluster: Cluster, tmp_path: Path) -> Iterator[Site]:
    """A folder of its own for each test: 600 vectors, nothing built."""
    here = Site(tmp_path, cluster)
    here.vectors.mkdir()
    save_vectors(here.vectors / "v.npy", 600, 16)
    yield here
    here.close()


def save_vectors(path: Path, rows: int, dim: int) -> None:
    """Random unit vectors."""
    vectors = np.random.default_rng(0).normal(size=(rows, dim)).astype(np.float32)
    np.save(path, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def submitted(said: str) -> dict[str, str]:
    """The SLURM jobs that an awaited sweep told of: phase -> number."""
    return dict(re.findall(r"to (build|time) \((\d+)\)", said))


def suspend(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)


def wake(pid: int) -> None:
    os.kill(pid, signal.SIGCONT)
