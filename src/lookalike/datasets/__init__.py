"""Where the gallery comes from: files in a folder, emoji from a package, ready or made-up vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from lookalike import schemas
from lookalike.datasets.duplicates import duplicate_groups
from lookalike.datasets.embeddings import open_embeddings
from lookalike.datasets.folder import open_folder
from lookalike.datasets.huggingface import open_huggingface
from lookalike.datasets.sbu_captions import open_sbu_captions
from lookalike.datasets.sets import ImageSet, TextSet, VectorSet, check_vectors
from lookalike.datasets.synthetic import open_synthetic
from lookalike.datasets.twemoji import open_twemoji
from lookalike.datasets.webdataset import open_webdataset
from lookalike.progress import SILENT, Progress
from lookalike.store import Store

__all__ = ["ImageSet", "TextSet", "VectorSet", "check_vectors", "duplicate_groups", "open_dataset"]


SOURCES: Mapping[type[schemas.Dataset], Callable[[Any, Progress], ImageSet | VectorSet]] = MappingProxyType(
    {
        schemas.TwemojiDataset: open_twemoji,
        schemas.FolderDataset: open_folder,
        schemas.SbuCaptionsDataset: open_sbu_captions,
        schemas.HuggingfaceDataset: open_huggingface,
        schemas.EmbeddingsDataset: open_embeddings,
        schemas.SyntheticDataset: open_synthetic,
    }
)


def open_dataset(
    config: schemas.Dataset, progress: Progress = SILENT, store: Store | None = None
) -> ImageSet | VectorSet:
    """Return what ``config`` describes, listed and sampled but not yet read.

    ``store`` keeps what is slow to find out again: where the members of tars lie. Raises DatasetError when
    the dataset is not there or not as described.
    """
    if isinstance(config, schemas.WebdatasetDataset):
        return open_webdataset(config, progress, store)
    return SOURCES[type(config)](config, progress)
