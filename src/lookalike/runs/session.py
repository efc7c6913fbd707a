"""What the runs of one process share, so that each thing is loaded and announced once; a run's stages."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Hashable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from lookalike.progress import SILENT, Progress
from lookalike.schemas import Experiment
from lookalike.store.artifact import Artifact
from lookalike.store.store import Store

T = TypeVar("T")

MEMORY = ("peak_rss_bytes", "peak_anonymous_bytes", "peak_file_backed_bytes")


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
        """Return whether ``key`` is new; from now on it is not."""
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


class StageLog:
    """Stages in the order in which they ended."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.entries: list[dict[str, Any]] = []

    def perform(
        self,
        stage: str,
        key: Any,
        work: Callable[[], T],
        artifacts: Callable[[T], Sequence[Artifact | None]],
    ) -> T:
        """Do one stage's ``work``, or take what the session has of it; ``artifacts`` are what it used."""
        started = time.perf_counter()
        result = self.session.once(stage, key, work)
        seconds = time.perf_counter() - started
        used = [artifact for artifact in artifacts(result) if artifact is not None]
        if used:
            self._add(stage, used, seconds)
        return result

    def _add(self, stage: str, artifacts: Sequence[Artifact], seconds: float) -> None:
        fresh = self.session.first_time((stage, *(artifact.key for artifact in artifacts)))
        built = [artifact for artifact in artifacts if not artifact.reused] if fresh else []
        reason = built[0].reason if built else ""
        built_seconds = sum(artifact.build_seconds for artifact in artifacts)
        memory = {
            name: max(sizes)
            for name in MEMORY
            if (sizes := [a.manifest["memory"][name] for a in artifacts if a.manifest["memory"].get(name)])
        }
        self.entries.append(
            {
                "stage": stage,
                "outcome": "built" if built else "reused",
                "reason": reason,
                "seconds": round(seconds, 4),
                "built_seconds": round(built_seconds, 4),
                "key": artifacts[0].key,
                "keys": [artifact.key for artifact in artifacts],
                "bytes": sum(artifact.bytes for artifact in artifacts),
                "machine": dict(artifacts[0].manifest["machine"]),
                **memory,
                **_speed(artifacts),
            }
        )
        if fresh:
            self.session.progress.say(f"{stage}: {_outcome(artifacts, built, seconds)}")


def _speed(artifacts: Sequence[Artifact]) -> dict[str, Any]:
    """How fast images were embedded when they were, and what bound that: ``decoding`` or ``forward pass``."""
    timed = [artifact.facts for artifact in artifacts if artifact.facts.get("images_per_second")]
    if not timed:
        return {}
    images = [facts["embedded"] - facts["resumed"] for facts in timed]
    seconds = sum(n / facts["images_per_second"] for n, facts in zip(images, timed, strict=True))
    slowest = max(timed, key=lambda facts: facts["decode_seconds"] + facts["forward_seconds"])
    return {"images_per_second": round(sum(images) / seconds, 2), "bound_by": slowest["bound_by"]}


def _outcome(artifacts: Sequence[Artifact], built: Sequence[Artifact], seconds: float) -> str:
    """``built 3.1 s (nlist 256 → 512)``, ``reused, 4 shards``, ``built 1 of 4 shards, 3.1 s (…)``."""
    shards = len(artifacts)
    if not built:
        return f"reused, {shards} shards" if shards > 1 else "reused"
    part = f" {len(built)} of {shards} shards," if shards > 1 else ""
    details = [built[0].reason] if built[0].reason else []
    copied = sum(int(artifact.facts.get("copied", 0)) for artifact in built)
    if copied:
        details.append(
            f"{sum(int(a.facts.get('embedded', 0)) for a in built):,} embedded, {copied:,} rows copied"
        )
    if speed := _speed(built):
        details.append(f"{speed['images_per_second']:,.0f} images/s, {speed['bound_by']} binds")
    explained = f" ({'; '.join(details)})" if details else ""
    return f"built{part} {seconds:.1f} s{explained}"
