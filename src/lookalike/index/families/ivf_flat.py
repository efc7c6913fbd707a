"""Inverted lists of full vectors."""

from __future__ import annotations

from dataclasses import dataclass

from lookalike.index.families.inverted_lists import InvertedLists


@dataclass
class IvfFlatIndex(InvertedLists):
    """Inverted lists of full vectors."""

    family: str = "ivf_flat"

    colour = "#0072b2"
    hue = 215

    def codes(self) -> str:
        return "Flat"
