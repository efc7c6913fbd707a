"""Processors, threads and memory: what this process may use of what the machine has."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from lookalike.doctor.finding import Finding, note, ok
from lookalike.machine.environment import cores, cpu_flags, cpu_model
from lookalike.store.files import readable_bytes

THREADS, MEMORY, FAISS = "threads", "memory", "faiss"
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
LOW_MEMORY_BYTES = 4 << 30


@dataclass(frozen=True)
class Limits:
    """What a control group (a container, a SLURM job) allows; None: as much as there is."""

    cpus: float | None
    memory_bytes: int | None


def cgroup_limits(root: Path = Path("/sys/fs/cgroup"), own: str | None = None) -> Limits:
    """The tightest limits on the way from this process's control group to the top, version 1 or 2.

    ``own``: the content of ``/proc/self/cgroup``, read there by default.
    """
    if own is None:
        try:
            own = Path("/proc/self/cgroup").read_text(encoding="utf-8")
        except OSError:
            own = ""
    cpus: list[float] = []
    memory: list[int] = []
    for line in own.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, below = rest.partition(":")
        for mounted in [root] if number == "0" else [root / each for each in controllers.split(",")]:
            for folder in _upwards(mounted, below):
                cpus += _cpus(folder)
                memory += _memory(folder)
    return Limits(min(cpus, default=None), min(memory, default=None))


def _upwards(mounted: Path, below: str) -> Iterator[Path]:
    parts = [part for part in below.split("/") if part not in ("", "..")]
    for count in range(len(parts), -1, -1):
        yield mounted.joinpath(*parts[:count])


def _cpus(folder: Path) -> list[float]:
    quota, period, *_ = [*_read(folder / "cpu.max").split(), "", ""]
    if not quota:
        quota, period = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
    if not (quota.isdigit() and period.isdigit() and int(period)):
        return []  # "max", -1, or no such controller
    return [int(quota) / int(period)]


def _memory(folder: Path) -> list[int]:
    limit = _read(folder / "memory.max") or _read(folder / "memory.limit_in_bytes")
    return [int(limit)] if limit.isdigit() and int(limit) < 1 << 60 else []


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def examine_threads(
    limits: Limits,
    environ: Mapping[str, str] = os.environ,
    allowed: int | None = None,
    there: int | None = None,
) -> Iterator[Finding]:
    """Processors allowed of those there are, and what the environment says of threads."""
    allowed = cores() if allowed is None else allowed
    there = os.cpu_count() or allowed if there is None else there
    which = "all" if allowed == there else f"{allowed} (cpuset or affinity)"
    yield ok(THREADS, f"{cpu_model()}: {which} of {there} processors")
    if limits.cpus is not None and limits.cpus < allowed:
        yield note(
            THREADS,
            f"a control group allows {limits.cpus:g} processors' time, and threads start on {allowed}",
            f"set search.threads={max(1, int(limits.cpus))} and model.workers likewise: "
            "threads that are throttled spoil latencies",
        )
    for name in THREAD_VARIABLES:
        if name in environ:
            yield note(
                THREADS, f"{name}={environ[name]} is set; Lookalike sets threads itself when it measures"
            )
    slurm = environ.get("SLURM_CPUS_PER_TASK") or environ.get("SLURM_CPUS_ON_NODE", "")
    if slurm.isdigit() and int(slurm) < allowed:
        yield note(
            THREADS,
            f"SLURM gave {slurm} processors and {allowed} may be used: the cluster does not confine its jobs",
            f"set search.threads={slurm}, or ask the admin for task/affinity or task/cgroup",
        )


def examine_memory(
    limits: Limits, total: int | None = None, available: int | None = None
) -> Iterator[Finding]:
    """Yield the memory there is and how much of it is available, in bytes; psutil's answers by default."""
    memory = psutil.virtual_memory()
    total = memory.total if total is None else total
    available = memory.available if available is None else available
    text = f"{readable_bytes(total)}, {readable_bytes(available)} available"
    if limits.memory_bytes is not None and limits.memory_bytes < total:
        available = min(available, limits.memory_bytes)
        text += f"; a control group allows {readable_bytes(limits.memory_bytes)}"
    if available < LOW_MEMORY_BYTES:
        yield note(MEMORY, text, "a million vectors of 768 dimensions are 3.1 GB: use ivf_sq8 or ivf_pq here")
    else:
        yield ok(MEMORY, text)


def examine_faiss() -> Iterator[Finding]:
    """Version, compile options, GPUs, and OpenMP's threads."""
    import faiss

    options = faiss.get_compile_options().strip()
    gpus = faiss.get_num_gpus() if hasattr(faiss, "get_num_gpus") else 0
    with_gpu = f"{gpus} GPU{'s' * (gpus != 1)}" if gpus else "without GPU"
    threads = faiss.omp_get_max_threads()
    yield ok(FAISS, f"{faiss.__version__}, {options}, {with_gpu}, {threads} OpenMP threads")
    if re.search(r"\bavx2\b", cpu_flags()) and "AVX" not in options:
        yield note(
            FAISS, "this FAISS uses none of the processor's AVX", "install faiss-cpu's wheel from PyPI"
        )
