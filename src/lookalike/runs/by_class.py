"""Results by class in a record: the worst classes, the most frequent confusions, and tables of all."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lookalike.evaluate.classes import ClassResults
from lookalike.runs.files import writing_results
from lookalike.store.files import atomic_write

WORST, CONFUSIONS, WITH = 20, 30, 3
"""How many classes and confusions a record holds, and with how many others each class."""
LONGEST_NAME = 80
"""Longer names of classes end in ``…`` in the record; the tables have them whole."""


@dataclass
class Confusion:
    """Queries of one class whose first result is of another."""

    name: str
    other: str
    queries: int


@dataclass
class ClassRecord:
    """One class."""

    name: str
    queries: int
    """Those that count: something is relevant to them."""
    gallery: int
    """Its images in the gallery."""
    hit_rate_at_1: float
    """Share of its queries whose first result is relevant."""
    means: dict[str, float] = field(default_factory=dict)
    """``precision@10``, ``relevant_recall@100``: mean over its queries."""
    confused_with: list[Confusion] = field(default_factory=list)
    """The most frequent first."""


@dataclass
class ByClass:
    """What an operating point's record holds of its classes."""

    classes: int
    """Those that have queries which count."""
    not_right_first: int
    """Queries whose first result is not relevant: what the confusions add up to."""
    worst: list[ClassRecord] = field(default_factory=list)
    """The lowest hit rate first; of equal ones that of more queries."""
    confusions: list[Confusion] = field(default_factory=list)
    """The most frequent first."""
    table: str | None = None
    """All classes as CSV, relative to the record's folder; so is ``confusions_table``."""
    confusions_table: str | None = None


def save_by_class(results: ClassResults, beside: Path, folder: Path) -> ByClass:
    """Write both tables next to ``beside``, which lies in the record's ``folder``, and return the record."""
    names = results.classes.names
    of, others, counts = (column.tolist() for column in results.confusions)
    heads = ["class", "queries", "gallery", "hit_rate@1", *results.means, "first results of other classes"]

    def lines() -> Iterable[Sequence[Any]]:
        yield heads
        for place, number in enumerate(results.numbers.tolist()):
            with_others = results.confused_with(number, WITH)
            shares = [results.hit_rate[place], *(mean[place] for mean in results.means.values())]
            yield [
                names[number],
                results.queries[place],
                results.gallery[place],
                *(f"{share:.4g}" for share in shares),
                "; ".join(f"{name} ({count})" for name, count in with_others),
            ]

    def pairs() -> Iterable[Sequence[Any]]:
        yield ["class", "class of the first result", "queries"]
        for number, other, count in zip(of, others, counts, strict=True):
            yield [names[number], results.classes.name(other), count]

    with writing_results(beside.parent):
        table = _save(beside.with_suffix(".classes.csv"), lines)
        confusions_table = _save(beside.with_suffix(".confusions.csv"), pairs)
    return ByClass(
        classes=len(results.numbers),
        not_right_first=sum(counts),
        worst=[_class_record(results, place) for place in range(min(WORST, len(results.numbers)))],
        confusions=[
            Confusion(_short(names[number]), _short(results.classes.name(other)), count)
            for number, other, count in list(zip(of, others, counts, strict=True))[:CONFUSIONS]
        ],
        table=table.relative_to(folder).as_posix(),
        confusions_table=confusions_table.relative_to(folder).as_posix(),
    )


def _class_record(results: ClassResults, place: int) -> ClassRecord:
    number = int(results.numbers[place])
    return ClassRecord(
        name=_short(results.classes.names[number]),
        queries=int(results.queries[place]),
        gallery=int(results.gallery[place]),
        hit_rate_at_1=float(results.hit_rate[place]),
        means={name: float(mean[place]) for name, mean in results.means.items()},
        confused_with=[
            Confusion(_short(results.classes.names[number]), _short(other), count)
            for other, count in results.confused_with(number, WITH)
        ],
    )


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def _save(path: Path, lines: Callable[[], Iterable[Sequence[Any]]]) -> Path:
    with (
        atomic_write(path) as draft,
        draft.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        csv.writer(file, lineterminator="\n").writerows(lines())
    return path
