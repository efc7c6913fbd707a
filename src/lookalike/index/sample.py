"""The vectors that an index is trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lookalike.index.filling import BLOCK_ROWS
from lookalike.machine.mapping import forget

if TYPE_CHECKING:
    from lookalike.embed.embeddings import Embeddings


def draw_sample(gallery: Embeddings, size: int, seed: int) -> npt.NDArray[np.float32]:
    """A seeded sample of ``size`` different vectors in gallery order; beside it one block is in memory."""
    rows = np.sort(np.random.default_rng(seed).choice(len(gallery), size, replace=False))
    sample = np.empty((size, gallery.dim), np.float32)
    for start, block in gallery.blocks(BLOCK_ROWS):
        first, last = np.searchsorted(rows, [start, start + len(block)])
        sample[first:last] = block[rows[first:last] - start]
        forget(block)
    return sample
