"""What a loss of ``knn_recall`` costs in a measure of relevance: recall may change nothing that matters.

A point's answers are compared, query by query, with what the exact neighbours themselves would have given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lookalike.evaluate.measures import VS_RELEVANCE
from lookalike.evaluate.statistics import PairedDifference, holm, paired_difference
from lookalike.report.candidates import AnswersOf
from lookalike.report.digits import share_text
from lookalike.report.rows import Row

USUAL = "hit_rate"
"""Of the measures of relevance, the one that is looked at when none is asked for; at its first cut-off."""
ALPHA = 0.05
NAMED = 3
"""So many points that differ are named."""


@dataclass(frozen=True)
class RelevanceCost:
    """How far one point falls behind the exact answer."""

    row: Row
    name: str
    """``hit_rate@1``."""
    recall_name: str
    """``knn_recall@100``."""
    fall: PairedDifference
    """The exact answer's measure less the point's."""
    p_value: float
    """Corrected for all points that are compared (Holm)."""

    @property
    def recall(self) -> float:
        """Share of the exact neighbours that the point finds."""
        return self.row.recall or 0.0

    @property
    def is_apart(self) -> bool:
        """Whether the difference is more than chance would give."""
        return self.p_value < ALPHA

    @property
    def per_point(self) -> float | None:
        """Points of the measure for one point (a hundredth) of recall; None where none is lost."""
        return self.fall.mean / (1 - self.recall) if self.recall < 1 else None


def relevance_costs(
    rows: Sequence[Row], measure: str, k: int, answers_of: AnswersOf, exact_of: AnswersOf
) -> list[RelevanceCost]:
    """Return what each of ``rows`` that loses recall falls behind the exact answer, in the order of ``rows``.

    The measure is ``measure`` at ``k`` where that is one of relevance, else hit_rate (or the first other that
    is there) at the lowest cut-off. Rows whose values per query or whose exact answer were not kept are left
    out, and so are rows that lose nothing.
    """
    compared: list[tuple[Row, str, PairedDifference]] = []
    for row in rows:
        if row.recall is None or row.recall >= 1:
            continue
        if (chosen := _measure_of(row, measure, k)) is None:
            continue
        mine, exact = answers_of(row, *chosen), exact_of(row, *chosen)
        if mine is None or exact is None or not mine.pairs_with(exact):
            continue
        fall = paired_difference(exact.values, mine.values, mine.sources)
        compared.append((row, f"{chosen[0]}@{chosen[1]}", fall))
    adjusted = holm([fall.p_value for _, _, fall in compared])
    return [
        RelevanceCost(row, name, f"knn_recall@{row.cutoff}", fall, float(p))
        for (row, name, fall), p in zip(compared, adjusted, strict=True)
    ]


def _measure_of(row: Row, measure: str, k: int) -> tuple[str, int] | None:
    if measure in VS_RELEVANCE:
        return (measure, k) if k in row.point.curve(measure) else None
    usual = next((name for name in (USUAL, *VS_RELEVANCE) if row.point.curve(name)), None)
    return None if usual is None else (usual, min(row.point.curve(usual)))


def costs_in_words(costs: Sequence[RelevanceCost], chosen: Row | None) -> list[str]:
    """Return a sentence of the chosen row, and one of the others."""
    lines = []
    own = next((cost for cost in costs if cost.row is chosen), None)
    if own is not None:
        lines.append(
            f"From 1 to {share_text(own.recall)} of the exact answer ({own.recall_name}), {own.name} "
            f"{_changes(own)}: {_verdict(own)}."
        )
    if others := [cost for cost in costs if cost is not own]:
        lines.append(f"What the loss costs in {others[0].name}, on the front: {_of_others(others)}.")
    return lines


def _of_others(costs: Sequence[RelevanceCost]) -> str:
    """Those that differ, the nearest to the exact answer first, and how many do not."""
    apart = sorted((cost for cost in costs if cost.is_apart), key=lambda cost: -cost.recall)
    alike = [cost.recall for cost in costs if not cost.is_apart]
    told = [
        f"{cost.row.point.label} ({share_text(cost.recall)}) {_signed(-cost.fall.mean)}"
        for cost in apart[:NAMED]
    ]
    if len(apart) > NAMED:
        told.append(f"{len(apart) - NAMED} more")
    if alike:
        points = "1 point" if len(alike) == 1 else f"{len(alike)} points"
        ends = " to ".join(dict.fromkeys(share_text(recall) for recall in (min(alike), max(alike))))
        told.append(f"not distinguishable: {points} (recall {ends})")
    return "; ".join(told)


def _changes(cost: RelevanceCost) -> str:
    fall = cost.fall
    return f"changes by {_signed(-fall.mean)} ({_signed(-fall.high)} to {_signed(-fall.low)})"


def _verdict(cost: RelevanceCost) -> str:
    if not cost.is_apart:
        return "not distinguishable"
    each = "" if cost.per_point is None else f"{cost.per_point:.2g} points for each point of recall"
    return each or "different"


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−") if round(value, 3) else "0"
