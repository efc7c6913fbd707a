"""Does a point that is chosen have what was asked, and the latency that is stated of it?

Left: points of known recall (of 10 neighbours, hard queries hard for all) are measured with as many queries,
and the fastest that has .95 is chosen on three quarters of them: as measured, or sure with 95 % confidence
for all points at once. `ladder`: twelve settings of one index from .80 to .999, each faster one with less.
`edge`: six, one of .949. `crowd`: ten indexes of .945, each faster than one of .999. Right: of points that
take equally long, measured in nine turns with an error of 5 % over all of them, the one that seems the
fastest is chosen; its latency is stated from the same turns or from others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lookalike.evaluate.statistics import split_sources
from lookalike.report.choice import TO_CHOOSE, Sample, Wanted, split_turns, sureness

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZE, SMALL = 500, 10
ASKED, CONFIDENCE = 0.95, 0.95
QUERIES = (200, 1000, 5000)
LADDERS = {
    "ladder": tuple(1 - np.geomspace(0.2, 0.001, 12)),
    "edge": (0.8, 0.9, 0.949, 0.97, 0.99, 0.999),
    "crowd": (*[0.945] * 10, 0.999),
}
"""True recalls, the fastest point first."""
TOGETHER = 0.8
"""How far a query that is hard for one point is so for another: the correlation of difficulty."""
NEIGHBOURS, CONCENTRATION = 10, 2
POINTS = (2, 5, 10, 20)
TURNS, NOISE = 9, 0.05
METHODS = {"recall": ("as measured", "with a margin"), "latency": ("same turns", "other turns")}


def simulate(seed: int, size: int) -> pd.DataFrame:
    """A line for each setting and method: how often the pick has .95, or the bias of its latency."""
    rng = np.random.default_rng(seed)
    lines = [line for name in LADDERS for queries in QUERIES for line in _recalls(rng, name, queries, size)]
    lines += [line for points in POINTS for line in _latencies(rng, points, size * 10)]
    return pd.DataFrame(lines)


def _recalls(rng: np.random.Generator, name: str, queries: int, size: int) -> Iterator[dict[str, object]]:
    true = LADDERS[name]
    sources = tuple(map(str, range(queries)))
    choosing, _ = split_sources(sources, TO_CHOOSE)
    picks: dict[str, list[int]] = {method: [] for method in METHODS["recall"]}
    for _ in range(size):
        values = np.where(choosing, _measured(rng, true, queries), np.nan)
        means = np.nanmean(values, axis=1)
        asked = [[Wanted(Sample(row, sources), ASKED)] for row in values]
        verdicts = sureness(asked, CONFIDENCE, [range(len(true))[::-1]] if name != "crowd" else None)
        picks["as measured"].append(_first([bool(mean >= ASKED) for mean in means]))
        picks["with a margin"].append(_first([verdict.is_sure for verdict in verdicts]))
    best = _first([recall >= ASKED for recall in true])
    for method, chosen in picks.items():
        made = [pick for pick in chosen if pick >= 0]
        yield {
            "of": "recall",
            "setting": name,
            "queries": queries,
            "points": len(true),
            "method": method,
            "met": np.mean([true[pick] >= ASKED for pick in made]) if made else 1.0,
            "chosen": len(made) / size,
            "steps_slower": np.mean([pick - best for pick in made]) if made else np.nan,
            "trials": size,
        }


def _first(has: Sequence[bool]) -> int:
    """The fastest point that has it; −1 for none."""
    return next((place for place, each in enumerate(has) if each), -1)


def _measured(rng: np.random.Generator, true: Sequence[float], queries: int) -> np.ndarray:
    """Recall of each point on each query: beta shares by mean, dealt out by difficulties that go together."""
    hard = rng.normal(size=queries)
    values = np.empty((len(true), queries))
    for place, recall in enumerate(true):
        shares = np.sort(rng.beta(recall * CONCENTRATION, (1 - recall) * CONCENTRATION, queries))
        own = TOGETHER * hard + np.sqrt(1 - TOGETHER**2) * rng.normal(size=queries)
        values[place] = rng.binomial(NEIGHBOURS, shares[np.argsort(np.argsort(own))]) / NEIGHBOURS
    return values


def _latencies(rng: np.random.Generator, points: int, size: int) -> Iterator[dict[str, object]]:
    """The true latency is 1; each turn errs by so much that all nine together err by 5 %."""
    stated: dict[str, list[float]] = {method: [] for method in METHODS["latency"]}
    for _ in range(size):
        turns = 1 + rng.normal(0, NOISE * np.sqrt(TURNS), (points, TURNS))
        stated["same turns"].append(turns.mean(axis=1).min())
        halves = [split_turns(row) for row in turns.tolist()]
        stated["other turns"].append(min(halves)[1])
    for method, values in stated.items():
        yield {
            "of": "latency",
            "setting": "equal",
            "points": points,
            "method": method,
            "bias": np.mean(values) - 1,
            "standard_error": np.std(values) / np.sqrt(size),
            "trials": size,
        }


def finding(frame: pd.DataFrame) -> str:
    """In words and a table."""
    recall, latency = frame[frame["of"] == "recall"], frame[frame["of"] == "latency"]
    worst = {method: part.met.min() for method, part in recall.groupby("method")}
    bias = {method: part.bias for method, part in latency.groupby("method")}
    lines = [
        f"As measured, the pick has {ASKED:g} in {worst['as measured']:.0%} of the trials where that is "
        f"worst; with a margin in {worst['with a margin']:.1%} or more, and there is a pick in "
        f"{recall.chosen.min():.0%} of the trials or more. The margin costs steps towards the exact answer:",
        "",
        "| points | queries | has .95, as measured | with a margin | chosen | steps slower than the best |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for (name, queries), part in recall.groupby(["setting", "queries"], sort=False):
        plain, sure = (part[part.method == method].iloc[0] for method in METHODS["recall"])
        lines.append(
            f"| {name} | {queries:,.0f} | {plain.met:.3f} | {sure.met:.3f} | {sure.chosen:.3f} | "
            + ("" if np.isnan(sure.steps_slower) else f"{sure.steps_slower:.2f}")
            + " |"
        )
    lines += [
        "",
        f"The latency of the one that seems fastest is stated {-bias['same turns'].max():.1%} to "
        f"{-bias['same turns'].min():.1%} too low from the turns that chose it, and within "
        f"{bias['other turns'].abs().max():.2%} of the truth from the others.",
    ]
    return "\n".join(lines)


def failures(frame: pd.DataFrame) -> list[str]:
    """A margin that does not hold, a choice as measured that would have, or a latency that is biased."""
    said = []
    for line in frame[frame["of"] == "recall"].itertuples():
        sure = np.sqrt(CONFIDENCE * (1 - CONFIDENCE) / line.trials)
        if line.method == "with a margin" and line.chosen * (1 - line.met) > 1 - CONFIDENCE + 3 * sure:
            said.append(f"{line.setting} of {line.queries:.0f} queries: a sure pick has it in {line.met:.3f}")
    plain = frame[(frame["of"] == "recall") & (frame.method == "as measured")]
    if plain.met.min() > 0.8:
        said.append("a choice as measured is as good, and the margin needless")
    for line in frame[frame["of"] == "latency"].itertuples():
        if line.method == "other turns" and abs(line.bias) > 4 * line.standard_error:
            said.append(f"of {line.points} points the latency from other turns is biased by {line.bias:.3f}")
        if line.method == "same turns" and not -0.12 < line.bias < -0.02:
            said.append(
                f"of {line.points} points the same turns are biased by {line.bias:.3f}, unlike before"
            )
    return said


def draw(frame: pd.DataFrame) -> Figure:
    """Share of picks that have what was asked; bias of the stated latency."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    styles = {"as measured": "--", "with a margin": "-", "same turns": "--", "other turns": "-"}
    recall, latency = frame[frame["of"] == "recall"], frame[frame["of"] == "latency"]
    for (name, method), part in recall.groupby(["setting", "method"], sort=False):
        colour = {"ladder": "#0072b2", "edge": "#cc79a7", "crowd": "#d55e00"}[name]
        shown = {"color": colour, "marker": "o", "mfc": colour if styles[method] == "-" else "white"}
        left.plot(part.queries, part.met, styles[method], label=f"{name}, {method}", **shown)
    left.axhline(CONFIDENCE, color="0.6", lw=0.8)
    left.set_xscale("log")
    left.set_xticks(sizes := sorted(recall.queries.unique()), [f"{size:,.0f}" for size in sizes])
    left.minorticks_off()
    left.set(xlabel="queries", ylabel=f"share of picks that have {ASKED:g}", ylim=(-0.03, 1.03))
    for method, part in latency.groupby("method", sort=False):
        shown = {"color": "#009e73", "marker": "o", "mfc": "#009e73" if styles[method] == "-" else "white"}
        right.plot(part.points, 100 * part.bias, styles[method], label=method, **shown)
    right.axhline(0, color="0.6", lw=0.8)
    right.set_xticks(sorted(latency.points.unique()))
    right.set(xlabel="points to choose from", ylabel="bias of the stated latency (%)")
    for axes in (left, right):
        axes.legend(fontsize=8, handlelength=3.5)
    return figure
