"""What queries found: tables for a terminal, lines for a pipe, JSON for a program."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lookalike.runs.opener import FinishedRun
from lookalike.runs.searching import Hits
from lookalike.search import SearchResult

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text


def printable(text: str) -> str:
    """Return ``text`` on one line of any terminal: unprintable characters as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in text)


def point_described(run: FinishedRun, settings: Mapping[str, int]) -> str:
    """Return the operating point in words, with the settings that were given instead of its own."""
    changed = " ".join(f"{name}={value}" for name, value in settings.items())
    data = run.record.data
    return (
        f"{run.point.label}{f' ({changed} now)' if changed else ''} · {data['dataset']}: "
        f"{data['gallery_size']:,} images, {run.record.model['name']}"
    )


def _found_in(one: SearchResult) -> str:
    name = printable(one.query.name)
    quoted = f"“{name}”" if isinstance(one.query.content, str) else name
    summary = f"{quoted}: {len(one.found)} found in {one.found.milliseconds:.2f} ms"
    if one.comparison is None:
        return summary
    comparison = one.comparison
    missed = len(comparison.missed)
    return f"{summary}, {missed} of {len(comparison.exact)} exact neighbours missed{' (✗)' if missed else ''}"


def score_name(run: FinishedRun) -> str:
    """Return what a score is: a squared distance (smaller is nearer) or an inner product (larger is)."""
    return {"l2": "squared distance", "ip": "inner product"}[run.metric]


def print_results(run: FinishedRun, results: Sequence[SearchResult], settings: Mapping[str, int]) -> None:
    """Print tables on a terminal; when piped, a line for each hit with tabs between its cells."""
    if not sys.stdout.isatty():
        for line in _plain_lines(run, results):
            print(line)
        return
    from rich.console import Console

    console = Console(highlight=False)
    console.print(point_described(run, settings), markup=False)
    if folder := _common_folder(run):
        console.print(f"images in {printable(folder)}", markup=False, style="dim", soft_wrap=True)
    for one in results:
        console.print()
        console.print(_found_in(one), markup=False, style="bold")
        console.print(_table(run, one))


def _common_folder(run: FinishedRun) -> str:
    """The folder below which every image has its id for a path; empty when there is none."""
    gallery = run.images
    folder = gallery.locations[0].removesuffix(gallery.ids[0])
    pairs = zip(gallery.ids, gallery.locations, strict=True)
    return folder if all(location == folder + id_ for id_, location in pairs) else ""


def _plain_lines(run: FinishedRun, results: Sequence[SearchResult]) -> Iterator[str]:
    compared = any(one.comparison for one in results)
    labels = run.images.labels
    heads = ["query", "rank", "id", "score", "path", *([] if labels is None else ["label"])]
    yield "\t".join([*heads, "answer", "mark"] if compared else heads)
    for one in results:
        for answer, hits, marked, mark in one.strips:
            for rank, (row, id_, score) in enumerate(_hits(hits), 1):
                cells = [one.query.name, str(rank), id_, f"{score:.6g}", run.images.locations[row]]
                cells += [] if labels is None else [labels[row] or ""]
                cells += [answer, mark if row in marked else ""] if compared else []
                yield "\t".join(map(printable, cells))


def _hits(hits: Hits) -> list[tuple[int, str, float]]:
    return list(zip(hits.rows.tolist(), hits.ids, hits.scores.tolist(), strict=True))


def _table(run: FinishedRun, one: SearchResult) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    answers, labels = one.strips, run.images.labels
    with_paths = one.comparison is None and not _common_folder(run)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("", justify="right", style="dim")
    for name, *_ in answers:
        table.add_column(name if one.comparison else "id", overflow="fold")
        table.add_column({"l2": "distance²", "ip": "product"}[run.metric], justify="right")
        if labels is not None:
            table.add_column("label", overflow="fold")
    if with_paths:
        table.add_column("path", overflow="fold", style="dim")
    for place in range(max(len(hits) for _, hits, *_ in answers)):
        cells = [cell for _, hits, marked, _ in answers for cell in _cells(hits, marked, place, labels)]
        if with_paths:
            cells.append(printable(run.images.locations[int(one.found.rows[place])]))
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


def results_as_json(
    run: FinishedRun, results: Sequence[SearchResult], settings: Mapping[str, int]
) -> dict[str, Any]:
    """Return what a program reads: the run, and what each query found."""
    return {
        "run": {
            "folder": str(run.folder),
            "point": run.point.label,
            "mlflow_run_id": run.point.mlflow_run_id,
            "settings": run.settings | dict(settings),
            "metric": run.metric,
            "dataset": run.record.data["dataset"],
            "model": run.record.model["name"],
        },
        "queries": [_result_as_json(run, one) for one in results],
    }


def _result_as_json(run: FinishedRun, one: SearchResult) -> dict[str, Any]:
    labels = run.images.labels

    def listed(hits: Hits, marked: frozenset[int], mark: str) -> list[dict[str, Any]]:
        return [
            {
                "row": row,
                "id": id_,
                "score": score,
                "path": run.images.locations[row],
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
    return shown | {names[name]: listed(hits, marked, mark) for name, hits, marked, mark in one.strips}
