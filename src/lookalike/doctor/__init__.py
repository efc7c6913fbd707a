"""``lookalike doctor``: what this machine offers a run, and what will fail or mislead on it.

devices    torch's devices and dtypes, and a GPU that it cannot see
machine    processors, threads, memory, FAISS
places     the disk of the store, really tried
tracker    where runs are tracked
cluster    SLURM, and optional packages
downloads  model weights and offline variables
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lookalike.doctor.finding import Finding
from lookalike.schemas import Tracking


def examine(root: Path, tracking: Tracking) -> Iterator[Finding]:
    """Everything, one finding after the other; takes about 2 s, most of it torch's import."""
    from lookalike.doctor import cluster, devices, downloads, machine, places, tracker
    from lookalike.machine.environment import cpu_flags

    limits = machine.cgroup_limits()
    yield from devices.examine(devices.torch_view(), cpu_flags())
    yield from machine.examine_faiss()
    yield from machine.examine_threads(limits)
    yield from machine.examine_memory(limits)
    yield from places.examine(root)
    yield from tracker.examine(tracking, root)
    yield from cluster.examine_slurm()
    yield from cluster.examine_extras()
    yield from downloads.examine()
