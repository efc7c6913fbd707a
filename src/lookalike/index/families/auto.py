"""The family that the gallery's size chooses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

from lookalike.index.families.family import Family
from lookalike.index.families.flat import FlatIndex
from lookalike.index.families.ivf_flat import IvfFlatIndex
from lookalike.schemas import Index
from lookalike.schemas.fields import bounded

EXACT_UP_TO = 20_000
"""Vectors up to which exact search takes a few milliseconds at most: an index gains nothing that is felt."""


@dataclass
class AutoIndex(Family):
    """No family yet: exact search where N images need no index, else inverted lists of full vectors."""

    family: str = "auto"
    nlist: int | None = bounded(None, minimum=1)
    """Number of inverted lists, which chooses an index that has them; null: as N asks for."""

    def factory_string(self, d: int) -> str:
        raise ValueError("index=auto names no family; resolve the experiment first")

    def list_count(self) -> int | None:
        return self.nlist

    def merge_faults(self, d: int | None) -> Iterator[str]:
        yield from ()  # both families that it may become can be merged

    def resolved(self, n: int, k: int) -> Index:
        return self._family_for(n).resolved(n, k)

    def candidates(self, n: int, d: int, k: int = 100) -> list[Index]:
        return self._family_for(n).candidates(n, d, k)

    def _family_for(self, n: int) -> Index:
        common = {each.name: getattr(self, each.name) for each in fields(Index) if each.name != "family"}
        if self.nlist is None and n <= EXACT_UP_TO:
            return FlatIndex(**common | {"point": {}, "ladder": {}})
        return IvfFlatIndex(**common, nlist=self.nlist)
