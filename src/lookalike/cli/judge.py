"""``lookalike judge RUN_A RUN_B``: which of two runs answers better, by eye and blind."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from lookalike.cli.parsing import Parser, add_root_option
from lookalike.cli.serving import add_serving_options, address, require_free, serve
from lookalike.errors import UserError
from lookalike.machine.filesystems import results_root
from lookalike.runs.catalog import find_point
from lookalike.runs.points import RunPoint
from lookalike.terminal.printing import print_wrapped
from lookalike.ui.judging import (
    EXACT,
    GALLERY,
    INDEX,
    RELEVANCE,
    JudgingSession,
    Terms,
    names_of,
    outcome,
    outcome_lines,
    pair_fault,
)
from lookalike.ui.server import JUDGE, packed, server_command


def main(arguments: Sequence[str]) -> int:
    """Serve until Ctrl-C, then say how it stands; with ``--result`` only say it."""
    options = _parser().parse_args(arguments)
    if options.n < 1 or options.k < 1:
        raise UserError(f"-n {options.n} and -k {options.k} must both be 1 or more")
    root = results_root(options.root)
    runs = find_point(root, options.run_a), find_point(root, options.run_b)
    if fault := pair_fault(*runs, options.answers):
        raise UserError(fault)
    queries = GALLERY if options.queries is None else str(Path(options.queries).expanduser().resolve())
    terms = Terms.of(
        *runs, queries=queries, answers=options.answers, n=options.n, k=options.k, seed=options.seed
    )
    session = JudgingSession(root, terms)
    code = 0 if options.result else _judge(root, runs, terms, session, options)
    answers = session.answers()
    for line in outcome_lines(outcome(answers.values()), names_of(*runs), options.n):
        print_wrapped(line)
    for file in (session.file, session.folder / RELEVANCE):
        if file.exists():
            print(file)
    return code


def _judge(
    root: Path,
    runs: tuple[RunPoint, RunPoint],
    terms: Terms,
    session: JudgingSession,
    options: argparse.Namespace,
) -> int:
    selectors = [f"{run.folder.resolve()}:{run.point.label}" for run in runs]
    script_options = packed({"root": str(root), "runs": selectors, "terms": asdict(terms)})
    command = server_command(JUDGE, options.host, options.port, [script_options])
    require_free(options.host, options.port, "judge RUN_A RUN_B")
    page = address(options.host, options.port)
    done = len(session.answers())
    print_wrapped(
        f"judging on {page} (Ctrl-C ends it)" + (f"; {done} pairs were judged before" if done else "")
    )
    with tempfile.TemporaryDirectory(prefix="lookalike-judge-") as temporary:
        return serve(command, {"TMPDIR": temporary}, page, options)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "lookalike judge",
        description="See the first answers of two runs side by side, without knowing which is which, and say "
        "which are better. Gives a win rate with its confidence interval, and a relevance file for "
        "queries=files. Interrupted, it goes on where it stopped.",
    )
    parser.add_argument("run_a", metavar="RUN_A", help="a run id, a sweep's name, a path, or latest")
    parser.add_argument("run_b", metavar="RUN_B", help="another run over the same images")
    parser.add_argument("-n", type=int, default=50, help="pairs to judge; default: %(default)s")
    parser.add_argument("-k", type=int, default=5, help="answers shown of each run; default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="draws queries, order and sides; default: 0")
    parser.add_argument(
        "--queries", metavar="FOLDER", help="your own query images; default: images of the gallery"
    )
    parser.add_argument(
        "--answers",
        choices=(EXACT, INDEX),
        default=EXACT,
        help="exact: compare the models; index: what each run's index really returns; default: %(default)s",
    )
    parser.add_argument("--result", action="store_true", help="only say how the judgement stands")
    add_root_option(parser)
    add_serving_options(parser, port=8502)
    return parser
