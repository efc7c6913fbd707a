"""Small pictures of gallery images: made when first shown, kept in the store, never more than a bound."""

from __future__ import annotations

import hashlib
import io
import itertools
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from PIL import Image

from lookalike.datasets.sets import ImageSet
from lookalike.errors import ImageError
from lookalike.machine.environment import all_threads
from lookalike.store.files import atomic_write

VERSION = 1
SIDE = 192
LIMIT_BYTES = 256 << 20
"""About 40,000 thumbnails; then the oldest fifth of them goes."""
KEPT_SHARE = 0.8
MIME = "image/jpeg"


def thumbnail(image: Image.Image, side: int = SIDE) -> bytes:
    """Return ``image`` as a JPEG of at most ``side`` × ``side`` pixels, never enlarged."""
    small = image.copy()
    small.thumbnail((side, side))
    data = io.BytesIO()
    small.save(data, "JPEG", quality=85)
    return data.getvalue()


class Thumbnails:
    """Thumbnails in ``folder``, named after their images' fingerprints: a changed image gets a new one.

    The folder is a cache: it is made when the first picture is kept, what cannot be written there is only not
    kept, and anyone may delete it. Thread-safe, also between processes.
    """

    def __init__(self, folder: Path, limit_bytes: int = LIMIT_BYTES) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes
        self._bytes: int | None = None
        self._lock = threading.Lock()

    def of(self, images: ImageSet, rows: Sequence[int]) -> list[bytes | None]:
        """A JPEG for each of ``rows``; None for an image that cannot be decoded (any more)."""
        with ThreadPoolExecutor(all_threads()) as pool:
            return list(pool.map(lambda row: self._one(images, row), rows))

    def path(self, fingerprint: str) -> Path:
        """Return where the thumbnail of an image lies, once it was made."""
        name = hashlib.sha256(f"{VERSION} {SIDE} {fingerprint}".encode()).hexdigest()[:32]
        return self.folder / name[:2] / f"{name}.jpg"

    def _one(self, images: ImageSet, row: int) -> bytes | None:
        path = self.path(images.fingerprints[row])
        with suppress(OSError):
            if kept := path.read_bytes():
                return kept
        try:
            data = thumbnail(images.load(row))
        except ImageError:
            return None
        with suppress(OSError):
            self._keep(path, data)
        return data

    def _keep(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path, durable=False) as draft:
            draft.write_bytes(data)
        with self._lock:
            if self._bytes is None:
                self._bytes = sum(size for _, size, _ in self._files())
            else:
                self._bytes += len(data)
            if self._bytes > self.limit_bytes:
                self._bytes = self._remove_oldest()

    def _files(self) -> list[tuple[float, int, Path]]:
        """(time it was made, bytes, path) of everything in the folder."""
        found = []
        for path in self.folder.glob("*/*"):
            with suppress(OSError):  # another process may be removing it
                status = path.stat()
                found.append((status.st_mtime, status.st_size, path))
        return found

    def _remove_oldest(self) -> int:
        """Remove what was made longest ago until ``KEPT_SHARE`` of the limit is left, and say how much is."""
        newest_first = sorted(self._files(), reverse=True)
        totals = itertools.accumulate(size for _, size, _ in newest_first)
        left = 0
        for (_, _, path), total in zip(newest_first, totals, strict=True):
            if total <= self.limit_bytes * KEPT_SHARE:
                left = total
            else:
                path.unlink(missing_ok=True)
        return left
