"""What this process's control groups allow it: a container's limits, or those of a SLURM job."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Limits:
    """What a control group (a container, a SLURM job) allows; None: as much as there is."""

    cpus: float | None
    memory_bytes: int | None


def cgroup_limits(root: Path = Path("/sys/fs/cgroup"), own: str | None = None) -> Limits:
    """Return the tightest limits from this process's control group up to the top, version 1 or 2.

    ``own``: the content of ``/proc/self/cgroup``, read there by default.
    """
    cpus: list[float] = []
    memory: list[int] = []
    for folder in _groups(root, own):
        cpus += _cpus(folder)
        memory += _memory(folder)
    return Limits(min(cpus, default=None), min(memory, default=None))


def times_throttled(root: Path = Path("/sys/fs/cgroup"), own: str | None = None) -> int | None:
    """Return in how many periods a quota has stopped processes of this one's control groups; None: no quota.

    ``own``: see :func:`cgroup_limits`. Groups around groups count theirs apart; the largest number is given.
    """
    counts = []
    for folder in _groups(root, own):
        if _cpus(folder):
            counted = dict(
                pair for line in _content(folder / "cpu.stat").splitlines() if len(pair := line.split()) == 2
            )
            counts += [int(count) for count in [counted.get("nr_throttled", "")] if count.isdigit()]
    return max(counts, default=None)


def _groups(root: Path, own: str | None) -> Iterator[Path]:
    """Folders of this process's control groups, each with those around it up to the top."""
    if own is None:
        try:
            own = Path("/proc/self/cgroup").read_text(encoding="utf-8")
        except OSError:
            own = ""
    for line in own.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, below = rest.partition(":")
        for mounted in [root] if number == "0" else [root / each for each in controllers.split(",")]:
            yield from _upwards(mounted, below)


def _upwards(mounted: Path, below: str) -> Iterator[Path]:
    parts = [part for part in below.split("/") if part not in ("", "..")]
    for count in range(len(parts), -1, -1):
        yield mounted.joinpath(*parts[:count])


def _cpus(folder: Path) -> list[float]:
    quota, period, *_ = [*_content(folder / "cpu.max").split(), "", ""]
    if not quota:
        quota, period = _content(folder / "cpu.cfs_quota_us"), _content(folder / "cpu.cfs_period_us")
    if not (quota.isdigit() and period.isdigit() and int(period)):
        return []  # "max", -1, or no such controller
    return [int(quota) / int(period)]


def _memory(folder: Path) -> list[int]:
    limit = _content(folder / "memory.max") or _content(folder / "memory.limit_in_bytes")
    return [int(limit)] if limit.isdigit() and int(limit) < 1 << 60 else []


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
