"""What each index family is to FAISS: its factory string, its search settings, what can be wrong with it.

FAISS itself is asked only about strings that a user wrote, and imported only then.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from lookalike import schemas
from lookalike.errors import IndexingError
from lookalike.schemas import Index

EXHAUSTIVE = ("brute_force", "flat")
"""Families that compare a query with every vector: exact."""
METRICS = ("l2", "ip")
REFINEMENTS = ("SQ8", "Flat")
COUNTS = ("nlist", "pq_m", "opq_d", "ef_construction", "train_size", "threads")
"""Fields that hold a whole number of 1 or more, where a family has them."""
RANGES = {"pq_bits": (1, 16), "bits": (1, 9), "hnsw_m": (2, 1024)}
"""Fields that FAISS takes within bounds."""
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


@dataclass(frozen=True)
class Family:
    """How one schema class becomes a FAISS index."""

    factory: Callable[[Any, int], str]
    """(config, dimensions) → factory string."""
    settings: Callable[[Any], tuple[str, ...]]
    """Search settings that the index has, of ``nprobe``, ``ef_search`` and ``k_factor``."""


def _has(*names: str) -> Callable[[Any], tuple[str, ...]]:
    return lambda config: names


def _ivf_pq(config: schemas.IvfPqIndex | schemas.OpqIvfPqIndex) -> str:
    """``np``: without polysemous training, which reorders centroids for a filter that we do not use, for 50 ×
    the time of everything else.
    """
    return f"IVF{config.nlist},PQ{config.pq_m}x{config.pq_bits}np"


FAMILIES: dict[type[Index], Family] = {
    schemas.BruteForceIndex: Family(lambda c, d: "", _has()),
    schemas.FlatIndex: Family(lambda c, d: "Flat", _has()),
    schemas.IvfFlatIndex: Family(lambda c, d: f"IVF{c.nlist},Flat", _has("nprobe")),
    schemas.IvfSq8Index: Family(lambda c, d: f"IVF{c.nlist},SQ8", _has("nprobe")),
    schemas.IvfPqIndex: Family(lambda c, d: _ivf_pq(c), _has("nprobe")),
    schemas.IvfPqFastscanRefineIndex: Family(
        lambda c, d: f"IVF{c.nlist},PQ{c.pq_m}x4fs,Refine({c.refine})", _has("nprobe", "k_factor")
    ),
    schemas.OpqIvfPqIndex: Family(lambda c, d: f"OPQ{c.pq_m}_{c.opq_d or d},{_ivf_pq(c)}", _has("nprobe")),
    schemas.HnswIndex: Family(lambda c, d: f"HNSW{c.hnsw_m},Flat", _has("ef_search")),
    schemas.IvfRabitqIndex: Family(
        lambda c, d: f"RR{d},IVF{c.nlist},RaBitQ{c.bits},Refine({c.refine})", _has("nprobe", "k_factor")
    ),
    schemas.FactoryIndex: Family(lambda c, d: str(c.factory), lambda c: _settings_in(c.factory)),
}


def factory_string(config: Index, d: int) -> str:
    """FAISS's description of the index for vectors of ``d`` dimensions; empty for ``brute_force``.

    ValueError while the number of lists is open (see ``resolving``).
    """
    if getattr(config, "nlist", 0) is None:
        raise ValueError("index.nlist is null; resolve the experiment first")
    return FAMILIES[type(config)].factory(config, d)


def settings_of(config: Index) -> tuple[str, ...]:
    """Names of the search settings that the index has, in the order in which they are shown."""
    return FAMILIES[type(config)].settings(config)


def named_numbers(factory: str) -> dict[str, Any]:
    """The factory string with its telling numbers taken out, each by its name; one to one."""
    numbers: dict[str, int] = {}
    for name, pattern in NAMED_NUMBERS.items():
        if found := re.search(pattern, factory):
            numbers[name] = _number(found[1])
            factory = f"{factory[: found.start(1)]}{{{name}}}{factory[found.end(1) :]}"
    return {"factory": factory, **numbers}


def nlist_of(config: Index) -> int | None:
    """Number of inverted lists; None when the index has none."""
    if isinstance(config, schemas.FactoryIndex):
        return nlist_in(config.factory)
    return getattr(config, "nlist", None)


def nlist_in(factory: str) -> int | None:
    """Number of inverted lists of what a factory string describes; None when it has none."""
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

    What refines is left out: it is asked for single vectors and not searched.
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


def faults(config: Index, d: int | None = None, n: int | None = None) -> list[str]:
    """Everything that makes the index impossible, each with its cure; empty when nothing does.

    ``d``: the vectors' dimensions, ``n``: the gallery's size; what needs an unknown one is not checked.
    """
    found = [*_range_faults(config)]
    if not found:
        found += _division_faults(config, d)
    if not found and isinstance(config, schemas.FactoryIndex):
        found += _factory_faults(config, d)
    if not found and config.shards_apart:
        found += _apart_faults(config, d)
    if not found and n is not None:
        found += _size_faults(config, d, n)
    return found


def _range_faults(config: Index) -> Iterator[str]:
    if config.metric not in METRICS:
        yield f"index.metric={config.metric} is unknown; choose one of {', '.join(METRICS)}"
    refine = getattr(config, "refine", REFINEMENTS[0])
    if refine not in REFINEMENTS:
        yield f"index.refine={refine} is unknown; choose one of {', '.join(REFINEMENTS)}"
    for name in COUNTS:
        count: int | None = getattr(config, name, None)
        if count is not None and count < 1:
            yield f"index.{name}={count} is not positive; give 1 or more"
    for name, (lowest, highest) in RANGES.items():
        value: int = getattr(config, name, lowest)
        if not lowest <= value <= highest:
            yield f"index.{name}={value} is out of range; give {lowest} to {highest}"


def _division_faults(config: Index, d: int | None) -> Iterator[str]:
    """A product quantiser cuts vectors into ``pq_m`` equal parts."""
    parts: int | None = getattr(config, "pq_m", None)
    reduced: int | None = getattr(config, "opq_d", None)
    whole = reduced or d
    if parts is None or whole is None or whole % parts == 0:
        return
    divisors = [m for m in range(1, whole + 1) if whole % m == 0]
    below = max((m for m in divisors if m < parts), default=None)
    above = min((m for m in divisors if m > parts), default=None)
    near = " or ".join(str(m) for m in (above, below) if m is not None)
    target = f"index.opq_d={reduced}" if reduced else f"the vectors' {d} dimensions"
    yield f"index.pq_m={parts} does not divide {target}; try {near}"


def _factory_faults(config: schemas.FactoryIndex, d: int | None) -> Iterator[str]:
    """FAISS's opinion of the string; without ``d`` only of what is true of all dimensions."""
    from lookalike.index.structure import blank_index

    text = config.factory
    if not text.strip():
        yield f"index.factory is empty; give a FAISS factory string ({QUOTING})"
        return
    try:
        blank_index(text, d or 64, config.metric)
    except IndexingError as error:
        if d is None and not WITHOUT_DIMENSIONS.search(str(error)):
            return
        hint = "" if "," in text else f"; {QUOTING}"
        yield f"index.factory={text} is nothing FAISS can make: {error}; mend the string{hint}"


