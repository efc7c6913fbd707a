"""Where the gallery comes from: files in a folder, emoji from a package, ready or made-up vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from lookalike import schemas
from lookalike.datasets.embeddings import open_embeddings
from lookalike.datasets.folder import open_folder
from lookalike.datasets.huggingface import open_huggingface
from lookalike.datasets.known import settle_fingerprints
from lookalike.datasets.sbu_captions import open_sbu_captions
from lookalike.datasets.sets import ImageSet, VectorSet
from lookalike.datasets.synthetic import open_synthetic
from lookalike.datasets.twemoji import open_twemoji
from lookalike.datasets.webdataset.opening import open_webdataset
from lookalike.progress import SILENT, Progress
from lookalike.store.store import Store

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

    ``store`` keeps what is slow to find out again: where the members of tars lie, and the contents of images
    whose time of change alone is another (see :func:`settle_fingerprints`). Raises DatasetError when the
    dataset is not there or not as described.
    """
    if isinstance(config, schemas.WebdatasetDataset):
        opened: ImageSet | VectorSet = open_webdataset(config, progress, store)
    else:
        opened = SOURCES[type(config)](config, progress)
    if store is None or isinstance(opened, VectorSet):
        return opened
    return settle_fingerprints(opened, store, progress)
