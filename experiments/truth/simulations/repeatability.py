"""How far does a measured recall lie from the truth, and is it the same when measured again?

Queries are drawn from a population whose recall of 10 neighbours is known: most are easy, some are hard (beta
shares of concentration 2). Bias is the mean error; repeatability is the difference that 95 % of pairs of
measurements stay below.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZE, SMALL = 1000, 50
QUERIES = (200, 1000, 10_000)
RECALLS = (0.8, 0.9, 0.95, 0.99, 0.999)
NEIGHBOURS, CONCENTRATION = 10, 2


def simulate(seed: int, size: int) -> pd.DataFrame:
    """A line for each number of queries and recall: bias, spread and repeatability over ``size`` pairs."""
    rng = np.random.default_rng(seed)
    lines = []
    for recall in RECALLS:
        hard = (recall * CONCENTRATION, (1 - recall) * CONCENTRATION)
        for queries in QUERIES:
            estimates = np.array(
                [
                    [rng.binomial(NEIGHBOURS, rng.beta(*hard, queries)).mean() / NEIGHBOURS for _ in range(2)]
                    for _ in range(size)
                ]
            )
            lines.append(
                {
                    "queries": queries,
                    "recall": recall,
                    "bias": estimates.mean() - recall,
                    "standard_deviation": estimates.std(),
                    "repeatability": np.quantile(np.abs(estimates[:, 0] - estimates[:, 1]), 0.95),
                    "trials": size,
                }
            )
    return pd.DataFrame(lines)


def finding(frame: pd.DataFrame) -> str:
    """In words and a table."""
    worst = frame.loc[(frame.bias.abs() / frame.standard_deviation).idxmax()]
    table = frame.pivot(index="queries", columns="recall", values="repeatability")
    lines = [
        f"No bias: the largest mean error of {len(frame)} settings is {abs(worst.bias):.5f}, "
        f"{abs(worst.bias) / worst.standard_deviation:.1%} of the standard deviation of one measurement "
        "there. Two measurements with other queries differ, in 19 of 20 cases, by less than",
        "",
        "| queries | " + " | ".join(f"recall {recall:g}" for recall in table.columns) + " |",
        "| ---: |" + " ---: |" * len(table.columns),
    ]
    lines += [
        f"| {queries:,} | " + " | ".join(f"{value:.4f}" for value in row) + " |"
        for queries, row in zip(table.index, table.to_numpy(), strict=True)
    ]
    return "\n".join(lines)


def failures(frame: pd.DataFrame) -> list[str]:
    """A mean error beyond what chance gives, or a spread that does not shrink with the queries."""
    sure = frame.standard_deviation / np.sqrt(2 * frame.trials)
    said = [f"recall {line.recall} is biased" for line in frame[frame.bias.abs() > 4 * sure].itertuples()]
    for recall, part in frame.groupby("recall"):
        expected = part.standard_deviation.iloc[0] * np.sqrt(part.queries.iloc[0] / part.queries)
        if (np.abs(part.standard_deviation / expected - 1) > 0.1).any():
            said.append(f"the spread at recall {recall} does not shrink as the root of the queries")
    return said


def draw(frame: pd.DataFrame) -> Figure:
    """Bias with the spread of one measurement, and repeatability, against the number of queries."""
    from matplotlib import pyplot as plt

    figure, (bias, repeat) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for place, (recall, part) in enumerate(frame.groupby("recall")):
        shifted = part.queries * 1.06 ** (place - 2)
        bias.errorbar(shifted, part.bias, yerr=part.standard_deviation, fmt="o", ms=4, label=f"{recall:g}")
        repeat.plot(part.queries, part.repeatability, marker="o", ms=4, label=f"{recall:g}")
    bias.axhline(0, color="grey", lw=0.8)
    bias.set(xscale="log", xlabel="queries", ylabel="error", title="bias ± standard deviation")
    repeat.set(xscale="log", yscale="log", xlabel="queries", title="95 % of pairs differ by less")
    repeat.legend(title="recall")
    for panel in (bias, repeat):
        panel.grid(alpha=0.3)
    return figure
