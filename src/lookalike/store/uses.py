"""Which artifacts living processes use, so that none is pruned under a run that reads it.

Each process that finds or builds an artifact first adds its key to a list of its own, beside a lease that
it keeps alive. Whoever prunes renames the artifact away first and reads all lists afterwards: a use that
was listed before the rename is seen, and the artifact is put back; one that is listed later finds the
artifact gone and builds it again.
"""

from __future__ import annotations

import threading
import weakref
from contextlib import suppress
from pathlib import Path

from lookalike.store.files import token
from lookalike.store.lease import Lease, Owner, is_live, owner_of

KEYS = ".keys"


class Uses:
    """The list of this process, made at the first use and removed when the store is closed or collected.

    Where the folder cannot be written nothing is listed: a store that may only be read serves all the same.
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        self.folder, self.seconds = folder, seconds
        self.keys_file: Path | None = None
        self._keys: set[str] = set()
        self._lock = threading.Lock()

    def add(self, key: str) -> None:
        """List a key; call it before the artifact is looked at."""
        with self._lock, suppress(OSError):
            if key in self._keys:
                return
            if self.keys_file is None:
                self.keys_file = self._begin()
            with self.keys_file.open("a", encoding="ascii") as file:
                file.write(f"{key}\n")
            self._keys.add(key)

    def _begin(self) -> Path:
        self.folder.mkdir(exist_ok=True)
        lease = Lease(self.folder / token(), self.seconds)
        keys = lease.path.with_suffix(KEYS)
        keys.touch()
        lease.__enter__()
        weakref.finalize(self, _end, lease, keys)
        return keys


def _end(lease: Lease, keys: Path) -> None:
    with suppress(OSError):
        keys.unlink(missing_ok=True)
        lease.__exit__(None, None, None)


def keys_in_use(folder: Path, besides: Uses | None = None) -> dict[str, Owner | None]:
    """Return the keys that living processes use, each with one of these processes (None when unknown).

    ``besides``: the list that does not count, the caller's own.
    """
    found: dict[str, Owner | None] = {}
    for path in folder.glob(f"*{KEYS}"):
        lease = path.with_suffix("")
        if (besides is not None and besides.keys_file == path) or not _may_be_live(lease):
            continue
        with suppress(FileNotFoundError):  # its process has just ended
            found |= dict.fromkeys(path.read_text(encoding="ascii").split(), owner_of(lease))
    return found


def abandoned(folder: Path) -> list[Path]:
    """Return the lists and leases of processes that ended without removing them."""
    try:
        files = sorted(folder.iterdir())
    except OSError:
        return []
    return [path for path in files if not _may_be_live(folder / path.name.partition(".")[0])]


def _may_be_live(lease: Path) -> bool:
    try:
        return is_live(lease)
    except FileNotFoundError:
        return False
    except OSError:  # it cannot be found out, so what it protects stays
        return True
