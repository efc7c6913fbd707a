"""``lookalike sweep``: how sweeps stand, and what to do about them."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import chdir
from dataclasses import asdict
from pathlib import Path
from shlex import quote

from lookalike.cli.parsing import Parser, add_root_option
from lookalike.errors import UserError
from lookalike.machine.filesystems import require_writable, results_root
from lookalike.progress import RichProgress
from lookalike.runs.catalog import find_sweep, sweep_label, sweeps_below
from lookalike.sweep.collecting import cancel, collect, look, time_again
from lookalike.sweep.final.state import NOT_DONE
from lookalike.sweep.ledger import Ledger
from lookalike.sweep.states import AT_WORK, DONE, FAILED, PENDING, SKIPPED, TO_RETRY, PointState, count_states
from lookalike.sweep.task import Services
from lookalike.terminal.printing import print_table, print_wrapped

SHOWN_ERROR_LINES = 3


def main(arguments: Sequence[str]) -> int:
    """Show, gather, take back or go on with a sweep; 1 when ``collect`` or ``retry`` leave a point undone."""
    options = _parser().parse_args(arguments)
    root = results_root(options.root)
    code: int = options.act(root, options)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = Parser("lookalike sweep", description="How sweeps stand, and what to do about them.")
    verbs = parser.add_subparsers(required=True, metavar="ls | status | collect | cancel | retry | time")
    common = Parser(add_help=False)
    add_root_option(common)
    named = Parser(add_help=False, parents=[common])
    named.add_argument("name", metavar="NAME", help="latest, sweep.name, or the sweep's folder")

    ls = verbs.add_parser("ls", parents=[common], help="the sweeps of a root, newest first")
    ls.set_defaults(act=_list)
    status = verbs.add_parser(
        "status",
        parents=[named],
        help="how each point stands; of those that failed, why and where to read on",
    )
    status.add_argument("--json", action="store_true", help="one JSON object for scripts")
    status.set_defaults(act=_status)
    for verb, act, help_, more in (
        (
            "collect",
            _collect,
            "gather what is measured: table, report, MLflow",
            "What a detached sweep's last job does by itself. Exit code 0 when every point is done.",
        ),
        ("cancel", _cancel, "take its jobs out of SLURM's queue", None),
        (
            "retry",
            _retry,
            "measure what failed, got lost or is missing",
            "The same as giving the sweep's command again, where it was given.",
        ),
        (
            "time",
            _time,
            "time the front's points of all its indexes together, here",
            "The final timing (sweep.final_timing=true), afterwards or once more, on this machine: all in "
            "the same shuffled rounds. The timings of the jobs themselves are kept.",
        ),
    ):
        verbs.add_parser(verb, parents=[named], help=help_, description=more).set_defaults(act=act)
    return parser


def _list(root: Path, options: argparse.Namespace) -> int:
    folders = sweeps_below(root)
    rows = []
    for folder in folders:
        try:
            ledger, states, _ = look(folder)
        except UserError as error:
            rows.append((sweep_label(folder, root), "", str(error)))
            continue
        rows.append((sweep_label(folder, root), ledger.created[:16].replace("T", " "), _counted(states)))
    print_table(("sweep", "begun (UTC)", "points"), sorted(rows, key=lambda row: row[1], reverse=True))
    return 0


def _status(root: Path, options: argparse.Namespace) -> int:
    folder = find_sweep(root, options.name)
    ledger, states, final = look(folder)
    if options.json:
        shown = {
            "name": ledger.name,
            "folder": os.fspath(folder),
            "created": ledger.created,
            "parent": ledger.parent,
            "counts": count_states(states),
            "points": [asdict(point) for point in states],
            "final_timing": None if final is None else asdict(final),
            "submissions": [asdict(submission) for submission in ledger.submissions],
        }
        print(json.dumps(shown))
        return 0
    print_wrapped(f"{ledger.name}: {_counted(states)}")
    if {point.state for point in states} - {DONE}:
        print_table(("state", "point", "job"), [(p.state, p.label, _job_of(p)) for p in states])
    for block in _reasons(states):
        print("\n".join(["", *block]))
    if final is not None:
        print_wrapped(final.line())
        if final.state in (FAILED, NOT_DONE):
            print_wrapped(f"do it with: lookalike sweep time {quote(options.name)}")
    found = {point.state for point in states}
    if found & set(TO_RETRY) and not found & set(AT_WORK):
        print_wrapped(f"\ngo on with: lookalike sweep retry {quote(options.name)}")
    return 0


def _collect(root: Path, options: argparse.Namespace) -> int:
    folder = find_sweep(root, options.name)
    require_writable(folder, cure="make it writable, or copy the root and name the copy with --root")
    with _where_it_began(folder):
        return collect(folder, Services(), RichProgress())


def _cancel(root: Path, options: argparse.Namespace) -> int:
    folder = find_sweep(root, options.name)
    with _where_it_began(folder):
        return cancel(folder, Services(), RichProgress())


def _time(root: Path, options: argparse.Namespace) -> int:
    folder = find_sweep(root, options.name)
    require_writable(folder, cure="make it writable, or copy the root and name the copy with --root")
    with _where_it_began(folder):
        return time_again(folder, Services(), RichProgress())


def _retry(root: Path, options: argparse.Namespace) -> int:
    from lookalike.cli.run import main as run
    from lookalike.config.typed import quoted

    folder = find_sweep(root, options.name)
    ledger = Ledger.load(folder)
    arguments = [line for line in ledger.arguments if not line.startswith("sweep.resume=")]
    if not any(line.startswith("hydra.sweep.dir=") for line in arguments):
        arguments.append(f"hydra.sweep.dir={quoted(os.fspath(folder))}")
    with _where_it_began(folder):
        if ledger.jobs:  # the root may have come from the environment of then
            os.environ["LOOKALIKE_HOME"] = os.fspath(
                Path(ledger.jobs[-1].config["paths"]["root"]).expanduser().absolute()
            )
        return run(arguments)


def _where_it_began(folder: Path) -> chdir[str]:
    """Paths in the sweep's configs are relative to the directory in which it was begun."""
    directory = Ledger.load(folder).directory
    if not Path(directory).is_dir():
        raise UserError(
            f"the sweep in {folder} was begun in {directory}, which is not there; make it, or run "
            "the sweep's command again where its files are now"
        )
    return chdir(directory)


def _counted(states: Iterable[PointState]) -> str:
    counts = count_states(states)
    total = sum(counts.values())
    return f"{total} point{'' if total == 1 else 's'}: " + ", ".join(f"{n} {s}" for s, n in counts.items())


def _job_of(point: PointState) -> str:
    where = f"{point.folder} (SLURM {point.task})" if point.task else point.folder
    return f"{where}: {point.why}" if point.state == PENDING and point.why else where


def _reasons(states: Sequence[PointState]) -> Iterator[list[str]]:
    """Of points that failed or were skipped alike: which, the first lines of why, where to read on."""
    alike: dict[tuple[str, ...], list[PointState]] = {}
    for point in states:
        if point.state in (*TO_RETRY, SKIPPED):
            alike.setdefault((point.state, point.folder, point.why), []).append(point)
    for (state, _, why), points in alike.items():
        lines = [line for line in why.splitlines() if line.strip()]
        shown = lines[:SHOWN_ERROR_LINES] + (["…"] if len(lines) > SHOWN_ERROR_LINES else [])
        log = [f"log: {points[0].log}"] if points[0].log else []
        labels = ", ".join(point.label for point in points)
        yield [f"{state}: {labels}", *(f"  {line}" for line in [*shown, *log])]
