"""The machine a result was measured on: what it is, how busy it was, how much memory was used.

Threads are set here, never inherited: OpenMP (FAISS), BLAS (numpy) and torch alike.
"""

from __future__ import annotations

import ctypes
import os
import platform
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

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


def cores() -> int:
    """Processors that this process may run on (its cpuset, not the machine's total)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpuset() -> str | None:
    """Which processors this process may run on, as Linux writes it (``0-3,8``); None where nobody tells."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    ranges: list[list[int]] = []
    for number in sorted(os.sched_getaffinity(0)):
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


@contextmanager
def threads(n: int | None) -> Iterator[int]:
    """Set the threads of OpenMP, BLAS and, if it is loaded, torch; restore them afterwards.

    ``None`` means all cores. Yields the number set.
    """
    import faiss

    count = cores() if n is None else n
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


def keep_freed_memory() -> None:
    """Have the C library (glibc; others do as they are) keep freed blocks of up to 32 MiB for their next use.

    Left alone it hands the memory of most tensors back to the system and gets it again, page by page and
    zeroed, at the next layer: a fifth of a forward pass on a CPU. :func:`give_back_memory` still works.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 32 * 2**20)  # the most that glibc takes
        mallopt(_M_TRIM_THRESHOLD, 2**28)


def give_back_memory() -> None:
    """Hand what was freed back to the system, where the C library would keep it (glibc): gigabytes, maybe."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)


def describe_machine() -> dict[str, Any]:
    """What a reader of a figure has to know of the machine and the software; JSON values only."""
    import faiss

    return {
        **_unchanging(),
        "load_1m": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
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
        "memory_bytes": _memory_bytes(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: _version(package) for name, package in PACKAGES.items()},
        "git_commit": _git_commit(),
    }


@cache
def cpu_model() -> str:
    """The processor's name as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None


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
        """The three peaks by name."""
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


class BusyMeter:
    """How much of the machine other processes used inside a ``with`` block: a share of all its processors.

    ``other_cpu_share`` is None where the system does not tell, and after blocks too short (under 0.1 s) for
    the kernel's clock ticks to say anything.
    """

    def __init__(self) -> None:
        self.other_cpu_share: float | None = None

    def __enter__(self) -> BusyMeter:
        self._start = (time.perf_counter(), _busy_seconds(), _own_seconds())
        return self

    def __exit__(self, *_: object) -> None:
        began, busy_before, own_before = self._start
        elapsed, busy = time.perf_counter() - began, _busy_seconds()
        if busy is None or busy_before is None or elapsed < 0.1:
            return
        other = (busy - busy_before) - (_own_seconds() - own_before)
        self.other_cpu_share = min(1.0, max(0.0, other / (elapsed * (os.cpu_count() or 1))))


def _busy_seconds() -> float | None:
    """Processor seconds used on the whole machine since it started."""
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    except OSError:
        return None
    user, nice, system, _idle, _iowait, irq, softirq, steal = (int(field) for field in fields[:8])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    own = os.times()
    return own.user + own.system + own.children_user + own.children_system
