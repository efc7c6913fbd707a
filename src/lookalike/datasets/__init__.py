"""Where the gallery comes from: files in a folder, emoji from a package, or ready vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from lookalike import schemas
from lookalike.datasets.duplicates import duplicate_groups
from lookalike.datasets.embeddings import open_embeddings
from lookalike.datasets.folder import open_folder
from lookalike.datasets.sets import ImageSet, TextSet, VectorSet, check_vectors
from lookalike.datasets.twemoji import open_twemoji
from lookalike.progress import SILENT, Progress

__all__ = ["ImageSet", "TextSet", "VectorSet", "check_vectors", "duplicate_groups", "open_dataset"]


SOURCES: Mapping[type[schemas.Dataset], Callable[[Any, Progress], ImageSet | VectorSet]] = MappingProxyType(
    {
        schemas.TwemojiDataset: open_twemoji,
        schemas.FolderDataset: open_folder,
        schemas.EmbeddingsDataset: open_embeddings,
    }
)


def open_dataset(config: schemas.Dataset, progress: Progress = SILENT) -> ImageSet | VectorSet:
    """Return what ``config`` describes, listed and sampled but not yet read.

    Raises DatasetError when it is not there or not as described.
    """
    return SOURCES[type(config)](config, progress)
