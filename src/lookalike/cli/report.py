"""``lookalike report``: one self-contained page of any set of runs, and the same for other programs."""

from __future__ import annotations

import argparse
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from lookalike.cli.parsing import Parser, add_root_option
from lookalike.errors import UserError
from lookalike.machine.filesystems import require_writable, results_root
from lookalike.progress import RichProgress
from lookalike.report.classes import most_confused, points_with_classes, worst_classes
from lookalike.report.html import Report, make_report, write_report
from lookalike.report.recommend import Requirements
from lookalike.report.rows import SCOPES, heading, scope_of
from lookalike.report.shares import MinShare
from lookalike.report.table import print_table as print_comparison
from lookalike.report.values import check_names
from lookalike.runs.catalog import Run, Selection, select_all
from lookalike.runs.paths import REPORT, ReportPaths
from lookalike.schemas import Paths, Tracking
from lookalike.terminal.printing import print_table, print_wrapped

MEASURES = tuple(measure for measures in SCOPES.values() for measure in measures)


def main(arguments: Sequence[str]) -> int:
    """Write the page (and what else is asked for), and print the recommendation."""
    options = _parser().parse_args(arguments)
    root = results_root(options.root)
    measure, k = _measure(options.measure)
    requirements = Requirements(
        measure,
        k,
        options.min_recall,
        options.max_p95_ms,
        options.max_gb,
        tuple(map(MinShare.parse, options.min_share)),
        options.confidence,
        options.max_end_to_end_ms,
    )
    selection = _selection(root, options)
    if not selection.runs:
        raise UserError(f"nothing was found for {selection.name}; loosen the filter or name other runs")
    costs = None if options.costs is None else _costs(selection.runs, options.costs)
    page = _page_path(selection, options.out)
    require_writable(page.parent, cure="name another place with --out")
    report = make_report(selection.runs, options.title or selection.name, requirements, options.columns)
    check_names(options.columns or [], report.rows)
    written = [write_report(report, page, root=root if options.images else None, progress=RichProgress())]
    written += _other_files(report, page, options, costs)
    if options.columns:
        print_comparison([run.record for run in report.runs], chosen=options.columns)
    for advice, members in report.advice:
        if apart := heading(members, report.rows, scope_of(measure)):
            print_wrapped(f"{apart}:")
        print_wrapped(f"{advice.text}\n")
    if options.classes:
        _print_classes(report)
    if costs is not None:
        print(costs)
    for path in written:
        print(f"written: {path}")
    if options.open:
        webbrowser.open(page.resolve().as_uri())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "lookalike report",
        description="Compare operating points on one self-contained HTML page: table, Pareto fronts, curves, "
        "a recommendation, and the images on which an index lost most.",
    )
    parser.add_argument(
        "runs",
        nargs="*",
        metavar="RUNS",
        help="latest (default), names of sweeps or runs, ids in MLflow, folders of either, record.json files",
    )
    add_root_option(parser)
    mlflow = parser.add_argument_group("from MLflow")
    mlflow.add_argument("--experiment", metavar="NAME", help="all points of this MLflow experiment")
    mlflow.add_argument(
        "--filter",
        metavar="QUERY",
        help="in MLflow's search syntax: \"params.index = 'hnsw' and metrics.latency_single_p50_ms < 1\"",
    )
    mlflow.add_argument("--uri", help="of the tracking server; default: mlruns/mlflow.db below the root")
    requirements = parser.add_argument_group("what to recommend")
    requirements.add_argument(
        "--measure",
        default="knn_recall",
        metavar="NAME[@K]",
        help=f"one of {', '.join(MEASURES)}; default: %(default)s at the search's k",
    )
    requirements.add_argument(
        "--min-recall", type=float, metavar="SHARE", help="the fastest point that is sure to have it"
    )
    requirements.add_argument(
        "--max-p95-ms", type=float, metavar="MS", help="the best recall within this latency"
    )
    requirements.add_argument(
        "--max-end-to-end-ms", type=float, metavar="MS", help="the same of encoding a query and searching"
    )
    requirements.add_argument("--max-gb", type=float, metavar="GB", help="the best recall within this memory")
    requirements.add_argument(
        "--min-share",
        action="append",
        default=[],
        metavar="RECALL=SHARE",
        help="the fastest point where so many queries have it: 0.8=0.99 is 0.8 for 99 %% of them; repeatable",
    )
    requirements.add_argument(
        "--confidence",
        type=float,
        default=0.95,
        metavar="SHARE",
        help="how sure the point has to be to meet them; default: %(default)s",
    )
    parser.add_argument(
        "--classes",
        action="store_true",
        help="print the classes that fare worst, and what they are taken for, of the recommended point",
    )
    files = parser.add_argument_group("what to write")
    files.add_argument("--out", metavar="PATH", help=f"default: {REPORT} in the folder of the runs")
    files.add_argument("--title", help="default: the sweep's name")
    files.add_argument(
        "--columns",
        type=_names,
        metavar="NAME,…",
        help="of the page's table and of the CSV, parquet and LaTeX that are asked for: measures @K, costs, "
        "settings, terms (knn_recall@10,p95_ms,index_bytes,nprobe,host); the table is printed too",
    )
    files.add_argument("--png", action="store_true", help="the recall–latency figure, beside the page")
    files.add_argument("--csv", action="store_true", help="every value of every point")
    files.add_argument("--parquet", action="store_true", help="the same, with its types")
    files.add_argument("--latex", action="store_true", help="a booktabs table with intervals")
    files.add_argument(
        "--costs",
        metavar="NAME",
        help="what each departure from the run of this name cost in relevance: costs.md, and printed",
    )
    files.add_argument(
        "--no-images", dest="images", action="store_false", help="leave out the images of lost queries"
    )
    files.add_argument("--open", action="store_true", help="open the page in a browser")
    return parser


