"""The runs that can be opened for searching."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lookalike.runs.catalog import FOLDERS, RunPlace, best_point, records_below


@dataclass(frozen=True)
class Choice:
    """One index over one gallery, and what a person reads of it."""

    selector: str
    """As ``find_run`` takes it."""
    title: str


def choice_of(place: RunPlace) -> Choice:
    """The choice that opens exactly this operating point."""
    record, index = place.record, place.record.index
    shape = " ".join(f"{name}={value}" for name, value in place.point.index_settings.items())
    what = " ".join(part for part in (str(index["family"]), shape) if part)
    data = record.data
    return Choice(
        f"{place.folder.resolve()}:{place.point.label}",
        f"{what} · {record.model['name']} · {data['dataset']}, {data['gallery_size']:,} images",
    )


def choices(root: Path) -> list[Choice]:
    """The newest run of every index under ``root`` that has images and a model, newest first.

    Settings of the search make no choices of their own (they are set in the app): a run opens at its best
    operating point.
    """
    found = sorted(_measured(root), key=lambda place: place.record.started, reverse=True)
    newest: dict[tuple[str, str], Choice] = {}
    for place in found:
        index = place.record.index
        key = (str(place.record.data["gallery_key"]), str(index.get("key") or index["family"]))
        newest.setdefault(key, choice_of(place))
    return list(newest.values())


def _measured(root: Path) -> Iterator[RunPlace]:
    for above in FOLDERS:
        for folder, record in records_below(root / above):
            if record.points and record.data.get("dataset") != "embeddings":
                yield best_point([RunPlace(folder, record, point) for point in record.points])
