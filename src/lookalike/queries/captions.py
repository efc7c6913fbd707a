"""Captions as queries: does a text find its image?"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from lookalike import schemas
from lookalike.datasets.sets import ImageSet, TextSet, VectorSet
from lookalike.datasets.source import Source
from lookalike.errors import QueryError
from lookalike.queries.plan import Classes, QueryPlan, sample, tells_nothing
from lookalike.queries.protocol import QueryProtocol


class CaptionsProtocol(QueryProtocol[schemas.CaptionsQueries]):
    """Captions, through the model's text tower."""

    embeds_texts = True

    def plan(self, dataset: ImageSet | VectorSet) -> QueryPlan:
        """Return the captions of n seeded images; relevant: the images with that very caption.

        A query is called ``image.jpg#caption``; queries of one caption have one source, for they are answered
        alike. Ready vectors with captions are as good as images: the captions have to be embedded by the
        model that made the vectors, which can be checked by its dimensions only. Raises QueryError without
        captions.
        """
        config = self.config
        captions = dataset.captions or [None] * len(dataset)
        captioned = [(id_, text) for id_, text in zip(dataset.ids, captions, strict=True) if text is not None]
        if not captioned:
            raise QueryError(
                "queries=captions needs captions, and the dataset has none; set dataset.captions to where "
                "they are (of a folder: a column of dataset.table), or dataset.caption_column of ready "
                "vectors"
            )
        if len(captioned) == len(dataset) > 1 and len({text for _, text in captioned}) == 1:
            raise QueryError(
                f"{tells_nothing(captions, 'caption', 'images')}; "
                "set dataset.captions to captions that differ"
            )
        rows, notices = sample([id_ for id_, _ in captioned], config)
        chosen = [captioned[row] for row in rows]
        first_with: dict[str, str] = {}
        for id_, text in captioned:
            first_with.setdefault(text, id_)
        return QueryPlan(
            protocol=config.name,
            wording="{queries} captions",
            gallery=dataset,
            queries=TextSet(
                ids=[f"{id_}#caption" for id_, _ in chosen],
                fingerprints=[blake2b(text.encode(), digest_size=16).hexdigest() for _, text in chosen],
                texts=[text for _, text in chosen],
                shard_size=dataset.shard_size,
            ),
            sources=[first_with[text] for _, text in chosen],
            classes=Classes(captions, [text for _, text in chosen]),
            notices=notices,
        )

    def faults(self, source: Source[Any]) -> list[str]:
        lacking = source.annotation_fault("captions")
        return [f"queries=captions needs {lacking}"] if lacking else []
