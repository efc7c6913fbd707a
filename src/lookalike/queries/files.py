"""A folder of the user's own query images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lookalike import schemas
from lookalike.datasets.duplicates import rows_with_the_same_bytes
from lookalike.datasets.folder import scan_images
from lookalike.datasets.sets import ImageSet, VectorSet
from lookalike.datasets.source import Source, expand_root
from lookalike.errors import DatasetError, QueryError
from lookalike.queries.judgements import Judgements, read_judgements
from lookalike.queries.plan import QueryPlan, literal, sample, strangers
from lookalike.queries.protocol import QueryProtocol, file_faults


class FilesProtocol(QueryProtocol[schemas.FilesQueries]):
    """A folder of query images."""

    embeds_images = True

    def plan(self, dataset: ImageSet | VectorSet) -> QueryPlan:
        """Return the images below ``config.root`` as queries (n seeded ones of them, if n is set).

        Relevant: what the table ``config.relevance`` names (relative to the root unless absolute); without
        one nothing is judged. A gallery image that is byte-identical to its query is the query itself: it is
        ignored unless the table names it. Raises QueryError when the folder or table is not as described, or
        the dataset has no images.
        """
        config = self.config
        if isinstance(dataset, VectorSet):
            raise QueryError(
                "queries=files embeds images with the gallery's model, and dataset=embeddings does not know "
                "it; use ready query vectors: queries=vectors"
            )
        options = schemas.ImageDataset(
            name=config.name, max_bad_fraction=dataset.max_bad_fraction, shard_size=dataset.shard_size
        )
        try:
            root = expand_root(config.root, "queries.root")
            images = scan_images(root, options)
        except DatasetError as error:
            raise QueryError(str(error)) from error
        judged, ignored = Judgements(), None
        if config.relevance:
            table = root / Path(config.relevance).expanduser()
            judged = read_judgements(table, images.ids, dataset.ids, dataset.labels)
            named = judged.relevant_ids or [()] * len(images)
            junk = judged.ignored_ids or [()] * len(images)
            ignored = [
                [*more, *(dataset.ids[row] for row in rows if dataset.ids[row] not in answers)]
                for rows, answers, more in zip(
                    rows_with_the_same_bytes(images, dataset), named, junk, strict=True
                )
            ]
        rows, notices = sample(images.ids, config)
        if judged.classes is not None:
            notices = (*notices, *strangers(judged.classes))
        plan = QueryPlan(
            protocol=config.name,
            wording=f"{{queries}} images of {literal(root.name)}",
            gallery=dataset,
            queries=images,
            sources=images.ids,
            relevant_ids=judged.relevant_ids,
            classes=judged.classes,
            ignored_ids=ignored,
            notices=(*images.notices, *notices),
        )
        return plan.take(rows)

    def faults(self, source: Source[Any]) -> list[str]:
        return [
            *super().faults(source),
            *file_faults("queries.root", self.config.root, "a folder of query images", required=True),
            *file_faults("queries.relevance", self.config.relevance, "a CSV file"),
        ]
