"""A user's own table of what queries should find: gallery ids, or the label of those that count."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from lookalike.datasets.ids import Names
from lookalike.datasets.table import read_columns
from lookalike.errors import DatasetError, QueryError
from lookalike.queries.plan import Classes

Lists = list[tuple[str, ...]]


class Judgements(NamedTuple):
    """What a table says of the queries, in their order; the fields fit a :class:`QueryPlan`'s."""

    relevant_ids: Lists | None = None
    classes: Classes | None = None
    ignored_ids: Lists | None = None


def read_judgements(
    table: Path,
    query_names: Sequence[str],
    gallery_ids: Sequence[str],
    gallery_labels: Sequence[str | None] | None,
    *,
    ignored_alone: bool = False,
) -> Judgements:
    """Return what ``table`` says: its columns are ``query``, and one or more of these:

    - ``relevant``: a gallery id that the query should find, one row a pair, so a query may have several;
    - ``label``: the query's label; it should find all gallery images of that label;
    - ``ignored``: a gallery id that neither helps nor harms, such as the query itself.

    Names may be composed or decomposed, see :class:`Names`. A query without a row has none, and an empty
    cell says nothing. With ``ignored_alone`` the table need not say what is relevant. Raises QueryError when
    the table cannot be read, says what is relevant in both ways or not at all, names a query or a gallery id
    that does not exist or two labels of a query, has a row of empty cells, and when the gallery has no labels
    to compare with.
    """
    try:
        columns = read_columns(table, ["query"], ["relevant", "label", "ignored"])
    except DatasetError as error:
        raise QueryError(str(error)) from error
    ways = ("relevant" in columns) + ("label" in columns)
    if ways != 1 and not (ways == 0 and ignored_alone and "ignored" in columns):
        raise QueryError(
            f"{table} has to say what a query should find in one column, relevant (gallery ids) or label; "
            f"it has {', '.join(columns)}"
        )
    known, queries = Names(query_names), list[str]()
    for row, query in enumerate(columns["query"], start=1):
        name = None if query is None else known.find(query)
        if name is None:
            raise QueryError(
                f"{table}, row {row}: there is no query {query}; queries are called like {query_names[0]}"
            )
        queries.append(name)
        if all(values[row - 1] is None for name, values in columns.items() if name != "query"):
            raise QueryError(f"{table}, row {row} says nothing of {query}; leave it out, or fill it in")
    lists = {
        name: _lists(f"{table}, column {name}", (queries, columns[name]), query_names, gallery_ids)
        for name in ("relevant", "ignored")
        if name in columns
    }
    classes = None
    if "label" in columns:
        if gallery_labels is None:
            raise QueryError(
                f"{table} judges by label, and the gallery has no labels; set dataset.labels, or "
                "dataset.label_column of ready vectors"
            )
        labels = _labels(table, queries, columns["label"])
        classes = Classes(gallery_labels, [labels.get(name) for name in query_names])
    return Judgements(lists.get("relevant"), classes, lists.get("ignored"))


def _lists(
    what: str,
    pairs: tuple[Sequence[str], Sequence[str | None]],
    query_names: Sequence[str],
    gallery_ids: Sequence[str],
) -> Lists:
    """Return per query the gallery ids of a column, each once."""
    of_query: dict[str, list[str]] = {name: [] for name in query_names}
    known = Names(gallery_ids)
    for row, (query, named) in enumerate(zip(*pairs, strict=True), start=1):
        if named is None:
            continue
        id_ = known.find(named)
        if id_ is None:
            raise QueryError(
                f"{what}, row {row}: the gallery has no {named}; its ids look like {gallery_ids[0]} "
                "(dataset.limit leaves images out)"
            )
        of_query[query].append(id_)
    return [tuple(dict.fromkeys(ids)) for ids in of_query.values()]


def _labels(table: Path, queries: Sequence[str], labels: Sequence[str | None]) -> dict[str, str]:
    found: dict[str, str] = {}
    for row, (query, label) in enumerate(zip(queries, labels, strict=True), start=1):
        if label is not None and found.setdefault(query, label) != label:
            raise QueryError(
                f"{table}, row {row}: {query} has the labels {found[query]} and {label}; keep one of them"
            )
    return found
