"""Operating points: which search settings a run goes through, and which of them are impossible."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from lookalike import schemas
from lookalike.index.families.family import FAISS_DEFAULTS

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Point:
    """One operating point: ``k`` and the values of the index's search settings, sorted by name."""

    settings: tuple[tuple[str, int], ...]

    @classmethod
    def of(cls, **settings: int) -> Point:
        """A point from names and values."""
        return cls(tuple(sorted(settings.items())))

    @property
    def k(self) -> int:
        """How many neighbours one search asks for."""
        return dict(self.settings)["k"]

    @property
    def label(self) -> str:
        """``nprobe=8``; empty for an index without search settings."""
        return " ".join(f"{name}={value}" for name, value in self.settings if name != "k")

    def as_dict(self) -> dict[str, int]:
        """Settings by name, ``k`` included."""
        return dict(self.settings)


def expand_points(search: schemas.Search, index: schemas.Index) -> tuple[list[Point], list[str]]:
    """All operating points of one run, each once, in order; and notices of what was left out.

    A setting's values are those that ``search`` names (a value or a list), else, with ``search.ladder``, the
    index's ladder, else the index's ``point``, else FAISS's own default; several settings make a product.
    What a user names is taken as it is, possible or not (see :func:`point_faults`); values of the index
    config that exceed ``nlist`` are dropped or lowered. Values are within their fields' bounds.
    """
    notices: list[str] = []
    axes = {name: _values(name, search, index, notices) for name in index.search_settings()}
    for name in FAISS_DEFAULTS:
        if getattr(search, name) is not None and name not in axes:
            notices.append(f"search.{name} is left out: index={index.family} has no such setting")
    points = [
        Point.of(k=k_of(search), **dict(zip(axes, values, strict=True))) for values in product(*axes.values())
    ]
    return list(dict.fromkeys(points)), notices


def k_of(search: schemas.Search) -> int:
    """How many neighbours a search asks for; ValueError while that is open (see ``runs.resolving``)."""
    if search.k is None:
        raise ValueError("search.k is null; resolve the experiment first")
    return search.k


def _values(name: str, search: schemas.Search, index: schemas.Index, notices: list[str]) -> list[int]:
    """The values one setting takes; what had to be left out is added to ``notices``."""
    named = getattr(search, name)
    if named is not None:
        return _as_list(named)
    limit = index.list_count() if name == "nprobe" else None
    if search.ladder and (steps := index.ladder.get(name)):
        possible = [step for step in steps if limit is None or step <= limit]
        if dropped := [step for step in steps if step not in possible]:
            values = ", ".join(map(str, dropped))
            notices.append(f"the ladder goes without {name}={values}: index.nlist is {limit}")
        if possible:
            return possible
    value = index.point.get(name) or FAISS_DEFAULTS[name]
    if limit is not None and value > limit:
        notices.append(f"{name} is {limit} instead of {value}: index.nlist is {limit}")
        return [limit]
    return [value]


def point_faults(point: Point, index: schemas.Index, n: int | None = None) -> list[str]:
    """Why the index cannot be searched so, each reason with its cure; ``n``: the gallery's size, if known."""
    found = []
    settings, nlist = point.as_dict(), index.list_count()
    nprobe = settings.get("nprobe")
    if nprobe is not None and nlist is not None and nprobe > nlist:
        found.append(f"search.nprobe={nprobe} exceeds index.nlist={nlist}; lower nprobe or raise nlist")
    return found + ([] if n is None else k_faults(point.k, n))


def k_faults(k: int, n: int) -> list[str]:
    """Return why no search for ``k`` neighbours is possible in a gallery of ``n`` images."""
    if k > n:
        return [f"search.k={k} exceeds the gallery's {n:,} images; lower k or take more images"]
    return []


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
