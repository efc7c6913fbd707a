"""A recommendation in words: which operating point to take, what else is near, and how sure that is.

Choosing the best of many on some queries and quoting it on the same ones flatters it. So the choice is made
on one half of the queries and all that is stated of its recall comes from the other; runners-up are
compared query by query there, and their p-values are corrected for how many they are (Holm).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from lookalike.errors import UserError
from lookalike.evaluate.intervals import Values, mean_interval
from lookalike.evaluate.statistics import holm, paired_difference, split_halves
from lookalike.report.digits import interval_text, share_text
from lookalike.report.rows import Row
from lookalike.report.samples import Answers
from lookalike.report.shares import MinShare

USUAL_RECALL = 0.95
"""Asked of ``knn_recall`` when nothing else is."""
RUNNERS_UP = 8
"""Of the points that meet the requirements as well, so many are compared: each costs the others certainty."""
ALPHA = 0.05
WORTH_SAYING = 0.1
"""A cheaper point that loses more recall than this is not an alternative."""
CHEAPER = 0.5
"""Of the memory or the time: an alternative that saves less is not worth a sentence."""

AnswersOf = Callable[[Row, str, int], Answers | None]


@dataclass(frozen=True)
class Requirements:
    """What a point has to meet; a limit of None is none."""

    measure: str = "knn_recall"
    k: int | None = None
    """None: the search's k."""
    min_recall: float | None = None
    max_p95_ms: float | None = None
    max_gb: float | None = None
    """Of memory to serve the index, 10⁹ bytes."""
    min_shares: tuple[MinShare, ...] = ()
    """Of the measure's values of single queries; all have to be met."""

    def __post_init__(self) -> None:
        if self.min_recall is not None and not 0 <= self.min_recall <= 1:
            raise UserError(f"--min-recall {self.min_recall:g} is not a share; give one between 0 and 1")
        for name, limit in (("--max-p95-ms", self.max_p95_ms), ("--max-gb", self.max_gb)):
            if limit is not None and limit <= 0:
                raise UserError(f"{name} {limit:g} leaves nothing to choose from; give more than 0")

    @property
    def is_open(self) -> bool:
        """Whether nothing is required."""
        limits = (self.min_recall, self.max_p95_ms, self.max_gb)
        return all(limit is None for limit in limits) and not self.min_shares


@dataclass(frozen=True)
class Advice:
    """One recommendation, or why there is none."""

    row: Row | None
    headline: str
    lines: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """All of it, a sentence a line."""
        return "\n".join([self.headline, *self.lines])


@dataclass(frozen=True)
class _Candidate:
    row: Row
    to_choose: float
    """The measure on the half that chooses."""
    answers: Answers | None
    """Per query, when its queries are those of most others."""
    unseen: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    """The half that chose nothing."""

    @property
    def stated(self) -> float:
        """The measure on the other half; on all queries where the halves are not known."""
        if self.answers is None:
            return self.to_choose
        return float(np.nanmean(self.answers.values[self.unseen]))


def recommend(rows: Sequence[Row], requirements: Requirements, answers_of: AnswersOf) -> Advice:
    """Choose among ``rows``, which are of one comparable set, and say so.

    With a ``min_recall`` or ``min_shares``: the fastest point (median of single queries) that meets them.
    Without: the highest recall within the limits. Without any requirement, for ``knn_recall`` and
    ``nn_recall``, a recall of 0.95.
    """
    k = requirements.k or rows[0].point.k
    name = f"{requirements.measure}@{k}" + (
        "" if k == rows[0].point.k else f" (first {k} of {rows[0].point.k})"
    )
    candidates, is_split = _candidates(rows, requirements.measure, k, answers_of)
    if not candidates:
        return Advice(None, f"Nothing can be recommended: no point here has both {name} and a latency.")
    min_recall = requirements.min_recall
    if requirements.is_open and requirements.measure.endswith("nn_recall"):
        min_recall = USUAL_RECALL
    within = [
        candidate
        for candidate in candidates
        if _within_limits(candidate.row, requirements) and _enough_for_most(candidate, requirements, k)
    ]
    meeting = [candidate for candidate in within if min_recall is None or candidate.to_choose >= min_recall]
    wanted = _in_words(name, min_recall, requirements)
    if not meeting:
        return _no_point(within or candidates, wanted, name, bool(within))
    if min_recall is None and not requirements.min_shares:
        chosen = max(meeting, key=lambda c: (c.to_choose, -(c.row.p50_ms or 0)))
    else:
        chosen = min(meeting, key=lambda c: (c.row.p50_ms or 0, -c.to_choose))
    lines = [
        _stated_recall(chosen, min_recall, name, is_split),
        *_stated_shares(chosen, requirements, k),
        *_alternatives(chosen, candidates, name),
        *_runners_up(chosen, meeting),
    ]
    headline = f"For {wanted}: {chosen.row.point.label}, {_costs(chosen.row)}."
    return Advice(chosen.row, headline, tuple(line for line in lines if line))


