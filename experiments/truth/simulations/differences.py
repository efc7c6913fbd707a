"""How often does the interval of a difference hold it, and how often is one seen where there is none?

Two operating points answer the same queries; some are answered by one of them only. Independent queries, and
7 a source that are alike by 0.3. Beside Lookalike's interval the bootstrap over sources, and the permutation
test that sorts the runners-up of a recommendation at 0.05.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lookalike.evaluate.statistics import bootstrap_interval, paired_difference

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZE, SMALL = 400, 2
QUERIES = (210, 1050)
GAINED_AND_LOST = ((0.0, 0.0), (0.0, 0.002), (0.005, 0.005), (0.02, 0.02), (0.05, 0.02))
EACH, ALIKE = 7, 0.3
RESAMPLES = 200


def simulate(seed: int, size: int) -> pd.DataFrame:
    """A line a setting: coverages, mean widths, and how often the test calls it a difference."""
    rng = np.random.default_rng(seed)
    lines = []
    for queries in QUERIES:
        for each in (1, EACH):
            sources = np.repeat(np.arange(queries // each), each)
            names = sources.tolist()
            for gained, lost in GAINED_AND_LOST:
                seen = []
                for _ in range(size):
                    one, other = _answers(rng, gained, lost, sources, each)
                    found = paired_difference(one, other, names, permutations=RESAMPLES)
                    low, high = bootstrap_interval(one - other, names, resamples=RESAMPLES)
                    true = gained - lost
                    seen.append(
                        (
                            found.low <= true <= found.high,
                            found.high - found.low,
                            low <= true <= high,
                            high - low,
                            found.p_value <= 0.05,
                        )
                    )
                line = {"queries": queries, "each": each, "gained": gained, "lost": lost, "trials": size}
                names_of = ("coverage", "width", "bootstrap_coverage", "bootstrap_width", "called_different")
                lines.append(line | dict(zip(names_of, np.mean(seen, axis=0), strict=True)))
    return pd.DataFrame(lines)


def _answers(
    rng: np.random.Generator, gained: float, lost: float, sources: np.ndarray, each: int
) -> tuple[np.ndarray, np.ndarray]:
    """Hits of both: a query is won with chance ``gained``, lost with ``lost``, sources differing in both."""
    count = len(sources) // each
    chance = np.zeros((2, count))
    for row, rate in enumerate((gained, lost)):
        if rate and each > 1:
            concentration = (1 - ALIKE) / ALIKE
            chance[row] = rng.beta(rate * concentration, (1 - rate) * concentration, count)
        else:
            chance[row] = rate
    drawn = rng.random(len(sources))
    won = drawn < chance[0][sources]
    missed = (drawn > 1 - chance[1][sources]) & ~won
    return np.where(missed, 0.0, 1.0), np.where(won, 0.0, 1.0)


def finding(frame: pd.DataFrame) -> str:
    """The least coverage, and how often no difference is called one."""
    none = frame[frame.gained == frame.lost]
    same = frame[(frame.gained == 0) & (frame.lost == 0)]
    lines = [
        f"Lookalike's interval holds the difference in {frame.coverage.min():.3f} of the trials or more, the "
        f"bootstrap's in {frame.bootstrap_coverage.min():.3f}; where both hold, Lookalike's is "
        f"{_ratio(frame):.2f} times as wide (median). Where there is no difference, one is called at most in "
        f"{none.called_different.max():.3f} of the trials (5 % are allowed). Where no query differs, the "
        "bootstrap says 0 to 0; Lookalike says what would have been seen:",
        "",
        "| queries | a source | no query differs: interval |",
        "| ---: | ---: | ---: |",
    ]
    lines += [f"| {line.queries:,} | {line.each} | ± {line.width / 2:.4f} |" for line in same.itertuples()]
    return "\n".join(lines)


def _ratio(frame: pd.DataFrame) -> float:
    holds = frame[(frame.bootstrap_coverage >= 0.93) & (frame.bootstrap_width > 0)]
    return float((holds.width / holds.bootstrap_width).median())


def failures(frame: pd.DataFrame) -> list[str]:
    """Settings where the interval holds less, or the test errs more, than chance explains."""
    error = 3 * np.sqrt(0.93 * 0.07 / frame.trials)
    said = [
        f"{line.queries} queries, {line.gained} gained and {line.lost} lost: {line.coverage:.3f}"
        for line in frame[frame.coverage < 0.93 - error].itertuples()
    ]
    wrong = frame[(frame.gained == frame.lost) & (frame.called_different > 0.05 + error)]
    return said + [
        f"{line.queries} queries: a difference in {line.called_different:.3f}" for line in wrong.itertuples()
    ]


def draw(frame: pd.DataFrame) -> Figure:
    """Coverage of both intervals, and their widths, a group a setting."""
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    for place, (_, part) in enumerate(frame.groupby(["gained", "lost"])):
        for method, colour in (("", "tab:blue"), ("bootstrap_", "tab:orange")):
            at = place + (0.12 if method else -0.12)
            label = (method.rstrip("_") or "lookalike") if not place else None
            panels[0].plot([at] * len(part), part[f"{method}coverage"], "o", ms=4, color=colour, label=label)
            panels[1].plot([at] * len(part), part[f"{method}width"], "o", ms=4, color=colour)
    settings = [f"+{gained:g}\n−{lost:g}" for gained, lost in GAINED_AND_LOST]
    for panel, title in zip(panels, ("coverage", "width"), strict=True):
        panel.set(title=title, xlabel="share of queries that one wins, and loses")
        panel.set_xticks(range(len(settings)), settings)
        panel.grid(alpha=0.3)
    panels[0].axhline(0.93, color="black", lw=0.8, ls=":")
    panels[0].set(ylim=(0, 1.02))
    panels[1].set(yscale="log")
    panels[0].legend()
    return figure
