"""A recommendation in words: which operating point to take, what else is near, and how sure that is.

Three quarters of the queries and every other turn of the timing choose, and what is stated comes from the
others (``choice.py``). A wished recall has to be met by the confidence bound, for all points at once;
runners-up are compared query by query on the quarter that chose nothing, their p-values corrected for how
many they are (Holm).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lookalike.errors import UserError
from lookalike.evaluate.measures import VS_EXACT
from lookalike.index.families import is_exact
from lookalike.report.candidates import AnswersOf, Candidate, candidates_of
from lookalike.report.choice import Sureness, Wanted, sureness
from lookalike.report.digits import share_text
from lookalike.report.front import front
from lookalike.report.relevance_costs import RelevanceCost, costs_in_words, relevance_costs
from lookalike.report.rows import Row, comparable
from lookalike.report.shares import MinShare
from lookalike.report.wording import (
    Unsure,
    alternatives,
    costs,
    doubts,
    equals,
    runners_up,
    stated_latency,
    stated_recall,
    stated_shares,
    unsure,
)

USUAL_RECALL = 0.95
"""Asked of ``knn_recall`` when nothing else is."""


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
    confidence: float = 0.95
    """With which the chosen point has to meet them."""
    max_end_to_end_ms: float | None = None
    """Of the p95 of encoding a query and searching for it, held to with the margin of the search's."""

    def __post_init__(self) -> None:
        if self.min_recall is not None and not 0 <= self.min_recall <= 1:
            raise UserError(f"--min-recall {self.min_recall:g} is not a share; give one between 0 and 1")
        if not 0.5 < self.confidence < 1:
            raise UserError(f"--confidence {self.confidence:g} is not possible; give one above 0.5, below 1")
        for name, limit in (
            ("--max-p95-ms", self.max_p95_ms),
            ("--max-end-to-end-ms", self.max_end_to_end_ms),
            ("--max-gb", self.max_gb),
        ):
            if limit is not None and limit <= 0:
                raise UserError(f"{name} {limit:g} leaves nothing to choose from; give more than 0")

    @property
    def is_open(self) -> bool:
        """Whether nothing is required."""
        limits = (self.min_recall, self.max_p95_ms, self.max_end_to_end_ms, self.max_gb)
        return all(limit is None for limit in limits) and not self.min_shares


@dataclass(frozen=True)
class Advice:
    """One recommendation, or why there is none."""

    row: Row | None
    headline: str
    lines: tuple[str, ...] = ()
    relevance_costs: tuple[RelevanceCost, ...] = ()
    """What the points of its front, and its own, lose of a measure of relevance."""

    @property
    def text(self) -> str:
        """All of it, a sentence a line."""
        return "\n".join([self.headline, *self.lines])


@dataclass(frozen=True)
class _Wish:
    """The requirements of one set of points."""

    name: str
    """``knn_recall@10 (first 10 of 100)``."""
    k: int
    min_recall: float | None
    limits: Requirements

    @property
    def asks_for_recall(self) -> bool:
        """Whether the fastest point that meets it is looked for, not the best within limits."""
        return self.min_recall is not None or bool(self.limits.min_shares)

    def asked_of(self, candidate: Candidate) -> list[Wanted]:
        """What the queries that choose have to show; [] where all choose and state."""
        if (sample := candidate.sample) is None:
            return []
        means = [] if self.min_recall is None else [Wanted(sample, self.min_recall)]
        shares = self.limits.min_shares
        return means + [Wanted(required.sample(sample), required.share) for required in shares]

    def is_met_by_record(self, candidate: Candidate) -> bool:
        """Whether the lower end of the measure's interval and the shares that the record has are enough."""
        low = (candidate.interval or (candidate.to_choose,))[0]
        shares = [
            (required.of(None, candidate.row, self.limits.measure, self.k), required.share)
            for required in self.limits.min_shares
        ]
        return (self.min_recall is None or low >= self.min_recall) and all(
            share is not None and share >= least for share, least in shares
        )

    @property
    def words(self) -> str:
        limits = []
        if self.limits.max_p95_ms is not None:
            limits.append(f"p95 ≤ {self.limits.max_p95_ms:g} ms")
        if self.limits.max_end_to_end_ms is not None:
            limits.append(f"p95 end to end ≤ {self.limits.max_end_to_end_ms:g} ms")
        if self.limits.max_gb is not None:
            limits.append(f"memory ≤ {self.limits.max_gb:g} GB")
        recalls = [] if self.min_recall is None else [f"{self.name} ≥ {self.min_recall:g}"]
        recalls += [f"{self.name} of {required}" for required in self.limits.min_shares]
        if recalls:
            return " and ".join([*recalls, *limits])
        return f"the highest {self.name}" + (f" with {' and '.join(limits)}" if limits else "")


