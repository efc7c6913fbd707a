"""What lies beside a record: every latency sample, and each query's own recall."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lookalike.errors import UserError, foreign_parser
from lookalike.evaluate.intervals import Values
from lookalike.runs.record import PointRecord, Record

PROBABILITIES = np.unique(np.concatenate([np.linspace(0, 1, 101), [0.995, 0.999]]))
"""Where a latency distribution is drawn: every hundredth, and the tail."""
SAMPLES_FOR_TAIL = 1_000
"""Fewer samples say nothing of what one call in a hundred takes."""


@dataclass(frozen=True)
class Answers:
    """How well each query was answered."""

    values: Values
    """float64 between 0 and 1, one a query; nan: it does not count."""
    sources: tuple[str, ...]
    """Per query, the image it was made from: what is resampled and split."""


def arrays_of(folder: Path | None, point: PointRecord, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Return the arrays of ``names`` that were kept of ``point``; {} without a file that can be read."""
    try:
        return read_arrays(folder, point, names)
    except UserError:
        return {}


def read_arrays(folder: Path | None, point: PointRecord, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Return the arrays of ``names`` that were kept of ``point``, as far as it has them.

    Raises UserError when none were kept, or when their file is gone, empty or damaged.
    """
    cure = "run the experiment again to have it"
    if folder is None or point.neighbours is None:
        raise UserError(f"nothing was kept of what {point.label} found; {cure}")
    path = folder / point.neighbours
    with foreign_parser(f"{path} is damaged", cure, UserError), np.load(path, allow_pickle=False) as raw:
        return {name: raw[name] for name in names if name in raw}


def answers_of(folder: Path | None, point: PointRecord, measure: str, k: int) -> Answers | None:
    """Return ``measure`` at ``k`` of each query; None when the run kept no such values."""
    return _answers(arrays_of(folder, point, (f"{measure}_at_{k}", "sources")), f"{measure}_at_{k}")


def exact_answers_of(folder: Path | None, record: Record, measure: str, k: int) -> Answers | None:
    """Return ``measure`` at ``k`` of each query's exact neighbours; None when the run kept no such values."""
    kept, name = record.data.get("exact_answer"), f"{measure}_at_{k}"
    if folder is None or not kept:
        return None
    try:
        with foreign_parser(kept["values"], "", UserError), np.load(folder / kept["values"]) as raw:
            return _answers({each: raw[each] for each in (name, "sources") if each in raw}, name)
    except UserError:
        return None


def _answers(raw: Mapping[str, np.ndarray], name: str) -> Answers | None:
    if len(raw) < 2 or len(raw[name]) != len(raw["sources"]):
        return None
    values = raw[name].astype(np.float64)
    if ((values < 0) | (values > 1)).any():
        return None
    return Answers(values, tuple(map(str, raw["sources"].tolist())))


def latencies_ms(
    folder: Path | None, point: PointRecord, samples: str | None = None
) -> dict[str, npt.NDArray[np.float64]]:
    """Return, by mode, the milliseconds of every call, as they were taken.

    ``samples``: the file that they are in, relative to ``folder``; None: ``point.neighbours``.
    """
    kept_in = replace(point, neighbours=samples or point.neighbours)
    raw = arrays_of(folder, kept_in, [f"seconds_{mode}" for mode in point.latency])
    return {name.removeprefix("seconds_"): seconds * 1e3 for name, seconds in raw.items() if len(seconds)}


def distribution(samples: npt.NDArray[np.float64]) -> list[float]:
    """Return quantiles of ``samples`` at :data:`PROBABILITIES`; of fewer than 1,000 without the tail."""
    last = 1 if len(samples) >= SAMPLES_FOR_TAIL else 0.99
    known = PROBABILITIES[last >= PROBABILITIES]
    return [float(value) for value in np.quantile(samples, known)]