def _apart_faults(config: Index, d: int | None) -> Iterator[str]:
    """The parts could not be merged; FAISS is asked, for it alone knows of every kind of index."""
    from lookalike.index.merging import why_unmergeable
    from lookalike.index.structure import blank_index

    cure = f"leave it out of index={config.family}"
    if isinstance(config, schemas.BruteForceIndex):
        yield f"index.shards_apart=true needs an index, and brute_force builds none; {cure}"
    elif getattr(config, "nlist", 1) is None:
        return  # the index is looked at again when its number of lists is chosen
    elif d is not None and (
        reason := why_unmergeable(blank_index(factory_string(config, d), d, config.metric))
    ):
        yield f"index.shards_apart=true cannot be, because {reason}; {cure}"


def _size_faults(config: Index, d: int | None, n: int) -> Iterator[str]:
    """The gallery, or the training sample, is too small for the centroids."""
    from lookalike.index.structure import blank_index, centroids_of

    centroids = {"index.nlist": nlist_of(config) or 0}
    bits = 4 if isinstance(config, schemas.IvfPqFastscanRefineIndex) else getattr(config, "pq_bits", None)
    if bits is not None:
        centroids["2 to the power of index.pq_bits"] = 2**bits
    if isinstance(config, schemas.FactoryIndex) and d is not None:
        centroids = {"index.factory": centroids_of(blank_index(config.factory, d, config.metric))}
    if isinstance(config, schemas.OpqIvfPqIndex):
        centroids["the rotation's training"] = 256
    name, needed = max(centroids.items(), key=lambda item: item[1])
    if needed > n:
        yield f"{name} needs {needed:,} centroids and the gallery has {n:,} vectors; {_smaller(name)}"
    elif config.train_size is not None and needed > config.train_size:
        yield (
            f"{name} needs {needed:,} centroids and index.train_size={config.train_size} is fewer vectors; "
            f"raise index.train_size to {39 * needed:,} or more, or {_smaller(name)}"
        )


def _smaller(name: str) -> str:
    return {
        "index.nlist": "lower nlist, or take more images",
        "index.factory": "lower its numbers of lists and bits, or take more images",
        "2 to the power of index.pq_bits": "lower pq_bits, or take more images",
    }.get(name, "choose a family without OPQ, or take more images")
