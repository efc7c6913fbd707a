"""The recall–latency figure: what each index family gives for its time."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lookalike.index.families import colour_of
from lookalike.report.captions import caption
from lookalike.report.front import front, staircase
from lookalike.report.rows import Row, common_settings, comparable, heading, rows_of
from lookalike.runs.files import result_file
from lookalike.runs.record import Record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 3
PANEL_INCHES = (6.4, 4.4)
DPI = 150
POINT = DPI / 72
"""Pixels."""
LONGEST_LABELLED = 24
"""A panel with more points than this labels only those on its overall front."""


def pareto_figure(records: Sequence[Record], path: Path, title: str) -> None:
    """Draw recall against single-query latency (log axis) into ``path``, a PNG.

    One colour a family, its front connected, dominated points faint. Points that were not measured on
    equal terms (:mod:`lookalike.runs.terms`) get panels of their own.
    Raises :class:`ValueError` when no point has both a recall and a latency.
    """
    figure = draw_figure(records, title)
    with result_file(path) as draft:
        figure.savefig(draft, format="png")


def draw_figure(records: Sequence[Record], title: str) -> Figure:
    """Return the figure of :func:`pareto_figure`, one panel a comparable group."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = [row for row in rows_of(records) if row.recall is not None and row.p50_ms is not None]
    if not rows:
        raise ValueError("no operating point has both a recall and a latency")
    groups = comparable(rows)
    across = min(COLUMNS, len(groups))
    down = ceil(len(groups) / across)
    width = max(PANEL_INCHES[0] * across, 8.0)
    figure = Figure(figsize=(width, PANEL_INCHES[1] * down + 0.9), dpi=DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    figure.suptitle(_wrapped(title, width, 12), fontsize=12, fontweight="bold", parse_math=False)
    panels = [figure.add_subplot(down, across, place + 1) for place in range(len(groups))]
    for axes, group in zip(panels, groups, strict=True):
        _scale(axes, rows)
        _draw_group(axes, group, heading(group, among=rows), width / across)
    canvas.draw()
    figure.set_layout_engine("none")  # what is placed now must stay where it was measured
    for axes, group in zip(panels, groups, strict=True):
        _label_points(axes, group, canvas.get_renderer())
    return figure


def _draw_group(axes: Any, group: Sequence[Row], title: str, inches: float) -> None:
    none_is_sure = all(row.doubts for row in group)
    for family, rows in _families(group).items():
        colour = colour_of(family)
        sure = [row for row in rows if none_is_sure or not row.doubts]
        best, steps = front(sure), staircase(sure)
        beaten = [row for row in sure if not any(row is kept for kept in best)]
        hollow = [] if none_is_sure else [row for row in rows if row.doubts]
        axes.plot(_xs(steps), _ys(steps), "-", color=colour, lw=1.5, zorder=3)
        axes.plot(_xs(best), _ys(best), "o", color=colour, ms=5, label=_named(family, rows), zorder=3)
        axes.plot(_xs(beaten), _ys(beaten), "o", color=colour, ms=4, alpha=0.25, zorder=2)
        axes.plot(_xs(hollow), _ys(hollow), "o", color=colour, mfc="none", ms=5, alpha=0.5, zorder=2)
        for row in best:
            if row.interval is not None:
                axes.plot([row.p50_ms] * 2, row.interval, "-", color=colour, lw=1, alpha=0.5, zorder=2)
            if row.p50_interval is not None:
                axes.plot(row.p50_interval, [row.recall] * 2, "-", color=colour, lw=1, alpha=0.5, zorder=2)
    cutoff, k = max(row.cutoff or 0 for row in group), group[0].point.k
    of = "" if cutoff == k else f" (first {cutoff} of {k})"
    axes.set_ylabel(f"knn_recall@{cutoff}{of}: share of the exact neighbours")
    axes.set_xlabel(
        "single-query latency, p50 (ms, log scale)\n"
        + "\n".join(_wrapped(line, inches, 7.5) for line in [*_marks(group), *caption(group)]),
        fontsize=7.5,
        parse_math=False,
    )
    if title:
        axes.set_title(_wrapped(title, inches, 9), fontsize=9, parse_math=False)
    axes.grid(True, which="major", color="0.9", lw=0.6)
    axes.set_axisbelow(True)
    legend = axes.legend(loc="lower right", fontsize=8, frameon=True, framealpha=0.9, edgecolor="0.9")
    for text in legend.get_texts():
        text.set_parse_math(False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _marks(group: Sequence[Row]) -> list[str]:
    """What bars and hollow points say, where there are any."""
    lines = []
    if any(row.p50_interval is not None for row in group):
        lines.append("bars: intervals; points whose bars overlap in both directions are not distinguishable")
    if any(row.doubts for row in group) and not all(row.doubts for row in group):
        lines.append("hollow: timing in doubt, left out of the front")
    return lines


def _scale(axes: Any, rows: Sequence[Row]) -> None:
    """The same for all panels: room for labels around the points, and plain numbers on the log axis."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    xs = _xs(rows)
    xs += [bound for row in rows if row.p50_interval is not None for bound in row.p50_interval]
    ys = _ys(rows) + [bound for row in rows if row.interval is not None for bound in row.interval]
    margin = 0.12 * max(max(ys) - min(ys), 0.2)
    axes.set_xscale("log")
    axes.set_xlim(min(xs) / 1.8, max(xs) * 2.4)
    axes.set_ylim(min(ys) - margin, max(ys) + margin)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _label_points(axes: Any, group: Sequence[Row], renderer: Any) -> None:
    """Write what varies along each front beside its points; a label without room is left out."""
    overall = front(group)
    families = _families(group)
    fronts = {family: staircase(rows) for family, rows in families.items()}
    wanted = [row for best in fronts.values() for row in best]
    wanted.sort(key=lambda row: not any(row is kept for kept in overall))
    if len(wanted) > LONGEST_LABELLED:
        wanted = overall
    taken = _obstacles(axes, group, list(fronts.values()))
    if axes.get_legend() is not None:
        taken.append(axes.get_legend().get_window_extent(renderer))
    inside = axes.get_window_extent(renderer).padded(-2 * POINT)
    for row in wanted:
        text = _settings(row, families[row.family])
        for x, y, across, up in PLACES if text else ():
            note = axes.annotate(
                text,
                (row.p50_ms, row.recall),
                xytext=(x, y),
                textcoords="offset points",
                ha=across,
                va=up,
                fontsize=7,
                color=colour_of(row.family),
                parse_math=False,
            )
            box = note.get_window_extent(renderer)
            if _within(box, inside) and not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
            note.remove()


def _obstacles(axes: Any, group: Sequence[Row], fronts: Sequence[Sequence[Row]]) -> list[Any]:
    """Boxes (pixels) around the points and along the lines between them."""
    from matplotlib.transforms import Bbox

    def pixels(rows: Sequence[Row]) -> np.ndarray:
        return np.asarray(axes.transData.transform(list(zip(_xs(rows), _ys(rows), strict=True))))

    def around(places: np.ndarray, reach: float) -> list[Bbox]:
        return [Bbox.from_bounds(x - reach, y - reach, 2 * reach, 2 * reach) for x, y in places]

    boxes = around(pixels(group), 3.5 * POINT)
    for best in fronts:
        corners = pixels(best)
        for start, end in pairwise(corners):
            steps = max(2, int(np.abs(end - start).max() / (4 * POINT)))
            boxes += around(np.linspace(start, end, steps), 1.5 * POINT)
    return boxes


PLACES = (
    (6, -2, "left", "top"),
    (-6, 3, "right", "bottom"),
    (0, -7, "center", "top"),
    (0, 7, "center", "bottom"),
    (6, 3, "left", "bottom"),
    (-6, -2, "right", "top"),
)
"""Where a label may stand: below the curve first, as a front rises to the right."""


def _families(group: Sequence[Row]) -> dict[str, list[Row]]:
    families: dict[str, list[Row]] = {}
    for row in group:
        families.setdefault(row.family, []).append(row)
    return families


def _named(family: str, rows: Sequence[Row]) -> str:
    """The family with the settings that its points share: ``ivf_flat nlist=64``."""
    return " ".join([family, *(f"{name}={value}" for name, value in common_settings(rows).items())])


def _settings(row: Row, family: Sequence[Row]) -> str:
    """The settings that tell the point from the others of its family: ``nprobe=8``."""
    common = common_settings(family)
    own = row.point.index_settings | row.point.settings
    return " ".join(f"{name}={value}" for name, value in own.items() if name != "k" and name not in common)


def _within(box: Any, outer: Any) -> bool:
    return bool(box.x0 >= outer.x0 and box.x1 <= outer.x1 and box.y0 >= outer.y0 and box.y1 <= outer.y1)


def _xs(rows: Sequence[Row]) -> list[float]:
    return [row.p50_ms for row in rows if row.p50_ms is not None]


def _ys(rows: Sequence[Row]) -> list[float]:
    return [row.recall for row in rows if row.recall is not None]


def _wrapped(text: str, inches: float, points: float) -> str:
    """``text`` broken to lines that fit into ``inches`` at a font size of ``points``."""
    return "\n".join(textwrap.wrap(text, max(20, int(inches * 72 / (points * 0.6)))))
