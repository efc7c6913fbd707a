"""What a run was asked, in which gallery and for what, as digests: equal where two runs may be compared.

They do not depend on the order of images and queries, nor on where these lie, how they were configured or
which model embeds them: two files of ready vectors of the same images have one gallery, and the same queries
against it are the same whatever their ``n`` and ``seed``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lookalike.datasets.sets import VectorSet
from lookalike.queries.plan import QueryPlan
from lookalike.schemas import CopiesQueries, Queries

Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Digests:
    """Of the gallery, the queries, and what the queries should find. Texts are 32 hexadecimal digits."""

    gallery_ids: str
    """Of the set of ids."""
    query_ids: str
    """Of the set of ``asked``."""
    asked: Hashes
    """One a query: of its id, source, edit and what is ignored for it; of edited copies also the seed."""
    wanted: Hashes
    """One a query: of the ids that are relevant to it, or the class that is."""
    relevance: str | None
    """Of the class of each gallery image, where a query looks for a class; None: nothing is relevant."""
    judgements: str | None
    """Of the set of pairs of ``asked`` and ``wanted``; None: nothing is relevant."""
    query_files: str | None
    """Of the fingerprints of the files that ready query vectors lie in; None: a model made the vectors."""


def digests_of(plan: QueryPlan, gallery_ids: Sequence[str], config: Queries) -> Digests:
    """Return the digests of the valid queries of ``plan`` against the gallery of ``gallery_ids``.

    ``config``: what ``plan`` was made of. A gallery of a million ids costs 0.1 s where they are in their
    order, 1 s where they are in none.
    """
    asked = _hashes(_questions(plan, config))
    wanted = _hashes(_answers(plan))
    relevance = judgements = None
    if plan.judged:
        relevance = digest(_classes(plan))
        judgements = digest(f"{one:x} {other:x}" for one, other in zip(asked, wanted, strict=True))
    return Digests(
        gallery_ids=digest(gallery_ids),
        query_ids=digest(f"{one:x}" for one in asked),
        asked=asked,
        wanted=wanted,
        relevance=relevance,
        judgements=judgements,
        query_files=digest(set(plan.queries.file_fingerprints))
        if isinstance(plan.queries, VectorSet)
        else None,
    )


def digest(texts: Iterable[str]) -> str:
    """Return 32 hexadecimal digits, the same for the same texts in whatever order."""
    joined = "\0".join(sorted(texts))
    return hashlib.sha256(joined.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _questions(plan: QueryPlan, config: Queries) -> Iterator[Sequence[str]]:
    seed = f"seed {config.seed}" if isinstance(config, CopiesQueries) else ""
    for row, id_ in enumerate(plan.queries.ids):
        edit = "" if plan.edits is None else plan.edits[row]
        ignored = () if plan.ignored_ids is None else sorted(plan.ignored_ids[row])
        yield id_, plan.sources[row], edit, seed, *ignored


def _answers(plan: QueryPlan) -> Iterator[Sequence[str]]:
    for row in range(len(plan)):
        if plan.relevant_ids is not None:
            yield sorted(plan.relevant_ids[row])
        else:
            class_ = None if plan.classes is None else plan.classes.queries[row]
            yield () if class_ is None else ("class", class_)


def _classes(plan: QueryPlan) -> Iterator[str]:
    if plan.classes is not None:
        for id_, class_ in zip(plan.gallery.ids, plan.classes.gallery, strict=True):
            if class_ is not None:
                yield f"{id_}\0{class_}"


def _hashes(items: Iterable[Sequence[str]]) -> Hashes:
    """uint64, one an item: the first 8 bytes of a hash of its texts, in order."""
    joined = ("\0".join(texts).encode("utf-8", "surrogatepass") for texts in items)
    raw = b"".join(hashlib.blake2b(each, digest_size=8).digest() for each in joined)
    return np.frombuffer(raw, "<u8").astype(np.uint64)
