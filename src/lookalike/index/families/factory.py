"""Any FAISS factory string, and what the string alone says of its index."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from lookalike.errors import IndexingError
from lookalike.index.families.family import Centroids, Family

NAMED_NUMBERS = {"nlist": r"\bIVF(\d+[kM]?)", "pq_m": r"\bPQ(\d+)", "hnsw_m": r"\bHNSW(\d+)"}
"""Numbers of a factory string that a recipe shows by name, to say "nlist 64 → 128" when one changes."""
SUFFIXES = {"k": 1024, "M": 1024**2}
"""What FAISS multiplies a number of lists with."""
REFINE = re.compile(r"RFlat|Refine(Panorama)?\(.*\)")
LISTS = re.compile(
    r"IVF(?P<nlist>\d+[kM]?)(_(?P<graph>HNSW\d*)|_NSG\d+|\((?P<coarse>.*)\))?|IMI2x(?P<bits>\d+)"
)
GRAPH = re.compile(r"HNSW\d*(_.*)?")
WITHOUT_DIMENSIONS = re.compile("parse|parenthes|out of range|METRIC|metric|IDMap|lists|search|refine|add")
"""What FAISS's reason has in it when it is true of vectors of any dimension."""
QUOTING = "a comma inside one has to be quoted twice: 'index.factory=\"IVF64,Flat\"'"


@dataclass
class FactoryIndex(Family):
    """Any FAISS factory string."""

    family: str = "factory"
    factory: str = ""

    colour = "#9467bd"
    ladder_step = 4

    def factory_string(self, d: int) -> str:
        return self.factory

    def search_settings(self) -> tuple[str, ...]:
        return _settings_in(self.factory)

    def list_count(self) -> int | None:
        return nlist_in(self.factory)

    def build_faults(self, d: int | None) -> Iterator[str]:
        """Yield FAISS's opinion of the string; without ``d`` only what is true of all dimensions."""
        from lookalike.index.structure import blank_index

        if not self.factory.strip():
            yield f"index.factory is empty; give a FAISS factory string ({QUOTING})"
            return
        try:
            blank_index(self.factory, d or 64, self.metric)
        except IndexingError as error:
            if d is None and not WITHOUT_DIMENSIONS.search(str(error)):
                return
            hint = "" if "," in self.factory else f"; {QUOTING}"
            yield f"index.factory={self.factory} is nothing FAISS can make: {error}; mend the string{hint}"

    def centroids(self, d: int | None) -> Iterable[Centroids]:
        from lookalike.index.structure import blank_index, centroids_of

        if d is None:
            count, setting = self.list_count() or 0, "index.nlist"
        else:
            count, setting = centroids_of(blank_index(self.factory, d, self.metric)), "index.factory"
        return [Centroids(setting, count, "lower its numbers of lists and bits, or take more images")]


def named_numbers(factory: str) -> dict[str, Any]:
    """Return the factory string with its telling numbers taken out, each by its name; one to one."""
    numbers: dict[str, int] = {}
    for name, pattern in NAMED_NUMBERS.items():
        if found := re.search(pattern, factory):
            numbers[name] = _number(found[1])
            factory = f"{factory[: found.start(1)]}{{{name}}}{factory[found.end(1) :]}"
    return {"factory": factory, **numbers}


def nlist_in(factory: str) -> int | None:
    """Return the number of inverted lists of what a factory string describes; None when it has none."""
    lists, _ = _searched_first(factory)
    if lists is None:
        return None
    return _number(lists["nlist"]) if lists["nlist"] else 4 ** int(lists["bits"])


def _number(text: str) -> int:
    """``64``, ``1k`` or ``2M``, as FAISS reads them."""
    return int(text.rstrip("kM")) * SUFFIXES.get(text[-1], 1)


def _settings_in(factory: str) -> tuple[str, ...]:
    """The settings of an index that is known by its factory string only.

    ``ef_search`` of an ``IVF…_HNSW…`` or ``IVF…(HNSW…)`` is that of its coarse quantiser.
    """
    lists, graph = _searched_first(factory)
    if lists is not None:
        graph = bool(lists["graph"]) or "ef_search" in _settings_in(lists["coarse"] or "")
    refines = any(REFINE.fullmatch(word) for word in _words(factory))
    found = {"nprobe": lists is not None, "ef_search": graph, "k_factor": refines}
    return tuple(name for name, has in found.items() if has)


def _searched_first(factory: str) -> tuple[re.Match[str] | None, bool]:
    """The word for inverted lists, and whether there is a graph instead.

    A refining index is left out: it returns single vectors and is not searched.
    """
    words = [word for word in _words(factory) if not REFINE.fullmatch(word)]
    lists = next(filter(None, map(LISTS.fullmatch, words)), None)
    return lists, lists is None and any(map(GRAPH.fullmatch, words))


def _words(factory: str) -> list[str]:
    """The string cut at its commas, those inside parentheses excepted."""
    words, depth = [""], 0
    for character in factory:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            words.append("")
        else:
            words[-1] += character
    return words
