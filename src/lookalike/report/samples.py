"""What lies beside a record: every latency sample, and each query's own recall."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lookalike.errors import UserError, foreign_parser
from lookalike.evaluate.intervals import Values, numbered
from lookalike.runs.record import PointRecord, Record
from lookalike.runs.terms import EXACT

PROBABILITIES = np.unique(np.concatenate([np.linspace(0, 1, 101), [0.995, 0.999]]))
"""Where a latency distribution is drawn: every hundredth, and the tail."""
SAMPLES_FOR_TAIL = 1_000
"""Fewer samples say nothing of what one call in a hundred takes."""


QUESTIONS = ("asked", "wanted")
"""Arrays that tell the queries of a run from those of others."""
ODD = np.uint64(0x9E3779B97F4A7C15)
"""Mixes two hashes, so that equal ones do not cancel out."""


@dataclass(frozen=True)
class Answers:
    """How well each query was answered."""

    values: Values
    """float64 between 0 and 1, one a query; nan: it does not count."""
    sources: tuple[str, ...]
    """Per query, equal for those that may be alike: what is permuted and split as one."""
    asked: tuple[int, ...] | None = None
    """Per query, a number that is the same in every run that asked it; None: the run kept no such."""

    def pairs_with(self, other: Answers) -> bool:
        """Whether both are of the same queries in the same order, as far as the runs tell."""
        if self.asked is None and other.asked is None:
            return self.sources == other.sources
        return self.asked == other.asked


@dataclass(frozen=True, eq=False)
class Shared:
    """Queries that all points of a set were asked."""

    scope: str
    """Whether they are the same for exact neighbours, or also for what is relevant to them."""
    questions: npt.NDArray[np.uint64] = field(repr=False)
    """Ascending, what :func:`questions_of` gives of each."""

    @property
    def text(self) -> str:
        """What a caption says of them."""
        return f"on the {len(self.questions):,} queries that all were asked"


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


def answers_of(
    folder: Path | None, point: PointRecord, measure: str, k: int, shared: Shared | None = None
) -> Answers | None:
    """Return ``measure`` at ``k`` of each query; None when the run kept no such values.

    ``shared``: of these queries only. Where the run kept what was asked, queries are in an order of their
    own, the same for every run that asked them, and so are the names of their sources.
    """
    name = f"{measure}_at_{k}"
    return _answers(arrays_of(folder, point, (name, "sources", *QUESTIONS)), name, shared)


def exact_answers_of(
    folder: Path | None, record: Record, measure: str, k: int, shared: Shared | None = None
) -> Answers | None:
    """Return ``measure`` at ``k`` of each query's exact neighbours, as :func:`answers_of` does of a point."""
    kept, name = record.data.get("exact_answer"), f"{measure}_at_{k}"
    if folder is None or not kept:
        return None
    try:
        with foreign_parser(kept["values"], "", UserError), np.load(folder / kept["values"]) as raw:
            names = [each for each in (name, "sources", *QUESTIONS) if each in raw]
            return _answers({each: raw[each] for each in names}, name, shared)
    except UserError:
        return None


def _answers(raw: Mapping[str, np.ndarray], name: str, shared: Shared | None) -> Answers | None:
    if name not in raw or "sources" not in raw or len(raw[name]) != len(raw["sources"]):
        return None
    values = raw[name].astype(np.float64)
    if ((values < 0) | (values > 1)).any():
        return None
    questions = _questions(raw, shared.scope if shared else EXACT)
    if questions is None or len(questions) != len(values):
        return None if shared else Answers(values, tuple(map(str, raw["sources"].tolist())))
    order = np.argsort(questions, kind="stable")
    if shared is not None:
        order = order[np.isin(questions[order], shared.questions)]
    sources, _ = numbered(raw["sources"][order])
    return Answers(values[order], tuple(map(str, sources.tolist())), tuple(questions[order].tolist()))


def questions_of(folder: Path | None, point: PointRecord, scope: str) -> npt.NDArray[np.uint64] | None:
    """Return a number for each query of the point, equal to that of the same query in another run.

    uint64 (queries,). Queries are the same for exact neighbours when their ids, sources and edits are, and
    for relevance when the same is relevant to them, too. None where the run kept no such.
    """
    return _questions(arrays_of(folder, point, QUESTIONS), scope)


def _questions(raw: Mapping[str, np.ndarray], scope: str) -> npt.NDArray[np.uint64] | None:
    asked, wanted = (raw.get(name) for name in QUESTIONS)
    if asked is None or wanted is None or asked.shape != wanted.shape or asked.ndim != 1:
        return None
    if asked.dtype != np.uint64 or wanted.dtype != np.uint64:
        return None
    questions: npt.NDArray[np.uint64] = asked if scope == EXACT else asked ^ (wanted * ODD)
    return questions


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
