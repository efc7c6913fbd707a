"""The limits of control groups, of both versions."""

from __future__ import annotations

from pathlib import Path

from lookalike.machine.cgroups import Limits, cgroup_limits, times_throttled


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text + "\n")


def test_the_tightest_control_group_counts(tmp_path: Path) -> None:
    """Version 2: a job's own group is roomier than the one around it."""
    write(tmp_path / "slurm", cpu__max="150000 100000", memory__max="max")
    write(tmp_path / "slurm" / "job", cpu__max="max 100000", memory__max=str(3 << 30))
    limits = cgroup_limits(tmp_path, "0::/slurm/job\n")
    assert limits == Limits(1.5, 3 << 30)


def test_control_groups_of_version_1(tmp_path: Path) -> None:
    write(tmp_path / "cpu,cpuacct" / "job", cpu__cfs_quota_us="200000", cpu__cfs_period_us="100000")
    write(tmp_path / "cpu" / "job", cpu__cfs_quota_us="200000", cpu__cfs_period_us="100000")
    write(tmp_path / "memory" / "job", memory__limit_in_bytes=str(1 << 63))
    own = "4:cpu,cpuacct:/job\n3:memory:/job\n"
    assert cgroup_limits(tmp_path, own) == Limits(2.0, None)
    assert cgroup_limits(tmp_path / "none", own) == Limits(None, None)


def test_a_quota_tells_how_often_it_stopped_its_processes(tmp_path: Path) -> None:
    counted = "usage_usec 5\nnr_periods 90\nnr_throttled 31\nthrottled_usec 7"
    write(tmp_path / "job", cpu__max="200000 100000", cpu__stat=counted)
    write(tmp_path, cpu__stat="usage_usec 9")
    assert times_throttled(tmp_path, "0::/job\n") == 31
    write(
        tmp_path / "cpu" / "job", cpu__cfs_quota_us="200000", cpu__cfs_period_us="100000", cpu__stat=counted
    )
    assert times_throttled(tmp_path, "4:cpu,cpuacct:/job\n") == 31
    write(tmp_path / "job", cpu__max="max 100000")
    assert times_throttled(tmp_path, "0::/job\n") is None
