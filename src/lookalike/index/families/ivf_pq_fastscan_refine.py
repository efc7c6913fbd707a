"""A product quantiser in SIMD registers, then re-ranking."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from lookalike.index.families.family import Centroids
from lookalike.index.families.inverted_lists import InvertedLists, division_faults, parts_worth_trying
from lookalike.schemas.fields import bounded, choice

REFINEMENTS = ("SQ8", "Flat")


@dataclass
class IvfPqFastscanRefineIndex(InvertedLists):
    """4-bit product quantiser in SIMD registers, then re-ranking by 8-bit codes of the full vector."""

    family: str = "ivf_pq_fastscan_refine"
    pq_m: int = bounded(128, minimum=1)
    """Parts that a vector is cut into, 4 bits each."""
    refine: str = choice("SQ8", of=REFINEMENTS)
    """What the re-ranking step stores."""

    colour = "#e69f00"
    hue = 50
    ladder_step = 4

    def codes(self) -> str:
        return f"PQ{self.pq_m}x4fs,Refine({self.refine})"

    def search_settings(self) -> tuple[str, ...]:
        return ("nprobe", "k_factor")

    def build_faults(self, d: int | None) -> Iterator[str]:
        yield from division_faults(self.pq_m, d, f"the vectors' {d} dimensions")

    def centroids(self, d: int | None) -> Iterable[Centroids]:
        cure = "choose a family without a product quantiser, or take more images"
        return [*super().centroids(d), Centroids("a code of 4 bits", 16, cure)]

    def builds(self, n: int, d: int) -> Iterable[dict[str, Any]]:
        for lists in super().builds(n, d):
            for pq_m in parts_worth_trying(d):
                yield {**lists, "pq_m": pq_m}
