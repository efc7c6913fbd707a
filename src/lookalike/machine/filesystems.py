"""Which file system a path lies on (SQLite cannot trust the locks of a network's), and if it takes files."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lookalike.errors import UserError

MOUNTS = Path("/proc/self/mountinfo")

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
        *(
            "blobfuse",
            "blobfuse2",
            "mount-s3",
            "hdfs",
            "alluxio",
            "cvmfs2",
            "gvfsd-fuse",
            "geesefs",
            "seaweedfs",
        ),
    }
)


@dataclass(frozen=True)
class FileSystem:
    """A mounted file system."""

    type: str
    """As the kernel names it: ``ext4``, ``nfs4``, ``fuse.sshfs``."""
    mount_point: str
    source: str
    """The device, or the server and what it exports."""

    @property
    def is_network(self) -> bool:
        """Whether other machines can have it mounted too."""
        kind, _, below = self.type.partition(".")
        if kind in ("fuse", "fuseblk"):
            return below in NETWORK_FUSE or below in NETWORK_TYPES
        return kind in NETWORK_TYPES


def file_system_of(path: Path, mounts: str | None = None) -> FileSystem | None:
    """The file system that ``path`` lies on, or would once it is created; None where the system is silent.

    ``mounts`` is what Linux shows in ``/proc/self/mountinfo``, read there by default. Of several mounts at
    one place the last one hides the others.
    """
    if mounts is None:
        try:
            mounts = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            return None
    place = path.absolute().resolve()
    found: FileSystem | None = None
    for line in mounts.splitlines():
        mounted = _parse(line)
        if mounted is None or not place.is_relative_to(mounted.mount_point):
            continue
        if found is None or len(mounted.mount_point) >= len(found.mount_point):
            found = mounted
    return found


def _parse(line: str) -> FileSystem | None:
    """``36 35 98:0 / /mnt rw,noatime master:1 - nfs4 server:/export rw``; None for what is no such line."""
    before, dash, after = line.partition(" - ")
    fields, rest = before.split(" "), after.split(" ")
    if not dash or len(fields) < 5 or len(rest) < 2:
        return None
    return FileSystem(rest[0], _unescaped(fields[4]), _unescaped(rest[1]))


def _unescaped(name: str) -> str:
    r"""Blanks, tabs, newlines and backslashes are written as ``\040``."""
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), name)


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
