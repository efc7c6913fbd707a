"""Exhaustive search with numpy, without FAISS: see ``index.searchers``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lookalike.index.families.family import ExactFamily


@dataclass
class BruteForceIndex(ExactFamily):
    """numpy matrix products and a partial sort: the baseline without FAISS."""

    family: str = "brute_force"

    colour = "#7f7f7f"

    def factory_string(self, d: int) -> str:
        return ""

    def merge_faults(self, d: int | None) -> Iterator[str]:
        yield self._unmergeable("needs an index, and brute_force builds none")
