"""What depends on the gallery's size, chosen once that is known and before any key is made.

A composed experiment may leave open which index suits it (``index=auto``), how many lists, what ``point`` and
``ladder`` are, how many neighbours a search asks for (``search.k=null``) and how many queries there are
(``queries.n=auto``). :func:`resolve` is the only place where these are decided: a pure function of the
experiment and the number of rows of its dataset. What is named stays as it is, possible or not (``config``
judges it); an experiment without open ends becomes itself, so that its keys do not change.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any

from lookalike import schemas
from lookalike.index.families.auto import AutoIndex
from lookalike.index.families.flat import FlatIndex
from lookalike.index.families.inverted_lists import lists_for
from lookalike.schemas import Experiment

AUTO = "auto"
BYTES_PER_MS = 20e6
"""What one thread compares in a millisecond, roughly: between a core's cache (45e6) and memory (25e6)."""
TYPICAL_BYTES = 768 * 4
"""Of one vector, for estimates before a model is loaded."""

DEMONSTRATION_LISTS = 64
"""The emoji are searched through so many lists, although they need none: the first run shows an index."""
ROUND_K = (1, 2, 5, 10, 20, 50, 100)

OPEN: dict[str, tuple[str, ...]] = {
    "index": ("family", "nlist", "train_size", "point", "ladder"),
    "search": ("k",),
    "queries": ("n",),
}
"""Settings that may depend on the gallery's size."""


@dataclass
class Resolved(Experiment):
    """An experiment whose every setting is decided; what follows is recorded with it."""

    rows: int = 0
    """Size of the dataset, after ``dataset.limit``."""
    gallery_size: int = 0
    """At most how many of them are searched: without those held out; bad images are not known yet."""
    composed: dict[str, Any] = field(default_factory=dict)
    """``index.nlist`` → what was composed there, for each setting that became something else."""
    choices: list[str] = field(default_factory=list)
    """What was chosen and why, a sentence each."""


def resolve(experiment: Experiment, rows: int) -> Resolved:
    """Return ``experiment`` with everything decided that depends on the ``rows`` of its dataset.

    ``rows``: counted after ``dataset.limit``, 0 or more. Nothing is read or looked up. The experiment itself
    is not changed; one that is resolved already comes back as it is.
    """
    if isinstance(experiment, Resolved):
        return experiment
    noun = "vectors" if isinstance(experiment.dataset, schemas.VectorDataset) else "images"
    choices: list[str] = []
    queries = replace(experiment.queries)
    if queries.n == AUTO:
        queries.n = query_count(queries, rows)
    n = max(rows - _held_out(queries, rows), 0)
    search = replace(experiment.search)
    if search.k is None:
        search.k = neighbours_for(n - int(_leaves_one_out(queries)), experiment.measures.cutoffs)
    index = _index(experiment.index, experiment.dataset, n, search.k)
    searched = f"{n:,} {noun if n != 1 else noun[:-1]}"
    choices += _of_index(experiment, index, n, searched)
    if experiment.search.k is None and search.k < ROUND_K[-1]:
        choices.append(f"search.k is {search.k}: {ROUND_K[-1]} would be too many of {searched}")
    if experiment.queries.n == AUTO:
        choices += _of_queries(queries, rows, noun)
    decided = {"queries": queries, "search": search, "index": index}
    kept = {field.name: getattr(experiment, field.name) for field in fields(Experiment)}
    return Resolved(
        **kept | decided,
        rows=rows,
        gallery_size=n,
        composed=_changed(experiment, decided),
        choices=[] if experiment.dataset.shards is not None else choices,
    )


