"""What a query found, as words for a terminal, lines for a pipe, JSON for a program, strips for a sheet."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image

from lookalike.report.hits import Answer, Strip, Tile
from lookalike.runs.retriever import Comparison, Hits, Retriever

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text


@dataclass(frozen=True)
class Query:
    """What is searched for."""

    name: str
    content: Image.Image | str
    """The decoded image, or the caption."""


@dataclass(frozen=True)
class Answered:
    """A query with what the index found, and the exact answer where it was asked for."""

    query: Query
    found: Hits
    comparison: Comparison | None


def printable(text: str) -> str:
    """``text`` on one line of any terminal: what is no printable character is written as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in text)


def point_in_words(retriever: Retriever, settings: Mapping[str, int]) -> str:
    """The operating point in words, with what was set by hand."""
    changed = " ".join(f"{name}={value}" for name, value in settings.items())
    data = retriever.record.data
    return (
        f"{retriever.point.label}{f' ({changed} now)' if changed else ''} · {data['dataset']}: "
        f"{data['gallery_size']:,} images, {retriever.record.model['name']}"
    )


def _found_in(answered: Answered) -> str:
    name = printable(answered.query.name)
    quoted = f"“{name}”" if isinstance(answered.query.content, str) else name
    said = f"{quoted}: {len(answered.found)} found in {answered.found.milliseconds:.2f} ms"
    if answered.comparison is None:
        return said
    comparison = answered.comparison
    missed = len(comparison.missed)
    return f"{said}, {missed} of {len(comparison.exact)} exact neighbours missed{' (✗)' if missed else ''}"


def score_name(retriever: Retriever) -> str:
    """What a score is: the smaller a squared distance, or the larger an inner product, the nearer."""
    return {"l2": "squared distance", "ip": "inner product"}[retriever.metric]


def print_answers(retriever: Retriever, answered: Sequence[Answered], settings: Mapping[str, int]) -> None:
    """Tables on a terminal; lines apart by tabs, one a hit, when piped."""
    if not sys.stdout.isatty():
        for line in _plain_lines(retriever, answered):
            print(line)
        return
    from rich.console import Console

    console = Console(highlight=False)
    console.print(point_in_words(retriever, settings), markup=False)
    if folder := _common_folder(retriever):
        console.print(f"images in {printable(folder)}", markup=False, style="dim", soft_wrap=True)
    for one in answered:
        console.print()
        console.print(_found_in(one), markup=False, style="bold")
        console.print(_table(retriever, one))


def _common_folder(retriever: Retriever) -> str:
    """The folder below which every image has its id for a path; empty when there is none."""
    gallery = retriever.gallery
    folder = gallery.locations[0].removesuffix(gallery.ids[0])
    pairs = zip(gallery.ids, gallery.locations, strict=True)
    return folder if all(location == folder + id_ for id_, location in pairs) else ""


def _plain_lines(retriever: Retriever, answered: Sequence[Answered]) -> Iterator[str]:
    compared = any(one.comparison for one in answered)
    labels = retriever.gallery.labels
    heads = ["query", "rank", "id", "score", "path", *([] if labels is None else ["label"])]
    yield "\t".join([*heads, "answer", "mark"] if compared else heads)
    for one in answered:
        for answer, hits, marked, mark in _answers(one):
            for rank, (row, id_, score) in enumerate(_hits(hits), 1):
                cells = [one.query.name, str(rank), id_, f"{score:.6g}", retriever.gallery.locations[row]]
                cells += [] if labels is None else [labels[row] or ""]
                cells += [answer, mark if row in marked else ""] if compared else []
                yield "\t".join(map(printable, cells))


def _answers(one: Answered) -> list[tuple[str, Hits, frozenset[int], str]]:
    """Each answer's name and hits, and which of them are marked as what."""
    if one.comparison is None:
        return [("index", one.found, frozenset(), "")]
    return [
        ("index", one.found, one.comparison.wrong, "not exact"),
        ("exact", one.comparison.exact, one.comparison.missed, "missed"),
    ]


