"""What the runs of one process share, so that a sweep scans, loads and says each thing once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable
from pathlib import Path
from typing import Any, TypeVar

from lookalike.progress import SILENT, Progress
from lookalike.schemas import Experiment
from lookalike.store.store import Store

T = TypeVar("T")


class Session:
    """The store, the progress and what the last run had loaded.

    One thing of a kind is kept at a time: a sweep over models never holds two of them, nor two indexes.
    """

    def __init__(self, experiment: Experiment, progress: Progress = SILENT) -> None:
        self.progress = progress
        self.root = Path(experiment.paths.root).expanduser().resolve()
        self.store = Store(
            self.root / experiment.paths.store, reuse=experiment.store.reuse, progress=progress
        )
        self._kept: dict[str, tuple[Any, Any]] = {}
        self._announced: set[Hashable] = set()

    def once(self, kind: str, key: Any, make: Callable[[], T]) -> T:
        """What ``make`` gave for the same ``key`` last time, else what it gives now."""
        if kind not in self._kept or self._kept[kind][0] != key:
            self._kept.pop(kind, None)  # frees the old one before the new one is made
            self._kept[kind] = (key, make())
        value: T = self._kept[kind][1]
        return value

    def complete(self, work: Callable[[], T]) -> T:
        """Return what ``work`` gives; where artifacts that it used were removed under it, let it begin again.

        It finds them gone, and builds them. Its error is raised when nothing was removed.
        """
        while True:
            try:
                return work()
            except Exception:
                gone = self.store.vanished()
                if not gone:
                    raise
            self._kept.clear()
            self._announced = {key for key in self._announced if not _names_any(key, gone)}
            self.progress.warn(
                f"{len(gone)} artifacts were removed from {self.store.root} while this run used them; "
                "they are built again"
            )

    def first_time(self, key: Hashable) -> bool:
        """Whether nothing was said of ``key`` yet."""
        new = key not in self._announced
        self._announced.add(key)
        return new

    def notice(self, *lines: str) -> None:
        """Tell the user each of these once."""
        for line in lines:
            if self.first_time(line):
                self.progress.say(f"notice: {line}")


def _names_any(announced: Hashable, keys: Collection[str]) -> bool:
    """Whether something that was announced is a stage (see ``StageLog``) with one of these artifacts."""
    return isinstance(announced, tuple) and not set(keys).isdisjoint(announced)