def query_count(queries: schemas.Queries, rows: int) -> int | None:
    """The protocol's usual number of queries, a quarter of the rows at most where they are held out of the
    gallery; None, which means all, where there are no more rows than that.
    """
    usual = int(type(queries)(name=queries.name).n)
    if isinstance(queries, schemas.HeldOutQueries):
        return min(usual, max(rows // 4, 1))
    return usual if rows > usual else None


def neighbours_for(n: int, cutoffs: list[int]) -> int:
    """How many neighbours a search of ``n`` rows asks for: a round number, 100 at most.

    A tenth of them, and ten where there are twenty: recall of 100 among 100 says nothing. As many as the
    largest of ``cutoffs`` where these were named and there are so many rows.
    """
    k = max((k for k in ROUND_K if k <= max(n / 10, min(10, n / 2))), default=1)
    named = cutoffs != schemas.Measures().cutoffs and cutoffs
    return max(k, min(max(cutoffs), n)) if named else k


def exact_ms(n: int) -> str:
    """How long one exact search of ``n`` vectors takes, roughly: ``about 3 ms``."""
    milliseconds = n * TYPICAL_BYTES / BYTES_PER_MS
    if milliseconds < 1:
        return "less than 1 ms"
    digits = 10 ** math.floor(math.log10(milliseconds))
    return f"about {round(milliseconds / digits) * digits:,} ms"


def _index(config: schemas.Index, dataset: schemas.Dataset, n: int, k: int) -> schemas.Index:
    """The index that ``config`` is for a gallery of ``n`` vectors of which ``k`` are searched for."""
    if isinstance(config, AutoIndex) and config.nlist is None and isinstance(dataset, schemas.TwemojiDataset):
        config = replace(config, nlist=min(DEMONSTRATION_LISTS, lists_for(n, config.train_size)))
    return config.resolved(n, k)


def _held_out(queries: schemas.Queries, rows: int) -> int:
    return int(rows if queries.n is None else queries.n) if isinstance(queries, schemas.HeldOutQueries) else 0


def _leaves_one_out(queries: schemas.Queries) -> bool:
    """Whether a query lies in the gallery and is not counted as found."""
    return isinstance(queries, schemas.InGalleryQueries | schemas.LabelsQueries)


def _of_queries(queries: schemas.Queries, rows: int, noun: str) -> Iterator[str]:
    """How many queries there are, where they are fewer than usual."""
    usual = type(queries)(name=queries.name).n
    if isinstance(queries, schemas.HeldOutQueries):
        if queries.n < usual:
            yield f"queries.n is {queries.n:,}: so many of {rows:,} {noun} are held out of the gallery"
    elif queries.n is None:
        yield f"queries.n: each of the {rows:,} {noun} is a query"


def _of_index(experiment: Experiment, index: schemas.Index, n: int, searched: str) -> Iterator[str]:
    """Which index was chosen, or which lists."""
    composed, search = experiment.index, experiment.search
    nlist = index.list_count()
    visited = ""
    is_named = search.nprobe is not None or composed.point.get("nprobe")
    if nlist is not None and not is_named and not (search.ladder and index.ladder.get("nprobe")):
        visited = f"a search visits {index.point['nprobe']:,} of {nlist:,} lists (search.nprobe)"
    if isinstance(composed, AutoIndex) and composed.nlist is None:
        if isinstance(index, FlatIndex):
            needless = f"{searched} {'needs' if n == 1 else 'need'} no index"
            yield f"{needless}: exact search takes {exact_ms(n)} a query; index=ivf_flat tries lists"
            return
        if isinstance(experiment.dataset, schemas.TwemojiDataset):
            yield f"index=ivf_flat shows an index; {n:,} emoji need none (index=flat is exact)"
        else:
            yield (
                f"index=ivf_flat with {nlist:,} lists suits {searched}; index=flat is exact, "
                f"at {exact_ms(n)} a query"
            )
    elif getattr(composed, "nlist", 0) is None:
        yield f"index.nlist is {nlist:,}, which suits {searched}"
    if visited:
        yield visited


def _changed(experiment: Experiment, decided: dict[str, Any]) -> dict[str, Any]:
    """What was composed where something else was decided, or where the setting is gone."""
    gone = object()
    return {
        f"{section}.{name}": composed
        for section, names in OPEN.items()
        for name in names
        if (composed := getattr(getattr(experiment, section), name, gone)) is not gone
        and composed != getattr(decided[section], name, gone)
    }
