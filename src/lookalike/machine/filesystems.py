"""The file system that a path lies on (SQLite cannot trust a network's locks), and whether it takes files."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import psutil

from lookalike.errors import UserError

NETWORK_TYPES = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "coda", "9p", "virtiofs", "vboxsf"),
        *("lustre", "gpfs", "mmfs", "beegfs", "fhgfs", "ceph", "glusterfs", "panfs", "wekafs", "dvs"),
        *("pvfs2", "orangefs", "ocfs2", "gfs2", "quobyte", "juicefs", "moosefs", "lizardfs", "davfs"),
    }
)
"""As the kernel names them; behind ``fuse.`` the same names count."""

NETWORK_FUSE = frozenset(
    {
        *("sshfs", "ceph-fuse", "mfs", "curlftpfs", "davfs2", "rclone", "s3fs", "gcsfuse", "goofys"),
        *("blobfuse", "blobfuse2", "mount-s3", "hdfs", "alluxio", "cvmfs2", "gvfsd-fuse", "geesefs"),
        "seaweedfs",
    }
)


@dataclass(frozen=True)
class FileSystem:
    """A mounted file system."""

    type: str
    """As the kernel names it: ``ext4``, ``nfs4``, ``fuse.sshfs``."""
    mount_point: str

    @property
    def is_network(self) -> bool:
        """Whether other machines can have it mounted too."""
        kind, _, below = self.type.partition(".")
        if kind in ("fuse", "fuseblk"):
            return below in NETWORK_FUSE or below in NETWORK_TYPES
        return kind in NETWORK_TYPES


def file_system_of(path: Path) -> FileSystem | None:
    """Return the file system that ``path`` lies on, or would once it is created; None where none is listed.

    Of several mounts at one place the last one hides the others.
    """
    try:
        mounted = psutil.disk_partitions(all=True)
    except OSError:
        return None
    place = path.absolute().resolve()
    above = [mount for mount in mounted if place.is_relative_to(mount.mountpoint)]
    # max() keeps the first of equals, so the list is reversed.
    nearest = max(reversed(above), key=lambda mount: len(mount.mountpoint), default=None)
    return None if nearest is None else FileSystem(nearest.fstype, nearest.mountpoint)


def results_root(root: str | Path | None = None) -> Path:
    """Return the absolute folder below which results lie: ``root``, else LOOKALIKE_HOME, else here."""
    return Path(root or os.environ.get("LOOKALIKE_HOME", ".")).expanduser().resolve()


OTHER_ROOT = "set paths.root (or LOOKALIKE_HOME) to another folder"


def require_writable(*folders: Path, cure: str = OTHER_ROOT) -> None:
    """Raise UserError, with ``cure``, unless something can be written in each of ``folders``.

    Of a folder that is not there yet the nearest one above it is tried. Nothing is left behind: what is
    tried is a file without a name, since permissions say nothing of read-only mounts, quotas and root.
    """
    for folder in folders:
        if reason := _why_not(folder):
            raise UserError(f"{folder} cannot be written ({reason}); {cure}")


def _why_not(folder: Path) -> str | None:
    place = folder.expanduser().absolute()
    try:
        while not place.exists():
            if place.is_symlink():
                return f"{place} is a link to what is not there"
            place = place.parent
        if not place.is_dir():
            return f"{place} is not a folder"
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"\0" * 4096)
    except OSError as error:
        return error.strerror or str(error)
    return None
