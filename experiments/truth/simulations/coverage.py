"""How often does a 95 % interval hold the true recall?

Queries that hit or miss, and queries that find a share of 10 neighbours, of known mean: *mixed*, most easy
and some hard (beta shares of concentration 2), and *rare*, half of what is lost being lost by queries that
find nothing. First independent ones; then 7 a source on average, *alike* from 0 (independent) to 1 (a
source's queries all hit or all miss), in sources of equal or unequal numbers of queries (as 1, ½, ⅓ …).
Beside Lookalike's intervals: the bootstrap over sources, Wilson's of independent hits, and Korn and
Graubard's of hits in sources, as published.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import beta
from scipy.stats import t as student

from lookalike.evaluate.intervals import mean_intervals

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZE, SMALL, FEW = 1000, 4, 100
RESAMPLES = 400
LEAST = 0.93
MEANS = (0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 0.9999)
QUERIES = (50, 200, 1000, 5000)
SOURCES = (10, 20, 50, 200, 1000)
ALIKE = (0.0, 0.1, 0.3, 0.7, 1.0)
EACH = 7
METHODS = ("lookalike", "bootstrap", "wilson", "korn_graubard")


def simulate(seed: int, size: int) -> pd.DataFrame:
    """A line a setting: each method's coverage and mean width over ``size`` trials, nan where it has none.

    Of fewer than 100 trials every 27th setting only.
    """
    rng = np.random.default_rng(seed)
    lines = []
    for setting in islice(_settings(), 0, None, 1 if size >= FEW else 27):
        place, mean = _place(setting), setting["mean"]
        line = {**setting, "queries": len(place), "trials": size}
        for name, (low, high) in _intervals(_draw(rng, setting, place, size), place).items():
            known = not np.isnan(low).all()
            held = (low <= mean + 1e-12) & (mean - 1e-12 <= high)
            line[f"{name}_coverage"] = held.mean() if known else np.nan
            line[f"{name}_width"] = (high - low).mean() if known else np.nan
        lines.append(line)
    columns = [f"{name}_{what}" for name in METHODS for what in ("coverage", "width")]
    first = ["queries", "sources", "numbers", "values", "alike", "mean", "trials"]
    return pd.DataFrame(lines)[[*first, *columns]]


def _settings() -> Iterator[dict]:
    for n in QUERIES:
        for kind in ("hits", "mixed", "rare"):
            for mean in MEANS:
                yield {"sources": n, "numbers": "one", "values": kind, "alike": 0.0, "mean": mean}
    for sources in SOURCES:
        for numbers in ("equal", "unequal"):
            for alike in ALIKE:
                for mean in MEANS:
                    setting = {"sources": sources, "numbers": numbers, "values": "hits", "alike": alike}
                    yield setting | {"mean": mean}


def _place(setting: dict) -> np.ndarray:
    """Each query's source."""
    sources = setting["sources"]
    if setting["numbers"] == "one":
        return np.arange(sources)
    each = np.full(sources, EACH)
    if setting["numbers"] == "unequal":
        shares = 1 / np.arange(1, sources + 1)
        each = np.maximum(1, np.round(shares / shares.sum() * EACH * sources)).astype(int)
    return np.repeat(np.arange(sources), each)


def _draw(rng: np.random.Generator, setting: dict, place: np.ndarray, size: int) -> np.ndarray:
    """What each query scores, a row a trial."""
    mean, shape = setting["mean"], (size, setting["sources"])
    if setting["numbers"] == "one":
        return _independent(rng, setting["values"], mean, shape)
    chance = _chances(rng, mean, setting["alike"], shape)[:, place]
    return (rng.random(chance.shape) < chance).astype(np.float64)


def _independent(rng: np.random.Generator, kind: str, mean: float, shape: tuple[int, int]) -> np.ndarray:
    if kind == "hits":
        return (rng.random(shape) < mean).astype(np.float64)
    if kind == "mixed":
        return rng.binomial(10, rng.beta(2 * mean, 2 * (1 - mean), shape)) / 10
    lost = rng.random(shape) < (1 - mean) / 2
    return np.where(lost, 0.0, rng.binomial(10, mean / ((1 + mean) / 2), shape) / 10)


def _chances(rng: np.random.Generator, mean: float, alike: float, shape: tuple[int, int]) -> np.ndarray:
    if alike == 1:
        return (rng.random(shape) < mean).astype(np.float64)
    if alike == 0:
        return np.full(shape, mean)
    concentration = (1 - alike) / alike
    return rng.beta(mean * concentration, (1 - mean) * concentration, shape)


def _intervals(values: np.ndarray, place: np.ndarray) -> dict[str, np.ndarray]:
    """Each method's lower and upper ends, shape (2, trials)."""
    trials, n = values.shape
    found = {"lookalike": mean_intervals(list(values), place)}
    each = np.bincount(place).astype(np.float64)
    first = np.concatenate([[0], np.cumsum(each)[:-1]]).astype(int)
    totals = np.add.reduceat(values, first, axis=1)
    drawn = np.random.default_rng(0).multinomial(len(each), np.full(len(each), 1 / len(each)), RESAMPLES)
    means = totals @ drawn.T / (each @ drawn.T)
    found["bootstrap"] = np.quantile(means, [0.025, 0.975], axis=1)
    p = values.mean(axis=1)
    hits = bool(((values == 0) | (values == 1)).all())
    found["wilson"] = found["korn_graubard"] = np.full((2, trials), np.nan)
    if hits and len(each) == n:
        z = 1.959964
        middle, half = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
        found["wilson"] = np.stack([middle - half, middle + half]) / (1 + z**2 / n)
    elif hits:
        found["korn_graubard"] = _korn_graubard(p, totals, each)
    return found


