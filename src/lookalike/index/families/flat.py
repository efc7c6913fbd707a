"""FAISS's exhaustive search."""

from __future__ import annotations

from dataclasses import dataclass

from lookalike.index.families.family import ExactFamily


@dataclass
class FlatIndex(ExactFamily):
    """FAISS's exhaustive search."""

    family: str = "flat"

    colour = "#000000"

    def factory_string(self, d: int) -> str:
        return "Flat"
