"""A learned rotation before the product quantiser."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from lookalike.index.families.family import Centroids
from lookalike.index.families.inverted_lists import division_faults
from lookalike.index.families.ivf_pq import IvfPqIndex
from lookalike.schemas.fields import bounded


@dataclass
class OpqIvfPqIndex(IvfPqIndex):
    """A learned rotation (to ``opq_d`` dimensions) before the product quantiser."""

    family: str = "opq_ivf_pq"
    opq_d: int | None = bounded(None, minimum=1)
    """Output dimension of the rotation; null: the vectors' own."""

    colour = "#cc79a7"
    hue = 325

    def factory_string(self, d: int) -> str:
        return f"OPQ{self.pq_m}_{self.opq_d or d},{super().factory_string(d)}"

    def build_faults(self, d: int | None) -> Iterator[str]:
        if self.opq_d is None:
            return super().build_faults(d)
        return division_faults(self.pq_m, self.opq_d, f"index.opq_d={self.opq_d}")

    def centroids(self, d: int | None) -> Iterable[Centroids]:
        cure = "choose a family without OPQ, or take more images"
        return [*super().centroids(d), Centroids("the rotation's training", 256, cure)]

    def builds(self, n: int, d: int) -> Iterable[dict[str, Any]]:
        return super().builds(n, self.opq_d or d)
