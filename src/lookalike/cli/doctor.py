"""``lookalike doctor``: what a run finds on this machine, and how to mend what it will stumble over."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from lookalike.cli.parsing import Parser
from lookalike.cli.tracking_options import add_root_option, compose_tracking, is_override
from lookalike.doctor import examine
from lookalike.doctor.finding import NOTE, OK, PROBLEM, Finding
from lookalike.errors import UserError
from lookalike.schemas import Paths
from lookalike.terminal.words import wrapped

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

MARKS = {OK: ("✓", "green"), NOTE: ("•", "yellow"), PROBLEM: ("✗", "bold red")}
TOPIC_WIDTH = 11
UNBROKEN = 10_000
"""Columns where the lines go to a file or a program."""


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
    add_root_option(parser)
    options = parser.parse_args(arguments)
    if wrong := [each for each in options.tracking if not is_override(each)]:
        raise UserError(f"the doctor does not know {wrong[0]}; name tracking settings only: tracking=server")
    root = Path(options.root or os.environ.get("LOOKALIKE_HOME", Paths.root)).expanduser().resolve()
    tracking = compose_tracking(options.tracking, options.config_dir)
    if options.json:
        found = list(examine(root, tracking))
        print(json.dumps([asdict(finding) for finding in found], indent=1))
    else:
        found = show(examine(root, tracking))
    return 1 if any(finding.status == PROBLEM for finding in found) else 0


def show(findings: Iterable[Finding], console: Console | None = None) -> list[Finding]:
    """Print findings as they come, and how many problems there are."""
    from rich.console import Console

    console = console or Console(highlight=False, width=None if sys.stdout.isatty() else UNBROKEN)
    found: list[Finding] = []
    for finding in findings:
        topic = "" if found and found[-1].topic == finding.topic else finding.topic
        for line in _lines(finding, topic, console.width):
            console.print(line, soft_wrap=True)
        found.append(finding)
    problems = sum(finding.status == PROBLEM for finding in found)
    console.print(f"{problems} problem{'' if problems == 1 else 's'}" if problems else "no problems")
    return found


def _lines(finding: Finding, topic: str, width: int) -> Iterator[Text]:
    """Topic, mark and what was seen; the cure below, everything aligned."""
    from rich.text import Text

    mark, style = MARKS[finding.status]
    indent = " " * (TOPIC_WIDTH + 2)
    for number, line in enumerate(wrapped(finding.text, width - len(indent)).splitlines()):
        if number:
            yield Text(indent + line)
        else:
            yield Text.assemble((topic.ljust(TOPIC_WIDTH), "bold"), (f"{mark} ", style), line)
    if finding.cure:
        for line in wrapped(f"→ {finding.cure}", width - len(indent)).splitlines():
            yield Text(indent + line, style)