@dataclass(frozen=True)
class _Choice:
    """What a set of candidates leaves to choose."""

    within: list[Candidate]
    """Those that keep the limits of latency and memory."""
    meeting: list[Candidate]
    """Those of them that are sure to have the recall."""
    unsure: list[Unsure]
    """Those of them that have it on the queries that choose, but not beyond doubt."""
    sure: dict[int, Sureness]
    """By ``id()`` of each candidate whose queries were looked at."""

    def best(self, wish: _Wish) -> Candidate | None:
        """The fastest that has the recall asked for; without one the highest, the fastest of equals."""
        if wish.asks_for_recall:
            return min(self.meeting, key=lambda c: (c.p50.choosing, -c.to_choose), default=None)
        return max(self.meeting, key=lambda c: (c.to_choose, -c.p50.choosing), default=None)


def recommend(
    rows: Sequence[Row],
    requirements: Requirements,
    answers_of: AnswersOf,
    exact_of: AnswersOf = lambda row, measure, k: None,
) -> Advice:
    """Choose among ``rows``, which are of one comparable set, and say so.

    With a ``min_recall`` or ``min_shares``: the fastest point (median of single queries) that is sure to meet
    them. Without: the highest recall within the limits. Without any requirement, for ``knn_recall`` and
    ``nn_recall``, a recall of 0.95. A point whose timing is in doubt is chosen only where no other will do.
    ``answers_of`` gives each query's value of a row, ``exact_of`` that of the exact neighbours of its run.
    """
    measure, k = requirements.measure, requirements.k or rows[0].point.k
    name = f"{measure}@{k}" + ("" if k == rows[0].point.k else f" (first {k} of {rows[0].point.k})")
    candidates = candidates_of(rows, measure, k, requirements.confidence, answers_of)
    if not candidates:
        return Advice(None, f"Nothing can be recommended: no point here has both {name} and a latency.")
    if requirements.max_end_to_end_ms is not None and not any(
        candidate.row.metric("end_to_end_p95_ms") for candidate in candidates
    ):
        return Advice(
            None,
            "Nothing can be recommended: no point here has a p95 of encoding and search; "
            "search.encoding=true measures it.",
        )
    min_recall = requirements.min_recall
    if requirements.is_open and measure.endswith("nn_recall"):
        min_recall = USUAL_RECALL
    wish = _Wish(name, k, min_recall, requirements)
    among = [candidate for candidate in candidates if not candidate.row.doubts] or candidates
    choice = _choice(among, wish)
    if not choice.meeting and len(among) < len(candidates):
        among = candidates
        choice = _choice(among, wish)
    chosen = choice.best(wish)
    left_out = [candidate for candidate in candidates if not any(candidate is each for each in among)]
    compared = _to_compare(rows, chosen)
    lost = relevance_costs(compared, measure, k, answers_of, exact_of)
    if chosen is None:
        headline, lines = _nothing_meets(choice, candidates, wish)
        lines += [*doubts(None, left_out), *costs_in_words(lost, None)]
        return Advice(None, headline, tuple(lines), tuple(lost))
    lines = [
        stated_recall(chosen, min_recall, name, choice.sure.get(id(chosen)), requirements.confidence),
        *stated_shares(chosen, requirements.min_shares, measure, k),
        *stated_latency(chosen, len(candidates) > 1, requirements.max_p95_ms),
        *doubts(chosen, left_out),
        *unsure(choice.unsure, chosen),
        *equals(chosen, among),
        *alternatives(chosen, among, name),
        *runners_up(chosen, choice.meeting),
        *costs_in_words(lost, chosen.row),
    ]
    headline = f"For {wish.words}: {chosen.row.point.label}, {costs(chosen)}."
    return Advice(chosen.row, headline, tuple(lines), tuple(lost))