def _hits(hits: Hits) -> list[tuple[int, str, float]]:
    return list(zip(hits.rows.tolist(), hits.ids, hits.scores.tolist(), strict=True))


def _table(retriever: Retriever, one: Answered) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    answers, labels = _answers(one), retriever.gallery.labels
    with_paths = one.comparison is None and not _common_folder(retriever)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("", justify="right", style="dim")
    for name, *_ in answers:
        table.add_column(name if one.comparison else "id", overflow="fold")
        table.add_column({"l2": "distance²", "ip": "product"}[retriever.metric], justify="right")
        if labels is not None:
            table.add_column("label", overflow="fold")
    if with_paths:
        table.add_column("path", overflow="fold", style="dim")
    for place in range(max(len(hits) for _, hits, *_ in answers)):
        cells = [cell for _, hits, marked, _ in answers for cell in _cells(hits, marked, place, labels)]
        if with_paths:
            cells.append(printable(retriever.gallery.locations[int(one.found.rows[place])]))
        table.add_row(str(place + 1), *map(_literal, cells))
    return table


def _cells(
    hits: Hits, marked: frozenset[int], place: int, labels: Sequence[str | None] | None
) -> list[Text | str]:
    """Id, score and label, if there are labels, of one place of an answer, red and crossed where marked."""
    from rich.text import Text

    if place >= len(hits):
        return ["–", "", *([] if labels is None else [""])]
    is_marked = int(hits.rows[place]) in marked
    style = "bold red" if is_marked else ""
    id_, score = printable(hits.ids[place]), f"{hits.scores[place]:.4f}"
    label = [] if labels is None else [Text(printable(labels[int(hits.rows[place])] or "–"), style)]
    return [Text(f"{'✗ ' if is_marked else '  '}{id_}" if marked else id_, style), Text(score, style), *label]


def _literal(cell: Text | str) -> Text:
    """A file name may look like Rich's markup."""
    from rich.text import Text

    return Text(cell) if isinstance(cell, str) else cell


def as_json(
    retriever: Retriever, answered: Sequence[Answered], settings: Mapping[str, int]
) -> dict[str, Any]:
    """What a program reads."""
    return {
        "run": {
            "folder": str(retriever.run.place.folder),
            "point": retriever.point.label,
            "mlflow_run_id": retriever.point.mlflow_run_id,
            "settings": retriever.settings | dict(settings),
            "metric": retriever.metric,
            "dataset": retriever.record.data["dataset"],
            "model": retriever.record.model["name"],
        },
        "queries": [_query_as_json(retriever, one) for one in answered],
    }


def _query_as_json(retriever: Retriever, one: Answered) -> dict[str, Any]:
    labels = retriever.gallery.labels

    def listed(hits: Hits, marked: frozenset[int], mark: str) -> list[dict[str, Any]]:
        return [
            {
                "row": row,
                "id": id_,
                "score": score,
                "path": retriever.gallery.locations[row],
                **({} if labels is None else {"label": labels[row]}),
                **({mark.replace(" ", "_"): row in marked} if mark else {}),
            }
            for row, id_, score in _hits(hits)
        ]

    shown: dict[str, Any] = {
        "query": one.query.name,
        "kind": "caption" if isinstance(one.query.content, str) else "image",
        "milliseconds": one.found.milliseconds,
    }
    if one.comparison is not None:
        shown |= {"exact_milliseconds": one.comparison.exact.milliseconds, "recall": one.comparison.recall}
    names = {"index": "found", "exact": "exact"}
    return shown | {names[name]: listed(hits, marked, mark) for name, hits, marked, mark in _answers(one)}


def pictured(one: Answered) -> Answer:
    """What a page or a contact sheet shows of a query."""
    strips = []
    for name, hits, marked, mark in _answers(one):
        title = f"{'the index' if name == 'index' else 'exact'}, {hits.milliseconds:.2f} ms"
        if marked:
            title += f" · {len(marked)} {mark}"
        strips.append(
            Strip(title, [Tile(row, f"{score:.4f}", row in marked) for row, _, score in _hits(hits)])
        )
    return Answer(one.query.name, one.query.content, strips)