def _print_classes(report: Report) -> None:
    """Print the results by class of one point of each set: the recommended one, else the most exact."""
    chosen = [found[0] for each in report.advice if (found := points_with_classes([each]))]
    if not chosen:
        raise UserError(
            "no point has results by class; they come with queries=labels, and with held_out or vectors "
            "where the dataset has labels, of runs by this version"
        )
    for row in chosen:
        by_class = row.point.by_class
        if by_class is not None:
            print_wrapped(
                f"{row.point.label}: of {by_class.classes:,} classes those with the lowest hit_rate@1; "
                f"the first result is not right for {by_class.not_right_first:,} queries:"
            )
            print_table(*worst_classes(by_class))
            if by_class.confusions:
                print_table(*most_confused(by_class))
            print()


def _names(text: str) -> list[str]:
    """``a, b`` -> a, b."""
    return [name.strip() for name in text.split(",") if name.strip()]


def _costs(runs: Sequence[Run], reference: str) -> str:
    from lookalike.report.costs import costs_markdown, costs_of

    return costs_markdown(costs_of(runs, reference))


def _measure(text: str) -> tuple[str, int | None]:
    """``hit_rate@10`` -> hit_rate, 10."""
    name, _, k = text.partition("@")
    if name not in MEASURES or (k and not (k.isdecimal() and int(k))):
        raise UserError(
            f"--measure {text} is not known; choose one of {', '.join(MEASURES)}, with or without @K"
        )
    return name, int(k) if k else None


def _selection(root: Path, options: argparse.Namespace) -> Selection:
    if options.experiment is None and options.filter is None:
        if options.uri is not None:
            raise UserError("--uri goes with --experiment or --filter; name one of them")
        return select_all(root, options.runs)
    if options.runs:
        raise UserError("name runs, or ask MLflow with --experiment or --filter; not both")
    from lookalike.tracking.finding import find_points, runs_of

    experiment = options.experiment or Tracking.experiment
    found = find_points(root / Paths.mlruns, options.uri, experiment, options.filter or "")
    name = experiment if not options.filter else f"{experiment}: {options.filter}"
    return Selection(name, tuple(runs_of(found, root)), root)


def _page_path(selection: Selection, out: str | None) -> Path:
    """Where the page goes; ``--out`` names it, or a folder for it."""
    if out is None:
        return ReportPaths(selection.folder).report
    path = Path(out).expanduser()
    return path if path.suffix == ".html" else path / REPORT


def _other_files(report: Report, page: Path, options: argparse.Namespace, costs: str | None) -> list[Path]:
    """PNG, CSV, parquet and LaTeX beside the page, under its name, and the table of costs."""
    from lookalike.report.frame import frame_of
    from lookalike.report.latex import latex_table
    from lookalike.report.pareto import pareto_figure
    from lookalike.runs.files import result_file

    records = [run.record for run in report.runs]
    written = []
    if costs is not None:
        path = ReportPaths(page.parent).costs
        with result_file(path) as draft:
            draft.write_text(costs, encoding="utf-8")
        written.append(path)
    if options.png:
        if not any(row.recall is not None and row.p50_ms is not None for row in report.rows):
            raise UserError("no point has both a recall and a latency to draw; leave out --png")
        pareto_figure(records, page.with_suffix(".png"), report.title)
        written.append(page.with_suffix(".png"))
    if options.csv:
        with result_file(page.with_suffix(".csv")) as draft:
            frame_of(report.runs, options.columns).to_csv(draft, index=False)
        written.append(page.with_suffix(".csv"))
    if options.parquet:
        with result_file(page.with_suffix(".parquet")) as draft:
            frame_of(report.runs, options.columns).to_parquet(draft, index=False)
        written.append(page.with_suffix(".parquet"))
    if options.latex:
        with result_file(page.with_suffix(".tex")) as draft:
            draft.write_text(latex_table(records, report.title, options.columns), encoding="utf-8")
        written.append(page.with_suffix(".tex"))
    return written
