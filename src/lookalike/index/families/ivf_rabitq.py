"""Inverted lists of RaBitQ codes, re-ranked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lookalike.index.families.inverted_lists import InvertedLists
from lookalike.schemas.fields import bounded, choice


@dataclass
class IvfRabitqIndex(InvertedLists):
    """Inverted lists of one-bit RaBitQ codes behind a random rotation, re-ranked."""

    family: str = "ivf_rabitq"
    bits: int = bounded(1, minimum=1, maximum=9)
    """Bits of a code, per dimension."""
    refine: str = choice("SQ8", of=("SQ8", "Flat"))
    """What the re-ranking step stores."""

    colour = "#8c564b"
    hue = 270
    ladder_step = 4

    def factory_string(self, d: int) -> str:
        return f"RR{d},{super().factory_string(d)}"

    def codes(self) -> str:
        return f"RaBitQ{self.bits},Refine({self.refine})"

    def search_settings(self) -> tuple[str, ...]:
        return ("nprobe", "k_factor")

    def builds(self, n: int, d: int) -> Iterable[dict[str, Any]]:
        for lists in super().builds(n, d):
            for bits in (1, 2, 4):
                yield {**lists, "bits": bits}
