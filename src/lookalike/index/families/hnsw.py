"""A navigable small-world graph over full vectors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lookalike.index.families.family import Family
from lookalike.schemas.fields import bounded


@dataclass
class HnswIndex(Family):
    """A navigable small-world graph over full vectors."""

    family: str = "hnsw"
    hnsw_m: int = bounded(32, minimum=2, maximum=1024)
    """Links of a vector."""
    ef_construction: int = bounded(40, minimum=1)
    """Vectors considered for the links of each new one."""

    colour = "#009e73"
    hue = 145

    def factory_string(self, d: int) -> str:
        return f"HNSW{self.hnsw_m},Flat"

    def search_settings(self) -> tuple[str, ...]:
        return ("ef_search",)

    def builds(self, n: int, d: int) -> Iterable[dict[str, Any]]:
        for hnsw_m in (16, 32, 64):
            yield {"hnsw_m": hnsw_m, "ef_construction": max(self.ef_construction, 2 * hnsw_m)}
