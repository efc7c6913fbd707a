"""Why a point loses recall, in sentences: hard queries, queries from elsewhere, hubs, equal vectors.

Each sentence has its figures, and stands only where the record bears it out: two means differ when their
intervals do not overlap, a ratio when its interval leaves 1 out. Differences that are too small to matter are
left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lookalike.report.digits import interval_text, share_text
from lookalike.report.front import front
from lookalike.report.rows import Row

if TYPE_CHECKING:
    from lookalike.report.recommend import Advice

NAMES = {"lid": "local intrinsic dimension", "relative_contrast": "relative contrast"}
"""What orders queries by difficulty, in words."""
HARDEST = {"lid": "highest", "relative_contrast": "lowest"}

LOSES = 0.999
"""A point whose recall is at least this has nothing to explain."""
WORTH_SAYING = 0.02
"""Smaller differences of recall between easy and hard queries are no reason."""
ELSEWHERE = 1.1
"""Queries that lie less than this times as far as the gallery's own vectors are taken to be from there."""
HUBBED = 1.2
"""How many times as often missed neighbours are others' neighbours before they are called hubs."""
SKEWED = 1.0
"""Skewness of the k-occurrences beyond that of chance from which hubs are spoken of."""
MANY = 0.01
"""Share of the queries with equals from which they are spoken of."""
MOST_POINTS = 5

Quarter = Mapping[str, float]


def difficulty_payload(
    advice: Sequence[tuple[Advice, Sequence[Row]]], rows: Sequence[Row]
) -> list[dict[str, Any]]:
    """Return, for each set, what the page says of its queries and of the points that matter in it."""
    numbers = {id(row): number for number, row in enumerate(rows)}
    return [
        {
            "among": [numbers[id(row)] for row in members],
            "queries": _of_all_queries(members),
            "points": [
                {"point": numbers[id(row)], "lines": reasons(row)}
                for row in points_that_matter(each, members)
            ],
        }
        for each, members in advice
    ]


def points_that_matter(advice: Advice, members: Sequence[Row]) -> list[Row]:
    """Return the recommended point and up to four others of the front, as far as they lose recall."""
    chosen = [] if advice.row is None else [advice.row]
    chosen += [row for row in front(members) if row is not advice.row]
    return [row for row in chosen if row.recall is not None and row.recall < LOSES][:MOST_POINTS]


def reasons(row: Row) -> list[str]:
    """Return why the point loses recall; one sentence that says so where nothing stands out."""
    if not row.point.by_difficulty and not row.point.missed_neighbours:
        return [
            "The record does not say: too few queries, distances that are not defined, or an older version."
        ]
    lines = [line for line in (_by_quarter(row), _hubs(row.point.missed_neighbours)) if line]
    return lines or [f"Nothing stands out: {'; '.join(_unremarkable(row))}."]


def short_reason(rows: Sequence[Row]) -> str | None:
    """Return what the best point on the front that loses among hard queries does there; None without one."""
    for row in sorted(front(rows), key=lambda row: -(row.recall or 0)):
        found = _clearest(row)
        if found is not None and found[2]["mean"] < found[1]["mean"]:
            _, easy, hard = found
            where = f" ({row.point.label})" if len(rows) > 1 else ""
            return (
                f"recall@{row.point.k} {share_text(hard['mean'])} in the hardest quarter of the queries, "
                f"{share_text(easy['mean'])} in the easiest{where}"
            )
    return None


def query_sentences(record_data: Mapping[str, Any]) -> list[str]:
    """Return what is known of all queries together; [] where the record does not say."""
    known = record_data.get("difficulty") or {}
    lines = []
    if {"lid", "relative_contrast", "neighbours", "rank"} <= known.keys():
        (low, middle, high), (least, usual, most) = known["lid"], known["relative_contrast"]
        lines.append(
            f"Half of the queries have a local intrinsic dimension of {low:.1f}–{high:.1f} (median "
            f"{middle:.1f}, from {known['neighbours']} exact neighbours) and a relative contrast of "
            f"{least:.2f}–{most:.2f} (median {usual:.2f}: so many times as far as a query's neighbour "
            f"{known['rank']} is the gallery on average)."
        )
    lines += [line for line in (_origin(known), _hubness(known), _equals(known)) if line]
    return lines


def _of_all_queries(members: Sequence[Row]) -> list[str]:
    """Once for each model: its vectors are what is easy or hard."""
    by_model: dict[str, list[str]] = {}
    for row in members:
        model = str(row.record.model.get("name"))
        by_model[model] = by_model.get(model) or query_sentences(row.record.data)
    if len(by_model) == 1:
        return next(iter(by_model.values()))
    return [f"{model}: {line}" for model, lines in by_model.items() for line in lines]


