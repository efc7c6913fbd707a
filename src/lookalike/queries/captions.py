"""Captions as queries: does a text find its image?"""

from __future__ import annotations

from collections import defaultdict
from hashlib import blake2b

from lookalike import schemas
from lookalike.datasets import ImageSet, TextSet, VectorSet
from lookalike.errors import QueryError
from lookalike.queries.plan import QueryPlan
from lookalike.queries.sample import sample


def plan_captions(config: schemas.CaptionsQueries, dataset: ImageSet | VectorSet) -> QueryPlan:
    """Return the captions of n seeded images; relevant: the images with that very caption.

    A query is called ``image.jpg#caption``; queries of one caption have one source, for they are answered
    alike. Ready vectors with captions are as good as images: the captions have to be embedded by the model
    that made the vectors, which nobody can check but by its dimensions. Raises QueryError without captions.
    """
    captions = dataset.captions or ()
    images_of: defaultdict[str, list[str]] = defaultdict(list)
    captioned: list[tuple[str, str]] = []
    for id_, caption in zip(dataset.ids, captions, strict=False):
        if caption is not None:
            images_of[caption].append(id_)
            captioned.append((id_, caption))
    if not captioned:
        raise QueryError(
            "queries=captions needs captions, and the dataset has none; set dataset.captions to where they "
            "are (of a folder: a column of dataset.table), or dataset.caption_column of ready vectors"
        )
    rows, notices = sample([id_ for id_, _ in captioned], config)
    chosen = [captioned[row] for row in rows]
    return QueryPlan(
        protocol=config.name,
        description=f"{len(chosen):,} captions",
        gallery=dataset,
        queries=TextSet(
            ids=[f"{id_}#caption" for id_, _ in chosen],
            fingerprints=[blake2b(text.encode(), digest_size=16).hexdigest() for _, text in chosen],
            texts=[text for _, text in chosen],
            shard_size=dataset.shard_size,
        ),
        sources=[images_of[text][0] for _, text in chosen],
        relevant_ids=[images_of[text] for _, text in chosen],
        notices=notices,
    )
