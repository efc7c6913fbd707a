"""Edited copies of gallery images: does the original come back?"""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b

import numpy as np
from PIL import Image

from lookalike import schemas
from lookalike.datasets.sets import ImageSet, VectorSet
from lookalike.errors import QueryError
from lookalike.queries.edits import EDITS, EDITS_VERSION, fit
from lookalike.queries.plan import QueryPlan, sample
from lookalike.queries.protocol import QueryProtocol


class CopiesProtocol(QueryProtocol[schemas.CopiesQueries]):
    """Edited copies of gallery images."""

    embeds_images = True

    def plan(self, dataset: ImageSet | VectorSet) -> QueryPlan:
        """Return n seeded originals × the edits, original by original; relevant: the original.

        How one copy looks depends on the seed, the original's id and the edit alone: more originals or other
        edits leave it as it is, and its embedding is reused. A copy is called ``original.jpg#crop``. Raises
        QueryError for an unknown, repeated or missing edit and for a dataset without images.
        """
        config = self.config
        if isinstance(dataset, VectorSet):
            raise QueryError(
                "queries=copies edits images, and dataset=embeddings has vectors only; "
                "use queries=in_gallery, held_out or vectors"
            )
        edits = _known_edits(config)
        rows, notices = sample(dataset.ids, config)
        originals = dataset.take(rows)
        copies = [(row, edit) for row in range(len(originals)) for edit in edits]
        sources = [originals.ids[row] for row, _ in copies]
        digests = [_digest(config.seed, originals.ids[row], edit) for row, edit in copies]

        def load(copy: int) -> Image.Image:
            row, edit = copies[copy]
            generator = np.random.default_rng(int.from_bytes(digests[copy]))
            return EDITS[edit](fit(originals.load(row)), generator)

        queries = ImageSet(
            ids=[f"{originals.ids[row]}#{edit}" for row, edit in copies],
            fingerprints=[
                f"{originals.fingerprints[row]}#{edit}-{EDITS_VERSION}-{digest.hex()}"
                for (row, edit), digest in zip(copies, digests, strict=True)
            ],
            locations=[f"{originals.locations[row]}#{edit}" for row, edit in copies],
            load=load,
            max_bad_fraction=1.0,  # the gallery answers for its bad images; a sample may have more of them
            shard_size=dataset.shard_size,
        )
        return QueryPlan(
            protocol=config.name,
            wording=f"{{sources}} originals × {len(edits)} edits",
            gallery=dataset,
            queries=queries,
            sources=sources,
            edits=[edit for _, edit in copies],
            relevant_ids=[(source,) for source in sources],
            notices=notices,
        )


def _known_edits(config: schemas.CopiesQueries) -> list[str]:
    if unknown := [edit for edit in config.edits if edit not in EDITS]:
        raise QueryError(f"queries.edits={', '.join(unknown)} is not known; choose from {', '.join(EDITS)}")
    if repeated := [edit for edit, times in Counter(config.edits).items() if times > 1]:
        raise QueryError(f"queries.edits names {', '.join(repeated)} more than once; name each edit once")
    if not config.edits:
        raise QueryError(f"queries.edits is empty; choose from {', '.join(EDITS)}")
    return list(config.edits)


def _digest(seed: int, id_: str, edit: str) -> bytes:
    return blake2b(f"{seed}\0{id_}\0{edit}".encode(), digest_size=8).digest()
