"""A user's own table of which gallery ids a query should find."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lookalike.datasets.names import Names
from lookalike.datasets.table import read_columns
from lookalike.errors import DatasetError, QueryError


def read_judgements(
    table: Path, query_names: Sequence[str], gallery_ids: Sequence[str]
) -> list[tuple[str, ...]]:
    """Return per query the gallery ids that ``table`` calls relevant (columns ``query`` and ``relevant``).

    One row a pair, so a query may have several; a query without a row has none. Names may be composed or
    decomposed, see :class:`Names`. Raises QueryError when the
    table cannot be read, or names a query or a gallery id that does not exist.
    """
    try:
        columns = read_columns(table, ["query", "relevant"])
    except DatasetError as error:
        raise QueryError(str(error)) from error
    relevant: dict[str, list[str]] = {name: [] for name in query_names}
    queries, gallery = Names(query_names), Names(gallery_ids)
    for row, (query, named) in enumerate(zip(columns["query"], columns["relevant"], strict=True), start=1):
        name = None if query is None else queries.find(query)
        id_ = None if named is None else gallery.find(named)
        if name is None:
            raise QueryError(
                f"{table}, row {row}: there is no query {query}; queries are called like {query_names[0]}"
            )
        if id_ is None:
            raise QueryError(
                f"{table}, row {row}: the gallery has no {named}; its ids look like {gallery_ids[0]} "
                "(dataset.limit leaves images out)"
            )
        relevant[name].append(id_)
    return [tuple(dict.fromkeys(ids)) for ids in relevant.values()]
