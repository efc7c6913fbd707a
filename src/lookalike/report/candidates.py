"""The points that a recommendation chooses from, each with what chooses it and what is stated of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lookalike.evaluate.statistics import split_sources
from lookalike.report.choice import TO_CHOOSE, Latency, Sample, latency_of
from lookalike.report.rows import Row
from lookalike.report.samples import Answers

AnswersOf = Callable[[Row, str, int], Answers | None]
"""A measure at a cut-off of each query of a row; None when it was not kept."""
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Candidate:
    """One operating point that has the measure and a latency."""

    row: Row
    to_choose: float
    """The measure on the queries that choose."""
    p50: Latency
    p95: Latency | None
    interval: tuple[float, float] | None
    """Of the measure over all queries."""
    answers: Answers | None = None
    """Per query; None when some point of the set does not know its queries: then all choose and state."""
    choosing: Flags | None = None
    """The queries that choose; the others state."""

    @property
    def sample(self) -> Sample | None:
        """The values of the queries that choose."""
        return None if self.answers is None else Sample(self._only(self.choosing), self.answers.sources)

    @property
    def unseen(self) -> Sample | None:
        """The values of the queries that chose nothing."""
        if self.answers is None or self.choosing is None:
            return None
        return Sample(self._only(~self.choosing), self.answers.sources)

    @property
    def stated(self) -> float:
        """The measure on the queries that chose nothing; on all where all choose."""
        return self.to_choose if self.unseen is None else float(np.nanmean(self.unseen.values))

    @property
    def chain(self) -> str:
        """What points of one index have in common, of which a slower one is expected to find more."""
        shaping = [self.row.family, self.row.record.model.get("name"), self.row.point.index_settings]
        return json.dumps(shaping, sort_keys=True, default=str)

    @property
    def gigabytes(self) -> float | None:
        """Memory that it takes to serve the index, 10⁹ bytes."""
        size = self.row.metric("serving_memory_bytes")
        return None if size is None else size / 1e9

    def _only(self, queries: Flags | None) -> npt.NDArray[np.float64]:
        assert self.answers is not None and queries is not None
        return np.where(queries, self.answers.values, np.nan)


def candidates_of(
    rows: Sequence[Row], measure: str, k: int, confidence: float, answers_of: AnswersOf
) -> list[Candidate]:
    """Return those of ``rows`` that have a latency and ``measure`` at ``k``.

    Their queries are split when all of them know each query's value and both parts have some that count.
    """
    measured = [row for row in rows if row.p50_ms is not None and k in row.point.curve(measure)]
    known = [answers_of(row, measure, k) for row in measured]
    parts: dict[tuple[str, ...], tuple[Flags, Flags]] = {}
    for answers in known:
        if answers is not None and answers.sources not in parts:
            parts[answers.sources] = split_sources(answers.sources, TO_CHOOSE)
    split = all(
        answers is not None
        and all((~np.isnan(answers.values) & part).any() for part in parts[answers.sources])
        for answers in known
    )
    candidates = []
    for row, answers in zip(measured, known, strict=True):
        p50, p95 = latency_of(row, 50, confidence), latency_of(row, 95, confidence)
        assert p50 is not None
        interval = row.point.interval(measure, k)
        if answers is None or not split:
            candidates.append(Candidate(row, row.point.curve(measure)[k], p50, p95, interval))
            continue
        choosing, _ = parts[answers.sources]
        to_choose = float(np.nanmean(answers.values[choosing]))
        candidates.append(Candidate(row, to_choose, p50, p95, interval, answers, choosing))
    return candidates


def of_the_same_queries(one: Candidate, other: Candidate) -> bool:
    """Return whether both were asked the very same queries, so that they pair."""
    if one.answers is None or other.answers is None or not one.answers.pairs_with(other.answers):
        return False
    if one.answers.asked is not None and other.answers.asked is not None:
        return True
    configs = [candidate.row.record.config for candidate in (one, other)]
    return all(configs[0].get(group) == configs[1].get(group) for group in ("queries", "dataset"))