def _origin(known: Mapping[str, Any]) -> str | None:
    """Whether the queries are of the gallery's distribution."""
    if not {"distance_ratio", "distance_ratio_interval", "rank"} <= known.keys():
        return None
    ratio, (low, high) = known["distance_ratio"], known["distance_ratio_interval"]
    basis = f"{low:.2f}–{high:.2f}; medians of the distance to neighbour {known['rank']}"
    if low > ELSEWHERE:
        return (
            f"The queries are not like the gallery: they lie {ratio:.2f} × as far from it as its own vectors "
            f"from each other ({basis})."
        )
    if high < 1 / ELSEWHERE:
        return (
            f"The queries lie closer to the gallery than its own vectors to each other, {ratio:.2f} × as far "
            f"({basis})."
        )
    if low <= 1 <= high:
        return (
            f"The queries lie as far from the gallery as its own vectors from each other: {ratio:.2f} × "
            f"({basis})."
        )
    return (
        f"The queries lie {ratio:.2f} × as far from the gallery as its own vectors from each other ({basis})."
    )


def _hubness(known: Mapping[str, Any]) -> str | None:
    skewness, chance = known.get("hubness_skewness"), known.get("hubness_skewness_by_chance")
    if skewness is None or chance is None or skewness - chance < SKEWED:
        return None
    return (
        "Hubs: some gallery vectors are neighbours of far more queries than others (skewness of how many "
        f"{skewness:.1f}, by chance {chance:.1f})."
    )


def _equals(known: Mapping[str, Any]) -> str | None:
    queries, equal, near = (known.get(name, 0) for name in ("queries", "with_equals", "with_near_equals"))
    if not queries or max(equal, near) < MANY * queries:
        return None
    return (
        f"{equal:,} of {queries:,} queries have an equal vector in the gallery besides what is ignored; of "
        f"{near:,} the nearest other one is nearly equal (a cosine above 0.99 for vectors of unit length)."
    )


def _by_quarter(row: Row) -> str | None:
    found = _clearest(row)
    if found is None:
        return None
    name, easy, hard = found
    easier = hard["mean"] > easy["mean"]
    end, other = (HARDEST[name], _opposite(HARDEST[name]))[:: -1 if easier else 1]
    worse, better = (easy, hard) if easier else (hard, easy)
    said = "It loses most among easy queries" if easier else "It loses most among hard queries"
    return (
        f"{said}: knn_recall@{row.point.k} is {_mean(worse)} in the quarter of {end} {NAMES[name]} "
        f"({_ends(name, worse)}, {int(worse['queries']):,} queries), {_mean(better)} in that of {other} "
        f"({_ends(name, better)})."
    )


def _unremarkable(row: Row) -> list[str]:
    """The figures that are no reason."""
    said = [
        f"knn_recall@{row.point.k} is {_mean(quarters[0])} in the easiest and {_mean(quarters[-1])} in the "
        f"hardest quarter by {NAMES[name]}"
        for name, quarters in row.point.by_difficulty.items()
        if name in NAMES and quarters
    ]
    missed = row.point.missed_neighbours
    if _are_counted(missed):
        said.append(
            f"missed neighbours are neighbours of {missed['occurrences']:.1f} other queries on average, "
            f"found ones at the same ranks of {missed['expected']:.1f}"
        )
    return said or ["too few queries lose anything"]


def _clearest(row: Row) -> tuple[str, Quarter, Quarter] | None:
    """The quantity whose easiest and hardest quarter differ most, and the two; None where none do."""
    apart = []
    for name in NAMES:
        quarters = row.point.by_difficulty.get(name, [])
        if quarters and _differ(quarters[0], quarters[-1]):
            apart.append((name, quarters[0], quarters[-1]))
    return max(apart, key=lambda each: abs(each[1]["mean"] - each[2]["mean"]), default=None)


def _differ(one: Quarter, other: Quarter) -> bool:
    bounds = [quarter.get(end) for quarter in (one, other) for end in ("mean_low", "mean_high")]
    if any(bound is None for bound in bounds) or abs(one["mean"] - other["mean"]) < WORTH_SAYING:
        return False
    return one["mean_low"] > other["mean_high"] or other["mean_low"] > one["mean_high"]


def _hubs(missed: Mapping[str, float]) -> str | None:
    if not _are_counted(missed):
        return None
    mean, expected = missed["occurrences"], missed["expected"]
    if missed["low"] <= 0 <= missed["high"]:
        return None
    if mean >= HUBBED * expected:
        said = "It misses hubs more than others"
    elif expected >= HUBBED * mean:
        said = "It misses anti-hubs more than others"
    else:
        return None
    return (
        f"{said}: its {int(missed['missed']):,} missed neighbours are neighbours of {mean:.1f} other queries "
        f"on average, those that were found at the same ranks of {expected:.1f}."
    )


def _are_counted(missed: Mapping[str, float]) -> bool:
    return {"missed", "occurrences", "expected", "low", "high"} <= missed.keys()


def _opposite(end: str) -> str:
    return "lowest" if end == "highest" else "highest"


def _mean(quarter: Quarter) -> str:
    if not {"mean_low", "mean_high"} <= quarter.keys():
        return share_text(quarter["mean"])
    return f"{share_text(quarter['mean'])} ({interval_text(quarter['mean_low'], quarter['mean_high'])})"


def _ends(name: str, quarter: Quarter) -> str:
    digits = 1 if name == "lid" else 2
    return f"{quarter['low']:.{digits}f}–{quarter['high']:.{digits}f}"
