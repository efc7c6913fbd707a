"""What tells that an image has changed, by its bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from lookalike.errors import ImageError
from lookalike.progress import Progress


def content_fingerprints(read: Callable[[int], bytes], n: int, progress: Progress) -> list[str]:
    """Return the SHA-256 of what ``read`` gives for each of ``n`` rows; several threads call it.

    A row that cannot be read (ImageError) has a fingerprint too: decoding will say why.
    """

    def fingerprint(row: int) -> str:
        try:
            return hashlib.sha256(read(row)).hexdigest()
        except ImageError:
            return "unreadable"

    with ThreadPoolExecutor() as pool, progress.bar("reading contents", n, "images") as bar:
        fingerprints = []
        for one in pool.map(fingerprint, range(n)):
            fingerprints.append(one)
            bar.advance()
        return fingerprints
