"""``lookalike doctor``: what this machine offers a run, and what will fail or mislead on it.

hardware   devices and dtypes, a GPU that torch cannot see, processors, memory, FAISS
disk       the disk of the store, really tried
services   the tracker, SLURM, model weights, optional packages
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lookalike.doctor.finding import Finding
from lookalike.schemas import Tracking


def examine(root: Path, tracking: Tracking) -> Iterator[Finding]:
    """Yield everything, one finding after the other; takes about 2 s, most of it torch's import."""
    from lookalike.doctor import disk, hardware, services
    from lookalike.machine.cgroups import cgroup_limits
    from lookalike.machine.environment import cpu_flags

    limits = cgroup_limits()
    yield from hardware.examine_devices(hardware.torch_view(), cpu_flags())
    yield from hardware.examine_faiss()
    yield from hardware.examine_threads(limits)
    yield from hardware.examine_memory(limits)
    yield from disk.examine_disk(root)
    yield from services.examine_tracking(tracking, root)
    yield from services.examine_slurm()
    yield from services.examine_extras()
    yield from services.examine_models()
