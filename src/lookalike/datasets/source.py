"""What the rest of Lookalike knows of a dataset: a source answers for its config, and opens it."""

from __future__ import annotations

from typing import ClassVar, Generic, TypeVar

from lookalike import schemas
from lookalike.datasets.sets import ImageSet, VectorSet
from lookalike.progress import SILENT, Progress
from lookalike.store.store import Store

Config = TypeVar("Config", bound=schemas.Dataset)


class Source(Generic[Config]):
    """A dataset as configured. Making one and asking it for faults lists and decodes nothing."""

    has_images: ClassVar[bool] = True
    """False: the rows are ready vectors."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def open(self, progress: Progress = SILENT, store: Store | None = None) -> ImageSet | VectorSet:
        """Return the dataset, listed and sampled but not yet read.

        ``store`` keeps what is slow to find out again. Raises DatasetError when the dataset is not there or
        not as described.
        """
        raise NotImplementedError

    def count(self, progress: Progress = SILENT, store: Store | None = None) -> int:
        """Return how many rows :meth:`open` gives without ``config.limit``, by listing or reading headers.

        Some images may turn out to be bad later. Raises DatasetError as :meth:`open` does.
        """
        raise NotImplementedError

    def faults(self) -> list[str]:
        """Return why the dataset cannot be opened, as far as can be told without listing or reading it."""
        return []

    def shape(self) -> tuple[int, int] | None:
        """Return (rows, dimensions) of ready vectors where they are known without reading them; else None."""
        return None

    def annotation_fault(self, kind: str) -> str | None:
        """Return why the rows have no ``kind`` (labels, groups, captions), with the cure, to follow "needs".

        None when they have, or when only opening them tells.
        """
        return None