def _korn_graubard(p: np.ndarray, totals: np.ndarray, each: np.ndarray) -> np.ndarray:
    """Clopper and Pearson's of n_eff = p(1 − p) / variance · (t(n − 1) / t(sources − 1))², at most n."""
    n, sources = each.sum(), len(each)
    variance = ((totals - p[:, None] * each) ** 2).sum(axis=1) * sources / (sources - 1) / n**2
    freedom = (student.ppf(0.975, n - 1) / student.ppf(0.975, sources - 1)) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        effective = np.minimum(n, p * (1 - p) / variance * freedom)
    effective = np.where(variance > 0, effective, sources)
    hit, miss = effective * p, effective * (1 - p)
    low = np.where(hit > 1e-9, beta.ppf(0.025, np.maximum(hit, 1e-9), miss + 1), 0.0)
    high = np.where(miss > 1e-9, beta.ppf(0.975, hit + 1, np.maximum(miss, 1e-9)), 1.0)
    return np.stack([low, high])


def finding(frame: pd.DataFrame) -> str:
    """The least coverage of each method, and how wide Lookalike's is beside a bootstrap that holds."""
    lines = [
        "Least coverage, and in how many of the settings it is below 0.93:",
        "",
        "| | settings | " + " | ".join(name.replace("_", " and ") for name in METHODS) + " |",
        "| --- | ---: |" + " ---: |" * len(METHODS),
    ]
    for title, part in _parts(frame).items():
        cells = []
        for name in METHODS:
            held = part[f"{name}_coverage"]
            known = part[f"{name}_width"].notna().any()
            cells.append(f"{held.min():.3f} ({(held < LEAST).sum()})" if known else "")
        lines.append(f"| {title} | {len(part)} | " + " | ".join(cells) + " |")
    holds = frame[(frame.bootstrap_coverage >= LEAST) & (frame.bootstrap_width > 0)]
    ratio = holds.lookalike_width / holds.bootstrap_width
    large = ratio[(holds.queries >= 1000) & (holds["mean"] <= 0.95) & (holds.numbers != "unequal")]
    trials = int(frame.trials.iloc[0])
    near = frame[(frame["values"] == "hits") & (frame.numbers == "one") & (frame.bootstrap_coverage < LEAST)]
    worst = near.loc[near["mean"].sub(0.99).abs().idxmin()]
    lines += [
        "",
        f"Each coverage is of {trials:,} trials: one of 0.95 is seen as "
        f"{0.95 - 2 * np.sqrt(0.05 * 0.95 / trials):.3f} or less in one setting of forty. The price: in the "
        f"{len(holds)} settings in which the bootstrap holds too, Lookalike's interval is "
        f"{ratio.median():.2f} times as wide (median); from 1,000 queries on, up to a mean of 0.95 and of "
        f"sources of equal numbers {large.median():.2f} times. Of {worst.queries:,} independent queries that "
        f"hit with {worst['mean']:g}, the bootstrap's holds the truth in {worst.bootstrap_coverage:.3f} of "
        f"the trials, Lookalike's in {worst.lookalike_coverage:.3f}.",
    ]
    return "\n".join(lines)


def _parts(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    alone = frame.numbers == "one"
    hits = frame["values"] == "hits"
    return {
        "independent hits": frame[alone & hits],
        "independent shares": frame[alone & ~hits],
        "hits in equal sources": frame[frame.numbers == "equal"],
        "hits in unequal sources": frame[frame.numbers == "unequal"],
    }


def failures(frame: pd.DataFrame) -> list[str]:
    """Settings in which Lookalike's interval holds the truth less often than chance explains at 0.93."""
    least = LEAST - 3 * np.sqrt(LEAST * (1 - LEAST) / frame.trials)
    return [
        f"{line.queries} {line.values} of {line.sources} sources ({line.numbers}, alike {line.alike}) at "
        f"{line.mean}: {line.lookalike_coverage:.3f}"
        for line in frame[frame.lookalike_coverage < least].itertuples()
    ]


def draw(frame: pd.DataFrame) -> Figure:
    """Coverage against the mean: a column a kind of queries, Lookalike above and the bootstrap below."""
    from matplotlib import pyplot as plt

    parts = _parts(frame)
    figure, panels = plt.subplots(
        2, len(parts), figsize=(13, 6), sharex=True, sharey=True, layout="constrained"
    )
    for column, (title, part) in enumerate(parts.items()):
        by = "queries" if title.startswith("independent") else "sources"
        for row, method in enumerate(("lookalike", "bootstrap")):
            panel = panels[row, column]
            for number, lines in part.groupby(by):
                worst = lines.groupby("mean")[f"{method}_coverage"].min()
                panel.plot(1 - worst.index, worst, marker="o", ms=3, label=f"{number:,} {by}")
            panel.axhline(LEAST, color="black", lw=0.8, ls=":")
            panel.set(xscale="log", title=f"{title}: {method}", ylim=(0, 1.02))
            panel.grid(alpha=0.3)
            if row:
                panel.set(xlabel="share that is missed")
        panels[0, column].legend(fontsize=7, loc="lower right")
    panels[0, 0].invert_xaxis()
    for row in range(2):
        panels[row, 0].set(ylabel="least coverage")
    return figure
