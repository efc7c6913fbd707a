"""The interface of a dataset: a source answers for its config, and opens it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from lookalike import schemas
from lookalike.datasets.sets import ImageSet, VectorSet
from lookalike.errors import DatasetError
from lookalike.progress import SILENT, Progress
from lookalike.store.store import Store

Config = TypeVar("Config", bound=schemas.Dataset)


class Source(ABC, Generic[Config]):
    """A dataset as configured. Making one and asking it for faults lists and decodes nothing."""

    has_images: ClassVar[bool] = True
    """False: the rows are ready vectors."""

    def __init__(self, config: Config) -> None:
        self.config = config

    @abstractmethod
    def open(self, progress: Progress = SILENT, store: Store | None = None) -> ImageSet | VectorSet:
        """Return the dataset, listed and sampled but not yet read.

        ``store`` keeps what is slow to find out again. Raises DatasetError when the dataset is not there or
        not as described.
        """

    @abstractmethod
    def count(self, progress: Progress = SILENT, store: Store | None = None) -> int:
        """Return how many rows :meth:`open` gives without ``config.limit``, by listing or reading headers.

        Some images may turn out to be bad later. Raises DatasetError as :meth:`open` does.
        """

    def faults(self) -> list[str]:
        """Return why the dataset cannot be opened, as far as can be told without listing or reading it."""
        return []

    def shape(self) -> tuple[int, int] | None:
        """Return (rows, dimensions) of ready vectors where they are known without reading them; else None."""
        return None

    def notices(self, metric: str) -> list[str]:
        """Return what the user should know, before any work, of searching the rows by ``metric``.

        A sentence each; at most a few rows are read.
        """
        return []

    def annotation_fault(self, kind: str) -> str | None:
        """Return why the rows have no ``kind`` (labels, groups, captions), with the cure, to follow "needs".

        None when they have, or when only opening them tells.
        """
        return None


def expand_root(root: str | None, setting: str) -> Path:
    """Return the folder that a setting names (``~`` expanded); DatasetError when it is unset or no folder."""
    if not root:
        raise DatasetError(f"{setting} is not set; name a folder of images, as in {setting}=~/Pictures")
    path = Path(root).expanduser()
    if not path.is_dir():
        fault = "is not a folder" if path.exists() else "does not exist"
        raise DatasetError(f"{setting}={root} {fault}; name a folder of images")
    return path


def root_fault(root: str | None, what: str, example: str) -> str | None:
    """Return why ``dataset.root`` cannot be ``what`` it should be; None when it is there."""
    if not root:
        return f"dataset.root is not set; name {what}: dataset.root={example}"
    if not Path(root).expanduser().exists():
        return f"dataset.root={root} does not exist; name {what}"
    return None
