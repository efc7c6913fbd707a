"""Where the gallery comes from: files in a folder, emoji from a package, ready or made-up vectors.

A source is a module with a class that answers for its config; ``formats`` has the formats of vector files.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from lookalike import schemas
from lookalike.datasets.embeddings import EmbeddingsSource
from lookalike.datasets.fingerprints import settle_fingerprints
from lookalike.datasets.folder import FolderSource
from lookalike.datasets.huggingface import HuggingfaceSource
from lookalike.datasets.sbu_captions import SbuCaptionsSource
from lookalike.datasets.sets import ImageSet, VectorSet
from lookalike.datasets.source import Source
from lookalike.datasets.synthetic import SyntheticSource
from lookalike.datasets.twemoji import TwemojiSource
from lookalike.datasets.webdataset.opening import WebdatasetSource
from lookalike.progress import SILENT, Progress
from lookalike.store.store import Store

SOURCES: Mapping[type[schemas.Dataset], type[Source[Any]]] = MappingProxyType(
    {
        schemas.TwemojiDataset: TwemojiSource,
        schemas.FolderDataset: FolderSource,
        schemas.SbuCaptionsDataset: SbuCaptionsSource,
        schemas.WebdatasetDataset: WebdatasetSource,
        schemas.HuggingfaceDataset: HuggingfaceSource,
        schemas.EmbeddingsDataset: EmbeddingsSource,
        schemas.SyntheticDataset: SyntheticSource,
    }
)


def source_of(config: schemas.Dataset) -> Source[Any]:
    """Return the source that ``config`` describes; nothing is listed or read."""
    return SOURCES[type(config)](config)


def open_dataset(
    config: schemas.Dataset, progress: Progress = SILENT, store: Store | None = None
) -> ImageSet | VectorSet:
    """Return what ``config`` describes, listed and sampled but not yet read.

    ``store`` keeps what is slow to find out again: where the members of tars lie, and the contents of images
    whose time of change alone is another (see :func:`settle_fingerprints`). Raises DatasetError when the
    dataset is not there or not as described.
    """
    opened = source_of(config).open(progress, store)
    if store is None or isinstance(opened, VectorSet):
        return opened
    return settle_fingerprints(opened, store, progress)


def count_rows(config: schemas.Dataset, progress: Progress = SILENT, store: Store | None = None) -> int:
    """Return how many rows :func:`open_dataset` gives, ``config.limit`` applied.

    Some images may turn out to be bad later. ``store`` keeps the listings of tars, which the run that follows
    uses again. Raises DatasetError when the dataset is not there or not as described.
    """
    rows = source_of(config).count(progress, store)
    return rows if config.limit is None else min(rows, config.limit)
