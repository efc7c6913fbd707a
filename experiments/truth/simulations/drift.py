"""When is a point's timing called doubtful, and when should it be?

A point's calls in nine turns, each call of the next query. Its timing is doubtful when some consecutive
turns differ from the others by more than 5 % and by more than chance (4 standard errors of mean ranks).
Steady machines must raise no flag, however different the queries and however coarse the clock; machines that
slow down for a while must. A call's time is the product of its query's difficulty (spread on the log scale),
of its turn and of its own noise (5 %); one call in fifty is held up (Pareto tail).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from lookalike.evaluate.timing.drift import DRIFT_LIMIT, drift

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

SIZE, SMALL = 2000, 5
TURNS, CALL_NOISE, HELD_UP = 9, 0.05, 0.02


class Steady(NamedTuple):
    """A machine that does not drift: calls, spread of the queries, of the turns, resolution of the clock."""

    name: str
    calls: int = 1000
    difficulty: float = 0.3
    turns: float = 0.0
    tick: float = 0.0
    """Relative to a call."""


class Slow(NamedTuple):
    """A machine that slows down: which part of the run (0 to 1) takes how much longer, per ``size``."""

    name: str
    shape: Callable[[NDArray[np.float64]], NDArray[np.float64]]


STEADY = (
    Steady("equal queries", difficulty=0.0),
    Steady("different queries"),
    Steady("very different queries", difficulty=0.6),
    Steady("very different queries, 5,000 calls", 5000, 0.6),
    Steady("very different queries, 100 calls", 100, 0.6),
    Steady("a clock of 3 % of a call", difficulty=0.1, tick=0.03),
    Steady("turns differ by 1 %", turns=0.01),
    Steady("turns differ by 2 %", turns=0.02),
    Steady("turns differ by 2 %, equal queries", difficulty=0.0, turns=0.02),
)
SLOW = (
    Slow("middle third", lambda moment: (moment >= 1 / 3) & (moment < 2 / 3)),
    Slow("last third", lambda moment: moment >= 2 / 3),
    Slow("first half", lambda moment: moment < 1 / 2),
    Slow("two turns of nine", lambda moment: (moment >= 5 / 9) & (moment < 7 / 9)),
    Slow("one turn of nine", lambda moment: (moment >= 4 / 9) & (moment < 5 / 9)),
    Slow("slower and slower", lambda moment: moment),
)
SIZES = (0.05, 0.1, 0.2, 0.5)
"""By how much calls take longer; a point's calls are 1,000, of queries that differ by .3."""


def simulate(seed: int, size: int) -> pd.DataFrame:
    """A line for each machine: share of ``size`` points that are called doubtful, and the mean drift seen."""
    rng = np.random.default_rng(seed)
    lines = [
        _line("steady", setting.name, 0.0, [_judged(setting, None, 0.0, rng) for _ in range(size)])
        for setting in STEADY
    ]
    few = max(1, size // 10)
    for slow in SLOW:
        for slower in SIZES:
            lines.append(
                _line("slow", slow.name, slower, [_judged(Steady(""), slow, slower, rng) for _ in range(few)])
            )
    return pd.DataFrame(lines)


def finding(frame: pd.DataFrame) -> str:
    """In words and a table."""
    steady, slow = frame[frame.machine == "steady"], frame[frame.machine == "slow"]
    worst = steady.loc[steady.doubtful.idxmax()]
    lines = [
        f"False alarms: {worst.doubtful:.2%} of points at worst ({worst.setting}). Of points with 1,000 "
        "calls that slow down for a part of their turns, so many are called doubtful:",
        "",
        "| slower by | " + " | ".join(f"{size:.0%}" for size in SIZES) + " |",
        "| :--- |" + " ---: |" * len(SIZES),
    ]
    for name, part in slow.groupby("setting", sort=False):
        lines.append(f"| {name} | " + " | ".join(f"{value:.1%}" for value in part.doubtful) + " |")
    lines += [
        "",
        "5 % is the limit itself, where half would be called doubtful if all were seen. One turn of nine "
        "moves the median of all calls by less than the limit, and is let pass unless it is much slower.",
    ]
    return "\n".join(lines)


def failures(frame: pd.DataFrame) -> list[str]:
    """Too many false alarms, or a slowdown by a fifth of a third or half of the turns that is not seen."""
    steady, slow = frame[frame.machine == "steady"], frame[frame.machine == "slow"]
    said = [
        f"{line.setting}: {line.doubtful:.1%} false alarms"
        for line in steady[steady.doubtful > 0.01].itertuples()
    ]
    clear = slow[(slow.slower >= 0.2) & slow.setting.isin(["middle third", "last third", "first half"])]
    return said + [
        f"{line.setting} slower by {line.slower:.0%}: only {line.doubtful:.1%} seen"
        for line in clear[clear.doubtful < 0.95].itertuples()
    ]


def draw(frame: pd.DataFrame) -> Figure:
    """False alarms, and slowdowns that are seen."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4), layout="constrained")
    alarms, power = figure.subplots(1, 2, width_ratios=(1, 1.2))
    steady = frame[frame.machine == "steady"]
    alarms.barh(steady.setting, 100 * steady.doubtful, color="#cc3311")
    alarms.set(title="steady machines", xlabel="points called doubtful, %", xlim=(0, 5))
    alarms.invert_yaxis()
    for name, part in frame[frame.machine == "slow"].groupby("setting", sort=False):
        power.plot(100 * part.slower, 100 * part.doubtful, ".-", label=name)
    power.axvline(5, color="#bbbbbb", zorder=0)
    power.set(
        title="machines that slow down for a while", xlabel="slower by, %", ylabel="points called doubtful, %"
    )
    power.set(xscale="log", xticks=[100 * size for size in SIZES], ylim=(-2, 102))
    power.set_xticklabels([f"{size:.0%}" for size in SIZES])
    power.minorticks_off()
    power.legend(frameon=False)
    return figure


def _judged(
    setting: Steady, slow: Slow | None, slower: float, rng: np.random.Generator
) -> tuple[bool, float]:
    """Whether one point is called doubtful, and the drift that was seen."""
    count = setting.calls
    turn = (np.arange(count) * TURNS // count).astype(np.int16)
    seconds = np.exp(rng.normal(0, np.hypot(setting.difficulty, CALL_NOISE), count))
    seconds *= np.exp(rng.normal(0, setting.turns, TURNS))[turn]
    if slow is not None:
        seconds *= 1 + slower * slow.shape((np.arange(count) + 0.5) / count)
    held = rng.random(count) < HELD_UP
    seconds = np.where(held, seconds * (1 + rng.pareto(2.5, count)), seconds)
    if setting.tick:
        seconds = np.round(seconds / setting.tick) * setting.tick
    found = drift(seconds, turn) or 0.0
    return found > DRIFT_LIMIT, found


def _line(machine: str, setting: str, slower: float, judged: list[tuple[bool, float]]) -> dict[str, object]:
    doubtful, change = zip(*judged, strict=True)
    return {
        "machine": machine,
        "setting": setting,
        "slower": slower,
        "doubtful": np.mean(doubtful),
        "drift": np.mean(change),
        "trials": len(judged),
    }
