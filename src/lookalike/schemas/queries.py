"""The query protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lookalike.schemas.datasets import FORMATS
from lookalike.schemas.fields import bounded, choice

EDITS = ("crop", "resize", "rotate", "jpeg", "blur", "colour", "overlay")


def number_of_queries(default: int | str | None) -> Any:
    """Return the field of a number of queries, the same for each protocol."""
    return bounded(default, minimum=1, words=("auto",), null="for all")


@dataclass
class Queries:
    """What every query protocol has."""

    name: str
    n: Any = number_of_queries(1000)
    """Number of query images (before editing), a seeded sample; null: all; ``auto``: the protocol's usual
    number (this default), or fewer where the dataset is small.
    """
    seed: int = 0
    duplicates: str = choice("relevant", of=("relevant", "ignored", "irrelevant"))
    """What gallery images are that are byte-identical to a relevant one."""


@dataclass
class CopiesQueries(Queries):
    """Edited copies of gallery images; relevant: the original."""

    name: str = "copies"
    n: Any = number_of_queries(200)
    edits: list[str] = choice(list(EDITS), of=EDITS, several=True)


@dataclass
class AutoQueries(CopiesQueries):
    """No protocol yet: what suits the dataset."""

    name: str = "auto"
    n: Any = number_of_queries("auto")
    """Number of queries; ``auto``: as many as the protocol asks by itself; null: all."""


@dataclass
class HeldOutQueries(Queries):
    """Seeded images taken out of the gallery; relevant: their label's or group's others, if there are any."""

    name: str = "held_out"


@dataclass
class InGalleryQueries(Queries):
    """Gallery images; each query itself is dropped from the found and the exact neighbours alike."""

    name: str = "in_gallery"


@dataclass
class LabelsQueries(Queries):
    """Leave-one-out: relevant are the other gallery images of the query's label or group."""

    name: str = "labels"
    by: str = choice("label", of=("label", "group"))


@dataclass
class CaptionsQueries(Queries):
    """Captions, through the model's text tower; relevant: the caption's own image."""

    name: str = "captions"


@dataclass
class FilesQueries(Queries):
    """A folder of query images; optionally a CSV (query, relevant) that names the gallery ids to be found."""

    name: str = "files"
    n: Any = number_of_queries(None)
    root: str | None = None
    relevance: str | None = None


@dataclass
class VectorsQueries(Queries):
    """Ready query vectors for ``dataset=embeddings``; optionally relevance and exact neighbours."""

    name: str = "vectors"
    n: Any = number_of_queries(None)
    file: str | None = None
    """Vectors in any format of ``dataset=embeddings``; null: those that came with the gallery."""
    format: str = choice("auto", of=("auto", *FORMATS))
    """As ``dataset.format``."""
    relevance: str | None = None
    """CSV (query, relevant id), or (query, label); null: by the label of each query, where the gallery has
    labels too: a parquet's column ``label`` beside the file, an .npz's ``labels``, a CSV's ``Label``.
    """
    neighbours: str | None = None
    """Gallery rows, nearest first, a row a query: .npy, .ivecs, .ibin, .bin or .hdf5; held against ours."""
