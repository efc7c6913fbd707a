"""The comparison as LaTeX: one booktabs table a comparable group, recall with its interval."""

from __future__ import annotations

from collections.abc import Sequence

from lookalike.report.rows import Row, by_front, caption, comparable, front, heading, rows_of
from lookalike.report.table import columns
from lookalike.runs.record import Record

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
} | {character: "\\" + character for character in "&%$#_{}"}


def latex_table(records: Sequence[Record], title: str) -> str:
    r"""Tables to ``\input`` below ``\usepackage{booktabs}``; points on the Pareto front are bold.

    Each caption says on which data, queries, threads and processor the group was measured.
    """
    rows = rows_of(records)
    tables = [_table(group, title, heading(group, among=rows)) for group in comparable(rows)]
    return "% needs \\usepackage{booktabs} and \\usepackage{graphicx}\n" + "\n".join(tables)


def _table(group: Sequence[Row], title: str, apart: str) -> str:
    shown = columns(group)
    on_front = {id(row) for row in front(group)} if len(group) > 1 else set()
    terms = [line for line in caption(group) if not line.startswith("look out")]
    described = ". ".join(part for part in (title, apart, *terms) if part)
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escaped(described)}. Bold: on the Pareto front.}}",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{l{'r' * len(shown)}}}",
        r"\toprule",
        " & ".join(["operating point", *(escaped(column.title) for column in shown)]) + r" \\",
        r"\midrule",
    ]
    for row in by_front(group):
        label = escaped(row.point.label)
        label = rf"\textbf{{{label}}}" if id(row) in on_front else label
        lines.append(" & ".join([label, *(escaped(column.cell(row)) for column in shown)]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}}", r"\end{table}", ""])


def escaped(text: str) -> str:
    """``text`` as LaTeX sets it, whatever it holds."""
    return "".join(_SPECIAL.get(character, character) for character in " ".join(text.split()))
