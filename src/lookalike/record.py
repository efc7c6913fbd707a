"""A run's truth: ``record.json`` in its output folder. MLflow and every report are views of it.

The fields are the file's keys, one to one. Names carry their units. An absent number was not measured
(a p99 of fewer than 1,000 samples, a measure no query of the run has): there are no nulls in place of
numbers, and no NaN.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lookalike.credentials import concealed
from lookalike.errors import UserError
from lookalike.store.files import fsync

FORMAT = 1
FILE_NAME = "record.json"

FINISHED = "finished"
FAILED = "failed"
INTERRUPTED = "interrupted"


@dataclass
class PointRecord:
    """One operating point: an index with one set of search settings, and all that was measured there."""

    trial_key: str
    """Stable name of what was tried; the same in every sweep that tries it."""
    label: str
    """``ivf_flat nlist=64 nprobe=8``."""
    settings: dict[str, int]
    """What was set at query time; always holds ``k``."""
    index_settings: dict[str, Any] = field(default_factory=dict)
    """What shaped the index."""
    metrics: dict[str, float] = field(default_factory=dict)
    """Single values: ``knn_recall_at_10``, ``latency_single_p50_ms``, ``qps_batch``, ``index_bytes`` ..."""
    curves: dict[str, dict[str, float]] = field(default_factory=dict)
    """Measure -> cut-off -> mean over the queries."""
    intervals: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    """Measure -> cut-off -> [low, high]: the bootstrap interval of that mean."""
    by_edit: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    """Edit -> measure -> cut-off -> mean over the queries edited so."""
    latency: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Mode (single, batch, saturated) -> threads, samples, p50_ms, p95_ms, p99_ms, mean_ms ..."""
    counts: dict[str, int] = field(default_factory=dict)
    """queries, without_relevance, tied_at_k, missing_results."""
    neighbours: str | None = None
    """Raw neighbours and latency samples, relative to the record's folder."""
    mlflow_run_id: str | None = None

    @property
    def k(self) -> int:
        """What one search asked for."""
        return int(self.settings["k"])

    def curve(self, measure: str) -> dict[int, float]:
        """``measure`` by ascending cut-off; empty when it does not apply to the run."""
        return dict(sorted((int(k), value) for k, value in self.curves.get(measure, {}).items()))

    def interval(self, measure: str, k: int) -> tuple[float, float] | None:
        """The bootstrap interval of ``measure`` at ``k``, or None when there is none."""
        bounds = {int(cutoff): pair for cutoff, pair in self.intervals.get(measure, {}).items()}.get(k)
        return (bounds[0], bounds[1]) if bounds else None


@dataclass
class Record:
    """One run: what was composed, on which machine, what each stage did, and its operating points."""

    name: str
    started: str
    """ISO 8601 with the time zone; so is ``finished``."""
    finished: str
    status: str
    """finished | failed | interrupted."""
    error: str | None = None
    config: dict[str, Any] = field(default_factory=dict)
    overrides: list[str] = field(default_factory=list)
    environment: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    stages: list[dict[str, Any]] = field(default_factory=list)
    index: dict[str, Any] = field(default_factory=dict)
    timing: dict[str, Any] = field(default_factory=dict)
    points: list[PointRecord] = field(default_factory=list)
    extras: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """A record is read by many: passwords in addresses stay out of it."""
        self.config, self.overrides = concealed(self.config), concealed(self.overrides)

    @property
    def trial_keys(self) -> set[str]:
        """Of all that it did; embedding chosen shards (``dataset.shards``) is a trial without a point."""
        shards = [self.extras["shards"]["trial_key"]] if "shards" in self.extras else []
        return {*(point.trial_key for point in self.points), *shards}

    @property
    def identity(self) -> str:
        """32 hex characters that tell this run from every other one, wherever its folder is moved to."""
        told_apart_by = [
            self.name,
            self.started,
            self.environment.get("hostname"),
            self.config,
            self.overrides,
        ]
        return hashlib.sha256(json.dumps(_plain(told_apart_by), sort_keys=True).encode()).hexdigest()[:32]

    def save(self, folder: Path) -> Path:
        """Write ``folder/record.json`` in one step: a reader sees the old file or the new one, whole.

        NaN and infinities are left out, with the interval they bound. Raises :class:`UserError` when the
        folder cannot be written or its disk is full.
        """
        path = folder / FILE_NAME
        draft = folder / f".{FILE_NAME}.{os.getpid()}"
        text = json.dumps(
            {"format": FORMAT, **_plain(asdict(self))}, indent=1, ensure_ascii=False, allow_nan=False
        )
        with writing_results(folder):
            try:
                with draft.open("w", encoding="utf-8") as file:
                    file.write(text + "\n")
                    file.flush()
                    os.fsync(file.fileno())
                draft.replace(path)
                fsync(folder)
            finally:
                draft.unlink(missing_ok=True)
        return path

    @classmethod
    def load(cls, path: Path) -> Record:
        """Read a record from its file or its folder.

        Raises :class:`UserError` when there is none, or when another version of Lookalike wrote it.
        """
        file = path / FILE_NAME if path.is_dir() else path
        cure = f"name the {FILE_NAME} of a run"
        content = load_own_json(
            file,
            FORMAT,
            kind="a run's record",
            cure=cure,
            absent=f"{path} holds no {FILE_NAME}; name the output folder of a run",
            instead="run the experiment again",
        )
        try:
            points = [PointRecord(**point) for point in content.pop("points")]
            return cls(**content, points=points)
        except (TypeError, KeyError) as fault:
            raise UserError(f"{file} is damaged ({fault}); run the experiment again") from None


def load_own_json(
    file: Path, format_: int, *, kind: str, cure: str, absent: str, instead: str
) -> dict[str, Any]:
    """The object in a JSON file that a version of Lookalike wrote, without its ``format``.

    Raises :class:`UserError`: ``absent`` when there is no such file; with ``cure`` when it cannot be read or
    is no ``kind``; with ``instead``, besides using that version, when its format is another.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(absent) from None
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror}); make it readable") from None
    except ValueError:
        raise UserError(f"{file} is not JSON; {cure}") from None
    if not isinstance(content, dict) or "format" not in content:
        raise UserError(f"{file} is not {kind}; {cure}")
    if content.pop("format") != format_:
        raise UserError(
            f"{file} was written by another version of Lookalike (this one reads format {format_}); "
            f"use that version, or {instead}"
        )
    return content


@contextmanager
def writing_results(folder: Path) -> Iterator[None]:
    """Create ``folder``; errors of the system while something is written there become a UserError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise UserError(
            f"results cannot be written to {folder} ({error.strerror or error}); "
            "free some space there, or set paths.root to a folder on another disk"
        ) from error


_ABSENT = object()


def _plain(value: Any) -> Any:
    """``value`` as JSON knows it: numpy scalars become numbers, keys strings, and NaN is left out."""
    kept = _keep(value)
    return None if kept is _ABSENT else kept


def _keep(value: Any) -> Any:
    if isinstance(value, Mapping):
        kept = {str(key): _keep(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item is not _ABSENT}
    if isinstance(value, list | tuple):
        items = [_keep(item) for item in value]
        return _ABSENT if _ABSENT in items else items
    if isinstance(value, float) and not math.isfinite(value):
        return _ABSENT
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if hasattr(value, "tolist"):  # a numpy scalar or array
        return _keep(value.tolist())
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"a record cannot hold a {type(value).__name__}: {value!r}")
