"""Which vectors can be searched: finite, and neither too short nor too long for float32."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from lookalike.errors import DatasetError

LARGEST_SQUARE = float(np.finfo(np.float32).max) / 4
"""A vector's squared length at most: the squared distance of two such is up to four times that."""
SMALLEST_SQUARE = 1e-30
"""Of a block's longest vector: differences of shorter ones are lost when float32 squares them."""
SMALLEST_LENGTH = float(np.finfo(np.float32).tiny)
"""Of a vector whose direction is compared: shorter ones have lost digits."""


def check_vectors(
    block: np.ndarray, first_row: int, location: Callable[[int], str], of_directions: bool = True
) -> npt.NDArray[np.float64]:
    """Return the squared lengths of ``block``'s rows, shape (rows,), once they are known to be usable.

    Raises DatasetError naming the first row that holds NaN or infinity, or that float32 cannot rank by: where
    directions are compared (``of_directions``) one that is zero or shorter than float32's normal numbers;
    else one so long that its square overflows, or a block in which all squares vanish.
    ``first_row`` is the block's first row in its set, ``location`` says where a row of the set is stored
    (``VectorSet.location``).
    """
    squares: npt.NDArray[np.float64] = np.einsum("ij,ij->i", block, block, dtype=np.float64)
    longest = float(squares.max(initial=0.0))
    usable = np.isfinite(squares)
    usable &= squares >= SMALLEST_LENGTH**2 if of_directions else squares <= LARGEST_SQUARE
    if not usable.all():
        suspects = np.flatnonzero(~usable)
        row = int(suspects[0])
        others = f" (and {len(suspects) - 1:,} more in the same block)" if len(suspects) > 1 else ""
        what, cure = _fault(float(squares[row]), of_directions)
        raise DatasetError(f"the vector at {location(first_row + row)} {what}{others}; {cure}")
    if not of_directions and 0 < longest < SMALLEST_SQUARE:
        raise DatasetError(
            f"the vectors from {location(first_row)} on are at most {longest**0.5:.3g} long, and float32 "
            f"cannot tell their squares apart; multiply all vectors by {round_factor(longest**-0.5)}, or "
            "compare directions: dataset.normalize=true"
        )
    return squares


def _fault(square: float, of_directions: bool) -> tuple[str, str]:
    """What is wrong with a vector of that squared length, and what to do."""
    if square == 0:
        return "is all zeros", (
            "remove it or embed its image again, or leave out all that have no direction: "
            "dataset.drop_zeros=true (of an import: --drop-zeros)"
        )
    if not np.isfinite(square):
        return "holds NaN or infinity", "remove it or embed its image again"
    length = square**0.5
    what = f"is {length:.3g} long, and float32 cannot"
    if of_directions:
        return f"{what} hold all its digits", f"multiply all vectors by {round_factor(1 / length)}"
    return f"{what} hold its square", (
        f"divide all vectors by {round_factor(length)}, or compare directions: dataset.normalize=true"
    )


def round_factor(number: float) -> str:
    """Return a power of ten near ``number``."""
    return f"1e{round(np.log10(number))}"
