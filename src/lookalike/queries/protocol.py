"""The interface of a query protocol: it answers for its config, and plans the queries."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from lookalike import schemas
from lookalike.datasets.sets import ImageSet, VectorSet
from lookalike.datasets.source import Source
from lookalike.queries.plan import QueryPlan

Config = TypeVar("Config", bound=schemas.Queries)


class QueryProtocol(ABC, Generic[Config]):
    """What is searched for, and what counts as found."""

    embeds_images: ClassVar[bool] = False
    """Whether queries are embedded from images that are not the gallery's."""
    embeds_texts: ClassVar[bool] = False
    """Whether queries are embedded by the model's text tower."""

    def __init__(self, config: Config) -> None:
        self.config = config

    @abstractmethod
    def plan(self, dataset: ImageSet | VectorSet) -> QueryPlan:
        """Return the queries against ``dataset``; nothing is decoded.

        Raises QueryError when the two do not fit.
        """

    def faults(self, source: Source[Any]) -> list[str]:
        """Return why the protocol does not fit ``source``, as far as is known without opening it."""
        if self.embeds_images and not source.has_images:
            return [
                f"queries={self.config.name} needs images, and dataset={source.config.name} has vectors "
                "only; choose queries=held_out, in_gallery or vectors"
            ]
        return []


def file_faults(setting: str, value: str | None, what: str, required: bool = False) -> Iterator[str]:
    """Yield why the file or folder that ``setting`` names (``what`` says of what) cannot be used."""
    if not value:
        if required:
            yield f"{setting} is not set; name {what}"
    elif not Path(value).expanduser().exists():
        yield f"{setting}={value} does not exist; name {what}"
