"""``lookalike doctor``: what this machine offers a run, and how to mend what will fail on it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from lookalike.cli.parsing import Parser
from lookalike.cli.tracking_options import add_home_options, compose_tracking, is_override
from lookalike.doctor import examine
from lookalike.doctor.finding import NOTE, OK, PROBLEM, Finding
from lookalike.errors import UserError
from lookalike.machine.filesystems import results_root
from lookalike.terminal.printing import console, wrapped

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

MARKS = {OK: ("✓", "green"), NOTE: ("•", "yellow"), PROBLEM: ("✗", "bold red")}
TOPIC_WIDTH = 11


def main(arguments: Sequence[str]) -> int:
    """Print what was found; 1 when there is a problem."""
    parser = Parser(
        "lookalike doctor",
        description="What this machine offers a run, and what will fail or mislead on it.",
    )
    parser.add_argument(
        "tracking",
        nargs="*",
        metavar="tracking.KEY=VALUE",
        help="where runs are to be tracked: tracking=server tracking.uri=http://mlflow.example:5000",
    )
    parser.add_argument("--json", action="store_true", help="an array of objects instead of the list")
    add_home_options(parser)
    options = parser.parse_args(arguments)
    if wrong := [each for each in options.tracking if not is_override(each)]:
        raise UserError(f"the doctor does not know {wrong[0]}; name tracking settings only: tracking=server")
    root = results_root(options.root)
    tracking = compose_tracking(options.tracking, options.config_dir)
    if options.json:
        found = list(examine(root, tracking))
        print(json.dumps([asdict(finding) for finding in found], indent=1))
    else:
        found = show(examine(root, tracking))
    return 1 if any(finding.status == PROBLEM for finding in found) else 0


def show(findings: Iterable[Finding], out: Console | None = None) -> list[Finding]:
    """Print findings as they come, and how many problems there are."""
    out = out or console()
    found: list[Finding] = []
    for finding in findings:
        out.print(_shown(finding, is_first=not found or found[-1].topic != finding.topic, width=out.width))
        found.append(finding)
    problems = sum(finding.status == PROBLEM for finding in found)
    out.print(f"{problems} problem{'' if problems == 1 else 's'}" if problems else "no problems")
    return found


def _shown(finding: Finding, is_first: bool, width: int) -> Table:
    """Topic, mark and what was seen; the cure below it. Commands to copy are not broken."""
    from rich.table import Table
    from rich.text import Text

    def lines(text: str, style: str = "") -> Text:
        return Text(wrapped(text, width - TOPIC_WIDTH - 2), style, no_wrap=True, overflow="ignore")

    mark, style = MARKS[finding.status]
    shown = Table.grid()
    shown.add_column(width=TOPIC_WIDTH, style="bold")
    shown.add_column(width=2, style=style)
    shown.add_column()
    shown.add_row(finding.topic if is_first else "", mark, lines(finding.text))
    if finding.cure:
        shown.add_row("", "", lines(f"→ {finding.cure}", style))
    return shown
