"""One search of a finished run: what is searched for, what was found, and how far that is from exact."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from lookalike.datasets.images import EXTENSIONS, UNREADABLE_EXTENSIONS, decode
from lookalike.errors import ImageError, QueryError, printable

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

Query = str | os.PathLike[str] | Image.Image | Floats
"""A path of an image, a caption, an image, or a vector of the run's model."""

PATH_STARTS = ("/", "./", "../", "~", ".\\", "..\\")


@dataclass(frozen=True)
class Hits:
    """What one search returned, nearest first; shorter than k when the index found fewer."""

    rows: Rows
    """Gallery rows, int64, shape (k,)."""
    scores: Floats
    """As the index gives them, float32, shape (k,): squared distances (l2) or inner products (ip)."""
    ids: Sequence[str]
    milliseconds: float
    """What this very search took, embedding apart."""

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Comparison:
    """What the index found beside the exact neighbours."""

    found: Hits
    exact: Hits
    missed: frozenset[int]
    """Rows of ``exact`` that the index did not return; of rows that tie at the last place, any will do."""
    wrong: frozenset[int]
    """Rows of ``found`` that are not exact neighbours and do not tie with the last of them."""

    @property
    def recall(self) -> float:
        """``knn_recall`` of this query, as the measure of that name defines it."""
        return (len(self.found) - len(self.wrong)) / len(self.exact)


def compare(
    found: Hits, exact: Hits, distances: Callable[[Rows], Floats], sign: int, tolerance: float
) -> Comparison:
    """Return which exact neighbours were missed, and what was found in their places.

    ``distances``: the true scores of gallery rows; ``sign`` × score is the smaller, the nearer. Scores within
    the relative ``tolerance`` of the last exact one tie with it.
    """
    true, returned = exact.rows.tolist(), found.rows.tolist()
    last = sign * float(exact.scores[-1])
    margin = tolerance * abs(last)
    others = [row for row in returned if row not in set(true)]
    costs = sign * distances(np.array(others, np.int64))
    wrong = frozenset(row for row, cost in zip(others, costs, strict=True) if cost > last + margin)
    absent = [place for place, row in enumerate(true) if row not in set(returned)]
    tied = [place for place in absent if sign * exact.scores[place] >= last - margin]
    replaced = tied[: len(others) - len(wrong)]
    missed = frozenset(true[place] for place in absent if place not in replaced)
    return Comparison(found, exact, missed, wrong)


def is_image_path(word: str) -> bool:
    """Return whether ``word`` names an image file, there or not, rather than being a caption.

    It does if there is such a file, if it begins as a path does (``/ ./ ../ ~``) or ends as an image file
    does (``.jpg``, ``.png`` …).
    """
    try:
        there = Path(word).expanduser().exists()
    except (OSError, ValueError, RuntimeError):  # longer than a name can be, or holds what no name can
        there = False
    ending = Path(word).suffix.lower()
    return there or word.startswith(PATH_STARTS) or ending in EXTENSIONS | UNREADABLE_EXTENSIONS


def read_query(word: str | os.PathLike[str], max_pixels: int) -> Image.Image | str:
    """Return the image or the caption that ``word`` is, see :func:`is_image_path`.

    Raises QueryError for an empty caption and for an image that cannot be read.
    """
    if isinstance(word, str) and not is_image_path(word):
        if not word.strip():
            raise QueryError("an empty caption finds nothing; name an image, or say what it shows")
        return word
    try:
        return decode(Path(word).expanduser(), max_pixels)
    except ImageError as error:
        reason = str(error).partition("; ")[0]
        shown = printable(str(word)).replace("\n", "\\n")
        raise QueryError(f"{shown} cannot be searched for: {reason}; name another image") from error
