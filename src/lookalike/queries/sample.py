"""Which of the possible queries are asked."""

from __future__ import annotations

from collections.abc import Sequence

from lookalike import schemas
from lookalike.datasets.sampling import nested_sample
from lookalike.errors import QueryError


def sample(ids: Sequence[str], config: schemas.Queries) -> tuple[list[int], tuple[str, ...]]:
    """Return the rows of ``config.n`` of ``ids``, ascending, and notices.

    A larger n contains the smaller one's sample. When there are fewer than n, all are taken, with a notice:
    a default of 1,000 should not stop who tries 500 images. QueryError when n is below 1.
    """
    if config.n is not None and config.n < 1:
        raise QueryError(f"queries.n={config.n} asks for no query; set it to 1 or more, or to null for all")
    notices: tuple[str, ...] = ()
    if config.n is not None and config.n > len(ids):
        notices = (f"queries.n={config.n:,} exceeds the {len(ids):,} there are; all of them are taken",)
    return nested_sample(ids, config.n, config.seed, "queries"), notices
