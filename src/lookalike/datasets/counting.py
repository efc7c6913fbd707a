"""How many rows a dataset has, by listing its files or reading headers: nothing is decoded or embedded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lookalike import schemas
from lookalike.datasets.embeddings import count_vectors
from lookalike.datasets.folder import count_images, expand_root, open_folder
from lookalike.datasets.huggingface import count_huggingface
from lookalike.datasets.sbu_captions import count_photos
from lookalike.datasets.twemoji import twemoji_folder
from lookalike.datasets.webdataset.opening import count_tar_images
from lookalike.progress import SILENT, Progress
from lookalike.store.store import Store


def count_rows(config: schemas.Dataset, progress: Progress = SILENT, store: Store | None = None) -> int:
    """Return how many rows ``open_dataset`` gives, ``config.limit`` applied.

    Some images may turn out to be bad later. ``store`` keeps the listings of tars, which the run that follows
    uses again. Raises DatasetError when the dataset is not there or not as described.
    """
    if isinstance(config, schemas.WebdatasetDataset):
        rows = count_tar_images(config, progress, store)
    else:
        rows = COUNTS[type(config)](config, progress)
    return rows if config.limit is None else min(rows, config.limit)


def _folder(config: schemas.FolderDataset, progress: Progress) -> int:
    if config.table_only:
        return len(open_folder(config, progress))
    root = expand_root(config.root, "dataset.root")
    with progress.bar("listing images", None, "images"):
        return count_images(root)


def _twemoji(config: schemas.TwemojiDataset, progress: Progress) -> int:
    return count_images(Path(twemoji_folder()))


def _synthetic(config: schemas.SyntheticDataset, progress: Progress) -> int:
    return config.n


COUNTS: Mapping[type[schemas.Dataset], Callable[[Any, Progress], int]] = MappingProxyType(
    {
        schemas.TwemojiDataset: _twemoji,
        schemas.FolderDataset: _folder,
        schemas.SbuCaptionsDataset: count_photos,
        schemas.HuggingfaceDataset: count_huggingface,
        schemas.EmbeddingsDataset: count_vectors,
        schemas.SyntheticDataset: _synthetic,
    }
)