def _choice(candidates: Sequence[Candidate], wish: _Wish) -> _Choice:
    within = [candidate for candidate in candidates if _within_limits(candidate, wish.limits)]
    if not wish.asks_for_recall:
        return _Choice(within, within, [], {})
    asked = {
        id(candidate): wanted
        for candidate in within
        if not _is_known_exact(candidate, wish) and (wanted := wish.asked_of(candidate))
    }
    tested = [candidate for candidate in within if id(candidate) in asked]
    verdicts = sureness([asked[id(each)] for each in tested], wish.limits.confidence, _chains(tested))
    sure = {id(candidate): verdict for candidate, verdict in zip(tested, verdicts, strict=True)}

    def meets(candidate: Candidate) -> bool:
        if id(candidate) in sure:
            return sure[id(candidate)].is_sure
        if _is_known_exact(candidate, wish):
            return wish.min_recall is None or candidate.to_choose >= wish.min_recall
        return wish.is_met_by_record(candidate)

    meeting = [candidate for candidate in within if meets(candidate)]
    unsure = [
        Unsure(candidate, tuple(asked[id(candidate)]), sure[id(candidate)])
        for candidate in within
        if id(candidate) in sure
        and not sure[id(candidate)].is_sure
        and all(wanted.is_met for wanted in asked[id(candidate)])
    ]
    return _Choice(within, meeting, unsure, sure)


def _chains(candidates: Sequence[Candidate]) -> list[list[int]]:
    """Places of the points of each index, from slow to fast: an order that no recall has chosen."""
    chains: dict[str, list[int]] = {}
    for place in sorted(range(len(candidates)), key=lambda place: -candidates[place].p50.choosing):
        chains.setdefault(candidates[place].chain, []).append(place)
    return list(chains.values())


def _is_known_exact(candidate: Candidate, wish: _Wish) -> bool:
    """Whether a recall of the exact neighbours is the family's by construction, not by sampling."""
    return wish.limits.measure in VS_EXACT and is_exact(candidate.row.family)


def _within_limits(candidate: Candidate, requirements: Requirements) -> bool:
    if requirements.max_p95_ms is not None:
        p95 = candidate.p95
        if p95 is None or p95.choosing * p95.margin > requirements.max_p95_ms:
            return False
    if requirements.max_end_to_end_ms is not None:
        both = candidate.row.metric("end_to_end_p95_ms")
        margin = 1.0 if candidate.p95 is None else candidate.p95.margin
        if both is None or both * margin > requirements.max_end_to_end_ms:
            return False
    if requirements.max_gb is not None:
        return candidate.gigabytes is not None and candidate.gigabytes <= requirements.max_gb
    return True


def _nothing_meets(choice: _Choice, candidates: Sequence[Candidate], wish: _Wish) -> tuple[str, list[str]]:
    if choice.unsure:
        confidence = f"{wish.limits.confidence:.0%}".replace("%", " %")
        headline = f"Nothing measured here is sure to meet {wish.words} ({confidence} confidence)."
        return headline, unsure(choice.unsure, None)
    near = choice.within or candidates
    best = max(near, key=lambda c: (c.to_choose, -c.p50.choosing))
    among = "The nearest" if choice.within else "No point keeps the limits; the highest"
    of_all = best.row.point.curve(wish.limits.measure).get(wish.k, best.stated)
    found = f"{wish.name} {share_text(of_all)}"
    if best.unseen is not None and share_text(best.stated) != share_text(of_all):
        found += f" ({share_text(best.stated)} on the queries that did not choose it)"
    told = f"{among} is {best.row.point.label}: {found}, {costs(best)}."
    return f"Nothing measured here meets {wish.words}.", [told]


def _to_compare(rows: Sequence[Row], chosen: Candidate | None) -> list[Row]:
    """The front of the points that the chosen one's recall may be compared with, and the chosen one."""
    groups = comparable(rows)
    if chosen is None:
        return front(groups[0])
    [group] = [each for each in groups if any(row is chosen.row for row in each)]
    on_front = front(group)
    return on_front if any(row is chosen.row for row in on_front) else [*on_front, chosen.row]
