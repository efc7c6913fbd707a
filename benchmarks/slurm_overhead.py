"""What a sweep through SLURM costs beyond the work: seconds a job, and until a detached submit returns.

    python benchmarks/slurm_overhead.py [--size small|full]

It starts a cluster of its own on this machine (slurm/one_node.sh: root, Debian's SLURM packages) and takes it
down again. All searches are trivial, two jobs run at once.

Goal: a detached submit (`sweep.detach=true`) returns within 5 s beyond start-up. Start-up is `lookalike run
--cfg job` of the same overrides: Python, imports and composing. The ratio is what is beyond, in units of 5 s;
its jobs are held in the queue, so that they do not slow down what is measured.

Beside it, in the JSON line, a sweep of one job a point that is waited for, and its baseline: an array of as
many tasks that import what ours import and end, likewise started by srun. Both run from the first task's
start to the last one's end, by SLURM's clock of whole seconds; ``overhead_seconds_a_job`` is the difference
in a task's share. ``points_seconds`` is the whole sweep with planning, builds and closing report,
``one_job_seconds`` the same points as a list in one job. ``full`` has 100 points.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import numpy as np

from harness import (
    chosen_size,
    conclude,
    lookalike,
    median,
    rounded,
    seconds_of,
    workplace,
)

GOAL_SECONDS = 5.0
POINTS = {"tiny": 2, "small": 6, "full": 100}
ROUNDS = {"tiny": 1, "small": 2, "full": 5}
BARE = "bare"
ONE_NODE = [
    *([] if os.geteuid() == 0 else ["sudo", "-n"]),
    str(Path(__file__).parents[1] / "slurm" / "one_node.sh"),
]
IMPORTS = "import submitit, lookalike.sweep, lookalike.run, lookalike.report, mlflow, faiss"
"""Of a timing job; nothing that Lookalike does is in it."""


@contextmanager
def cluster(folder: Path) -> Iterator[None]:
    """A cluster of this machine, for the length of the block."""
    state = folder / "slurm"
    started = subprocess.run([*ONE_NODE, "start", state], capture_output=True, text=True, check=False)
    if started.returncode:
        raise RuntimeError(started.stderr)
    os.environ["SLURM_CONF"] = str(state / "slurm.conf")
    try:
        yield
    finally:
        subprocess.run([*ONE_NODE, "stop", state], check=True)


def bare_array(points: int) -> list[str]:
    """As many tasks as there are points, each one Python that imports; ends when all have ended."""
    python = shlex.join([sys.executable, "-c", IMPORTS])
    limits = [
        "--cpus-per-task=1",
        "--mem=1G",
        f"--array=0-{points - 1}",
        "--output=/dev/null",
        f"--job-name={BARE}",
    ]
    return ["sbatch", "--wait", *limits, f"--wrap=srun --ntasks=1 --cpus-per-task=1 {python}"]


def array_seconds(name: str) -> float:
    """From the start of the first to the end of the last of all tasks of that name."""
    asked = ["squeue", "--noheader", "--array", "--states=all", f"--name={name}", "--format=%S %e"]
    times = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()
    clock = sorted(datetime.fromisoformat(time) for time in times)
    return (clock[-1] - clock[0]).total_seconds()


def main() -> None:
    """Wait for a sweep, for a bare array, for the same in one job; then submit and do not wait."""
    size = chosen_size(__doc__)
    points, rounds = POINTS[size], ROUNDS[size]
    with workplace() as folder, cluster(folder):
        np.save(folder / "v.npy", np.random.default_rng(0).standard_normal((2_000, 16), dtype=np.float32))
        chosen = [
            *("dataset=embeddings", f"dataset.root={folder / 'v.npy'}", "queries=held_out", "queries.n=20"),
            *("search.k=5", "search.modes=[batch]", "search.repeats=1", "search.warm_up=0"),
            *("index=ivf_flat", "index.nlist=128", "index.threads=1", "measures.bootstrap=0"),
        ]
        slurm = [
            "hydra/launcher=slurm_cpu",
            *(
                f"hydra.launcher.{limit}"
                for limit in ("cpus_per_task=1", "mem_gb=1", "timing.exclusive=false")
            ),
        ]
        swept = f"search.nprobe=range(1,{points + 1})"
        listed = f"search.nprobe=[{','.join(map(str, range(1, points + 1)))}]"

        sweep_seconds = seconds_of(lookalike("run", "-m", *chosen, *slurm, swept), folder)
        jobs_seconds = array_seconds("lookalike-time")
        seconds_of(bare_array(points), folder)
        bare_seconds = array_seconds(BARE)
        one_job_seconds = seconds_of(lookalike("run", "-m", *chosen, *slurm, listed), folder)
        print(
            f"{points} jobs {jobs_seconds:.1f} s, bare {bare_seconds:.1f} s; in one {one_job_seconds:.1f} s"
        )

        held = [*slurm, "sweep.detach=true", "+hydra.launcher.additional_parameters.hold=true"]
        startups, submits = [], []
        for number in range(rounds):
            startups.append(seconds_of(lookalike("run", "--cfg", "job", *chosen, "search.nprobe=1"), folder))
            name = f"sweep.name=left-{number}"
            submits.append(seconds_of(lookalike("run", "-m", *chosen, *held, swept, name), folder))
            print(
                f"  round {number + 1} of {rounds}: submit {submits[-1]:.2f} s, start-up {startups[-1]:.2f} s"
            )
    beyond = median(submits) - median(startups)
    conclude(
        "slurm_overhead",
        size,
        beyond / GOAL_SECONDS,
        1.0,
        "the 5 s that a detached submit may take beyond start-up",
        points=points,
        submit_seconds=rounded(submits),
        startup_seconds=rounded(startups),
        beyond_startup_seconds=round(beyond, 3),
        points_seconds=round(sweep_seconds, 2),
        seconds_a_job=round(jobs_seconds / points, 3),
        bare_seconds_a_job=round(bare_seconds / points, 3),
        overhead_seconds_a_job=round((jobs_seconds - bare_seconds) / points, 3),
        one_job_seconds=round(one_job_seconds, 2),
    )


if __name__ == "__main__":
    main()
