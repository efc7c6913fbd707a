"""The comparison as LaTeX: one booktabs table a comparable group, recall with its interval."""

from __future__ import annotations

from collections.abc import Sequence

from lookalike.report.captions import WARNING, caption
from lookalike.report.columns import columns
from lookalike.report.front import EQUAL, IN_DOUBT, by_front, legend, marks, ranks
from lookalike.report.rows import Row, comparable, heading, rows_of
from lookalike.report.table import LABEL
from lookalike.runs.record import Record

FITTED = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "–": "--",
    "·": r"\textperiodcentered{}",
    "×": r"\ensuremath{\times}",
    "−": r"\ensuremath{-}",
    "≈": r"\ensuremath{\approx}",
} | {character: "\\" + character for character in "&%$#_{}"}


def latex_table(records: Sequence[Record], title: str, chosen: Sequence[str] | None = None) -> str:
    r"""Return tables to ``\input`` below ``\usepackage{booktabs}``; points on the Pareto front are bold.

    Each caption says on which terms the group was measured. ``chosen``: the columns by name, see
    :func:`~lookalike.report.columns.columns`.
    """
    rows = rows_of(records)
    tables = [_table(group, title, heading(group, among=rows), chosen) for group in comparable(rows)]
    return "% needs \\usepackage{booktabs} and \\usepackage{graphicx}\n" + "\n".join(tables)


def _table(group: Sequence[Row], title: str, apart: str, chosen: Sequence[str] | None) -> str:
    import pandas as pd

    shown, rows = columns(group, chosen), by_front(group)
    on_front, mark_of = (ranks(group), marks(group)) if len(group) > 1 else ({}, {})
    terms = [line for line in caption(group) if not line.startswith(WARNING)]
    terms += legend(group, "bold")
    described = ". ".join(part for part in (title, apart, *terms) if part)
    frame = pd.DataFrame(
        [
            [_marked(row.point.label, mark_of.get(id(row), "")), *(column.cell(row) for column in shown)]
            for row in rows
        ],
        columns=[LABEL, *(column.title for column in shown)],
    )
    bold = ["textbf: --rwrap" if id(row) in on_front else "" for row in rows]
    styler = frame.style.hide(axis="index").format(escaped).format_index(escaped, axis="columns")
    table = styler.apply(lambda _: bold, subset=[LABEL]).to_latex(
        column_format="l" + "r" * len(shown),
        position_float="centering",
        hrules=True,
        caption=f"{escaped(described)}. Bold: on the Pareto front.",
    )
    # Wider than the line, it is set smaller.
    table = table.replace(r"\begin{tabular}", FITTED + "\n" + r"\begin{tabular}")
    return table.replace(r"\end{tabular}", r"\end{tabular}}")


def _marked(label: str, mark: str) -> str:
    return f"{label} {mark}" if mark in (EQUAL, IN_DOUBT) else label


def escaped(text: object) -> str:
    """Return ``text`` on one line, with every character escaped that LaTeX would not set as it is."""
    return "".join(_SPECIAL.get(character, character) for character in " ".join(str(text).split()))