def _candidates(
    rows: Sequence[Row], measure: str, k: int, answers_of: AnswersOf
) -> tuple[list[_Candidate], bool]:
    """What may be chosen, and whether it is chosen on one half of the queries."""
    measured = [row for row in rows if row.p50_ms is not None and k in row.point.curve(measure)]
    known = [answers_of(row, measure, k) for row in measured]
    if any(answers is None for answers in known):
        return [_Candidate(row, row.point.curve(measure)[k], None) for row in measured], False
    candidates = []
    halves: dict[tuple[str, ...], tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]] = {}
    for row, answers in zip(measured, known, strict=True):
        if answers is None:
            continue
        if answers.sources not in halves:
            halves[answers.sources] = split_halves(answers.sources)
        first, second = halves[answers.sources]
        counted = ~np.isnan(answers.values)
        if not (counted & first).any() or not (counted & second).any():
            return [_Candidate(row, row.point.curve(measure)[k], None) for row in measured], False
        candidates.append(_Candidate(row, float(np.nanmean(answers.values[first])), answers, second))
    return candidates, bool(candidates)


def _within_limits(row: Row, requirements: Requirements) -> bool:
    def keeps(value: float | None, limit: float | None) -> bool:
        return limit is None or (value is not None and value <= limit)

    return keeps(row.metric("latency_single_p95_ms"), requirements.max_p95_ms) and keeps(
        _gigabytes(row), requirements.max_gb
    )


def _enough_for_most(candidate: _Candidate, requirements: Requirements, k: int) -> bool:
    """Whether so many of the queries that choose are answered as well as is asked for."""
    return all(
        (share := _share_of(candidate, required, requirements.measure, k)) is not None
        and share >= required.share
        for required in requirements.min_shares
    )


def _share_of(
    candidate: _Candidate, required: MinShare, measure: str, k: int, unseen: bool = False
) -> float | None:
    answers = candidate.answers
    values = None
    if answers is not None:
        values = answers.values[candidate.unseen if unseen else ~candidate.unseen]
    return required.of(values, candidate.row, measure, k)


def _stated_shares(chosen: _Candidate, requirements: Requirements, k: int) -> list[str]:
    """What the half that chose nothing says of each required share."""
    lines = []
    for required in requirements.min_shares:
        share = _share_of(chosen, required, requirements.measure, k, unseen=True)
        where = "over all queries" if chosen.answers is None else "on the other half of the queries"
        if share is not None:
            below = "" if share >= required.share else ", fewer than was asked"
            lines.append(f"It has {required.least:g} or more for {share:.2%} {where}{below}.")
    return lines


def _in_words(name: str, min_recall: float | None, requirements: Requirements) -> str:
    limits = []
    if requirements.max_p95_ms is not None:
        limits.append(f"p95 ≤ {requirements.max_p95_ms:g} ms")
    if requirements.max_gb is not None:
        limits.append(f"memory ≤ {requirements.max_gb:g} GB")
    recalls = [] if min_recall is None else [f"{name} ≥ {min_recall:g}"]
    recalls += [f"{name} of {required}" for required in requirements.min_shares]
    if recalls:
        return " and ".join([*recalls, *limits])
    return f"the highest {name}" + (f" with {' and '.join(limits)}" if limits else "")


def _no_point(near: Sequence[_Candidate], wanted: str, name: str, limits_are_met: bool) -> Advice:
    best = max(near, key=lambda c: (c.to_choose, -(c.row.p50_ms or 0)))
    among = "The nearest" if limits_are_met else "No point keeps the limits; the highest"
    costs = f"{name} {share_text(best.stated)}, {_costs(best.row)}"
    return Advice(
        None, f"Nothing measured here meets {wanted}.", (f"{among} is {best.row.point.label}: {costs}.",)
    )


def _stated_recall(chosen: _Candidate, min_recall: float | None, name: str, is_split: bool) -> str:
    """On which queries it was chosen, and what it gives on the others."""
    if not is_split or chosen.answers is None:
        return (
            f"Its {name} is {share_text(chosen.to_choose)} over all queries. These runs kept no recall per "
            "query, so it was chosen and is stated on the same ones, which flatters it; run again to have "
            "them apart."
        )
    low, high = mean_interval(_only(chosen.unseen, chosen.answers), chosen.answers.sources)
    sure = "" if np.isnan(low) else f" ({interval_text(low, high)})"
    text = (
        f"Chosen on one half of the queries ({share_text(chosen.to_choose)}); "
        f"on the other half its {name} is {share_text(chosen.stated)}{sure}"
    )
    if min_recall is not None and chosen.stated < min_recall:
        return f"{text}, which is below what was asked: take a point with more to spare."
    return f"{text}."


