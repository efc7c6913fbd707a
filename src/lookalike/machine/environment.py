"""The machine a result was measured on: what it is, and how much memory was used.

Threads are set here, never inherited: OpenMP (FAISS), BLAS (numpy) and torch alike. Peaks of memory are read
from /proc, because psutil knows present values only and no anonymous memory.
"""

from __future__ import annotations

import ctypes
import os
import platform
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from lookalike.machine.cgroups import cgroup_limits

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

PACKAGES = {
    "lookalike": "lookalike",
    "faiss": "faiss-cpu",
    "numpy": "numpy",
    "torch": "torch",
    "transformers": "transformers",
    "mlflow": "mlflow",
    "hydra": "hydra-core",
    "pillow": "pillow",
}

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""As glibc's malloc.h numbers them."""


def affinity() -> frozenset[int] | None:
    """Return the numbers of the processors that this process may run on; None where no system tells."""
    return frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def cores() -> int:
    """Return how many processors this process may run on (its cpuset, not the machine's total)."""
    allowed = affinity()
    return (os.cpu_count() or 1) if allowed is None else len(allowed)


def usable_cores() -> float:
    """Return how many processors' time this process may use: its cpuset, or a group's smaller quota."""
    quota = cgroup_limits().cpus
    return float(cores() if quota is None else min(cores(), quota))


def all_threads() -> int:
    """Return how many threads "all cores" means: whole ones of :func:`usable_cores`, one at least.

    With more of them than a quota allows, the kernel stops them all for most of each period.
    """
    return max(1, int(usable_cores()))


def cpuset() -> str | None:
    """Return the processors that this process may run on as Linux writes them (``0-3,8``); else None."""
    allowed = affinity()
    if allowed is None:
        return None
    ranges: list[list[int]] = []
    for number in sorted(allowed):
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


@contextmanager
def threads(n: int | None) -> Iterator[int]:
    """Set the threads of OpenMP, BLAS and, if it is loaded, torch, and restore them afterwards.

    ``None`` means :func:`all_threads`. Yields the number that was set.
    """
    import faiss

    count = all_threads() if n is None else n
    before = faiss.omp_get_max_threads()
    torch = sys.modules.get("torch")
    torch_before = torch.get_num_threads() if torch else 0
    with _thread_pools(torch is not None).limit(limits=count):
        faiss.omp_set_num_threads(count)
        if torch:
            torch.set_num_threads(count)
        try:
            yield count
        finally:
            faiss.omp_set_num_threads(before)
            if torch:
                torch.set_num_threads(torch_before)


@cache
def _thread_pools(torch_is_loaded: bool) -> ThreadpoolController:
    """The libraries that have threads: looked up (0.7 ms) once, and again when torch has brought its own."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


SEARCHING = ("faiss", "numpy")
"""Packages whose BLAS searches; another one's that is loaded changes no latency."""


def blas() -> list[str]:
    """Return the BLAS libraries that search: ``openblas 0.3.15 Prescott (faiss-cpu)`` for each.

    Name, version, the kernels it chose for this processor, and whose it is, where a package brought its own.
    """
    found = set()
    for pool in _thread_pools(sys.modules.get("torch") is not None).info():
        if pool["user_api"] != "blas":
            continue
        _, _, installed = Path(pool["filepath"]).as_posix().partition("/site-packages/")
        package = installed.split("/")[0].removesuffix(".libs")
        if package and not package.startswith(SEARCHING):
            continue
        words = [pool["internal_api"], pool["version"], pool.get("architecture")]
        whose = f" ({package.replace('_', '-')})" if package else ""
        found.add(" ".join(str(word) for word in words if word) + whose)
    return sorted(found)


