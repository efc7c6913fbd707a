"""Inverted lists of product-quantised residuals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from lookalike.index.families.family import Centroids
from lookalike.index.families.inverted_lists import InvertedLists, division_faults, parts_worth_trying
from lookalike.schemas.fields import bounded


@dataclass
class IvfPqIndex(InvertedLists):
    """Inverted lists of product-quantised residuals."""

    family: str = "ivf_pq"
    pq_m: int = bounded(64, minimum=1)
    """Parts that a vector is cut into, a code each."""
    pq_bits: int = bounded(8, minimum=1, maximum=16)
    """Bits of a code."""

    colour = "#d55e00"
    hue = 25

    def codes(self) -> str:
        """``np``: without polysemous training, which reorders centroids for a filter that we do not use, for
        50 × the time of everything else.
        """
        return f"PQ{self.pq_m}x{self.pq_bits}np"

    def build_faults(self, d: int | None) -> Iterator[str]:
        yield from division_faults(self.pq_m, d, f"the vectors' {d} dimensions")

    def centroids(self, d: int | None) -> Iterable[Centroids]:
        cure = "lower pq_bits, or take more images"
        return [*super().centroids(d), Centroids("2 to the power of index.pq_bits", 2**self.pq_bits, cure)]

    def builds(self, n: int, d: int) -> Iterable[dict[str, Any]]:
        for lists in super().builds(n, d):
            for pq_m in parts_worth_trying(d):
                yield {**lists, "pq_m": pq_m}