def _alternatives(chosen: _Candidate, candidates: Sequence[_Candidate], name: str) -> list[str]:
    """What half of a cost would lose, and what the last of the recall would cost."""
    lines = []
    for cost, words in ((_gigabytes, "the memory"), (lambda row: row.p50_ms, "the time")):
        mine = cost(chosen.row)
        cheap = [c for c in candidates if mine and (theirs := cost(c.row)) and theirs <= CHEAPER * mine]
        best = max(cheap, key=lambda c: c.to_choose, default=None)
        if best is not None and chosen.to_choose - best.to_choose <= WORTH_SAYING:
            share = (cost(best.row) or 0) / (mine or 1)
            lines.append(
                f"{share:.0%} of {words} for {_points(best.stated - chosen.stated)}: "
                f"{best.row.point.label}, {_costs(best.row)}."
            )
    highest = max(c.to_choose for c in candidates)
    best = min((c for c in candidates if c.to_choose == highest), key=lambda c: c.row.p50_ms or 0)
    if best is not chosen and best.to_choose > chosen.to_choose:
        lines.append(
            f"The highest {name} here is {share_text(best.stated)} ({_points(best.stated - chosen.stated)}): "
            f"{best.row.point.label}, {_costs(best.row)}."
        )
    return lines


def _runners_up(chosen: _Candidate, meeting: Sequence[_Candidate]) -> list[str]:
    """Which of the next ones differ in recall, query by query on the half that chose nothing."""
    others = sorted((c for c in meeting if c is not chosen), key=lambda c: c.row.p50_ms or 0)
    mine = chosen.answers
    paired = [
        (other, other.answers)
        for other in others
        if mine is not None and other.answers is not None and _of_the_same_queries(chosen, other)
    ][:RUNNERS_UP]
    if mine is None or not paired:
        return []
    differences = [
        paired_difference(_only(other.unseen, answers), _only(chosen.unseen, mine), mine.sources)
        for other, answers in paired
    ]
    adjusted = holm([difference.p_value for difference in differences])
    alike, apart = [], []
    for (other, _), difference, p in zip(paired, differences, adjusted, strict=True):
        label, slower = other.row.point.label, (other.row.p50_ms or 0) / (chosen.row.p50_ms or 1)
        if p >= ALPHA:
            alike.append(f"{label} (×{slower:.2g} the time)")
        else:
            apart.append(f"{label} ({_points(difference.mean)} at ×{slower:.2g} the time, p = {p:.2g})")
    lines = []
    if alike:
        lines.append(f"Not distinguishable in recall from {'; '.join(alike)}.")
    if apart:
        lines.append(f"Different in recall: {'; '.join(apart)}.")
    lines.append(
        f"Compared query by query with {len(paired)} of {len(others)} runners-up "
        f"(paired permutation test on the other half, Holm-corrected, α = {ALPHA:g})."
    )
    return lines


def _only(queries: npt.NDArray[np.bool_], answers: Answers) -> Values:
    """The values of these queries; of the others nan."""
    values: Values = np.where(queries, answers.values, np.nan)
    return values


def _of_the_same_queries(one: _Candidate, other: _Candidate) -> bool:
    """Whether both were asked the very same queries, so that they pair."""
    if one.answers is None or other.answers is None or one.answers.sources != other.answers.sources:
        return False
    configs = [candidate.row.record.config for candidate in (one, other)]
    return all(configs[0].get(group) == configs[1].get(group) for group in ("queries", "dataset"))


def _gigabytes(row: Row) -> float | None:
    size = row.metric("serving_memory_bytes")
    return None if size is None else size / 1e9


def _costs(row: Row) -> str:
    """``2.1 ms (p95 3.0), 3.1 GB``."""
    p95, size = row.metric("latency_single_p95_ms"), _gigabytes(row)
    tail = "" if p95 is None else f" (p95 {p95:.3g})"
    memory = "" if size is None else f", {size:.3g} GB" if size >= 1 else f", {size * 1e3:.3g} MB"
    return f"{row.p50_ms:.3g} ms{tail}{memory}"


def _points(difference: float) -> str:
    """``−0.4 points``: hundredths of recall."""
    points = round(100 * difference, 1)
    return "no loss" if points == 0 else f"{points:+.1f} points".replace("-", "−")