def keep_freed_memory() -> None:
    """Make the C library (glibc alone) keep freed blocks of up to 32 MiB for their next use.

    Left alone it hands the memory of most tensors back to the system and gets it again, page by page and
    zeroed, at the next layer: a fifth of a forward pass on a CPU. :func:`give_back_memory` still works.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 32 * 2**20)  # the most that glibc takes
        mallopt(_M_TRIM_THRESHOLD, 2**28)


def give_back_memory() -> None:
    """Return freed memory (it may be gigabytes) to the system where the C library would keep it (glibc)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)


def describe_machine() -> dict[str, Any]:
    """Return what a reader of a figure has to know of the machine and the software; JSON values only."""
    import faiss

    return {
        **_unchanging(),
        "load_1m": round(psutil.getloadavg()[0], 2),
        "faiss_compile_options": faiss.get_compile_options().strip(),
        "slurm_job": os.environ.get("SLURM_JOB_ID"),
        "cpuset": cpuset(),
    }


@cache
def _unchanging() -> dict[str, Any]:
    return {
        "hostname": socket.gethostname(),
        "cpu": cpu_model(),
        "cores": cores(),
        "usable_cores": usable_cores(),
        "blas": blas(),
        "memory_bytes": psutil.virtual_memory().total,
        "platform": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: _version(package) for name, package in PACKAGES.items()},
        "git_commit": _git_commit(),
    }


def cpu_model() -> str:
    """Return the processor's name as the system gives it."""
    return _of_cpuinfo("model name") or platform.processor() or platform.machine()


def cpu_flags() -> str:
    """Return the instruction sets of the processor in the kernel's words; '' where it does not list them."""
    return _of_cpuinfo("flags")


@cache
def _of_cpuinfo(field: str) -> str:
    """The field of the first processor in /proc/cpuinfo (psutil does not read it); '' where there is none."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(field)), "")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git_commit() -> str | None:
    """The commit of the working directory's repository, with ``+`` when it has uncommitted changes."""
    try:
        commit, changes = (
            subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
            for command in (
                ["git", "rev-parse", "HEAD"],
                ["git", "status", "--porcelain", "--untracked-files=no"],
            )
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + ("+" if changes else "")


class MemoryMeter:
    """Peak memory of this process inside a ``with`` block, in bytes, by kind; None where unknown.

    ``peak_rss_bytes`` is the kernel's own high-water mark, reset at entry. The kernel keeps none for
    anonymous and file-backed memory, so those two are sampled every ``interval`` seconds and may miss a
    short spike.
    """

    def __init__(self, interval: float = 0.02) -> None:
        self.interval = interval
        self.peak_rss_bytes: int | None = None
        self.peak_anonymous_bytes: int | None = None
        self.peak_file_backed_bytes: int | None = None

    def __enter__(self) -> MemoryMeter:
        self._done = threading.Event()
        with suppress(OSError):  # not Linux, or not permitted: the mark then covers the whole process
            Path("/proc/self/clear_refs").write_text("5")
        self._sample()
        self._sampler = threading.Thread(target=self._watch, name="memory-meter", daemon=True)
        self._sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._sampler.join()
        self._sample()

    def _watch(self) -> None:
        while not self._done.wait(self.interval):
            self._sample()

    def _sample(self) -> None:
        status = _process_status()
        for name, field in _PEAKS.items():
            if field in status:  # the maximum, because a meter inside this one resets the kernel's mark
                setattr(self, name, max(getattr(self, name) or 0, status[field]))

    def as_dict(self) -> dict[str, int | None]:
        """Return the three peaks by name."""
        return {name: getattr(self, name) for name in _PEAKS}


_PEAKS = {
    "peak_rss_bytes": "VmHWM",
    "peak_anonymous_bytes": "RssAnon",
    "peak_file_backed_bytes": "RssFile",
}


def _process_status() -> dict[str, int]:
    """Sizes in bytes from /proc/self/status, empty where there is none."""
    try:
        text = Path("/proc/self/status").read_text()
    except OSError:
        return {}
    pairs = (line.split() for line in text.splitlines() if line.endswith(" kB"))
    return {name.rstrip(":"): int(size) * 1024 for name, size, _ in pairs}
