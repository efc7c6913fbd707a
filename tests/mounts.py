"""Mounts that this machine does not have."""

from __future__ import annotations

from types import SimpleNamespace

import psutil
import pytest


def mount(monkeypatch: pytest.MonkeyPatch, *mounts: tuple[str, str]) -> None:
    """Have psutil list ``mounts``, each a mount point and a type of file system, and no others."""
    listed = [SimpleNamespace(mountpoint=point, fstype=kind) for point, kind in mounts]
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: listed)
