"""Inverted lists of vectors at one byte per dimension."""

from __future__ import annotations

from dataclasses import dataclass

from lookalike.index.families.inverted_lists import InvertedLists


@dataclass
class IvfSq8Index(InvertedLists):
    """Inverted lists of vectors at one byte per dimension."""

    family: str = "ivf_sq8"

    colour = "#56b4e9"
    hue = 185

    def codes(self) -> str:
        return "SQ8"
