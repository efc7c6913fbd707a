"""The last thing a person reads: the table, where the rest lies, and what to do next."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from shlex import quote

from lookalike import schemas
from lookalike.index.families import is_exact
from lookalike.index.families.auto import EXACT_UP_TO
from lookalike.runs.paths import ReportPaths
from lookalike.runs.record import Record
from lookalike.schemas import Experiment
from lookalike.terminal.printing import print_wrapped

NEAR_EXACT = 0.9
"""Share of the exact neighbours below which an index is not as it should be set."""


def report(experiment: Experiment, records: Sequence[Record], folder: Path) -> None:
    """Print the closing table and :func:`closing_lines` to standard output."""
    from lookalike.report.table import print_table

    print_table(records)
    for line in closing_lines(experiment, records, folder):
        print_wrapped(line)


def report_json(records: Sequence[Record], folder: Path) -> None:
    """Print one JSON object for scripts: the folder, and each run with its points' settings and values."""
    runs = [
        {
            "name": record.name,
            "status": record.status,
            "error": record.error,
            "points": [
                {
                    "label": point.label,
                    "settings": point.index_settings | point.settings,
                    "metrics": point.metrics,
                    "trial_key": point.trial_key,
                    "mlflow_run_id": point.mlflow_run_id,
                }
                for point in record.points
            ],
        }
        for record in records
    ]
    print(json.dumps({"folder": os.fspath(folder), "runs": runs}))


def closing_lines(experiment: Experiment, records: Sequence[Record], folder: Path) -> list[str]:
    """Return where the results lie, how to look at them, and advice on what was measured."""
    lines = [f"results: {short(folder)}"]
    if (report := ReportPaths(folder).report).exists():
        lines.append(f"report:  {short(report)}")
    if experiment.tracking.kind == "local":
        lines.append(f"compare: lookalike mlflow{_root_option(experiment.paths.root)}")
    elif experiment.tracking.kind == "server":
        lines.append(f"compare: {experiment.tracking.uri}")
    if found := _far_from_exact(records):
        lines.append(found)
    sizes = [int(record.data["gallery_size"]) for record in records if "gallery_size" in record.data]
    if sizes and max(sizes) <= EXACT_UP_TO:
        ready = isinstance(experiment.dataset, schemas.VectorDataset)
        noun = "vector" if ready else "image"
        needless = f"{max(sizes):,} {noun}s need no index" if max(sizes) > 1 else f"1 {noun} needs no index"
        if isinstance(experiment.dataset, schemas.TwemojiDataset):
            lines.append(f"{needless}. Next, your own:")
            lines.append("  lookalike run dataset=folder dataset.root=~/Pictures dataset.limit=5000")
        else:
            lines.append(f"{needless}: {_exact_search(records)}")
    return lines


def _far_from_exact(records: Sequence[Record]) -> str | None:
    """What to do when no index of the run came near the exact answer; None when one did or none ran."""
    tried = [
        (recall, record, point)
        for record in records
        if not is_exact(record.index.get("family", ""))
        for point in record.points
        if (recall := point.curve("knn_recall").get(point.k)) is not None
    ]
    best, record, point = max(tried, key=lambda each: each[0], default=(1.0, None, None))
    if record is None or point is None or best >= NEAR_EXACT:
        return None
    found = f"{point.label} returned {best:.0%} of the exact {point.k} neighbours"
    nprobe, nlist = point.settings.get("nprobe"), point.index_settings.get("nlist")
    visits_all = nprobe is not None and nprobe == nlist
    for name in ("nprobe", "ef_search", "k_factor"):
        if name in point.settings and not (name == "nprobe" and visits_all):
            return f"{found}; a larger search.{name} finds more (search=ladder measures several)"
    return f"{found}; a family that keeps more of each vector finds more (index=ivf_sq8, ivf_flat or flat)"


def _exact_search(records: Sequence[Record]) -> str:
    """What exact search took, or how to try it."""
    from lookalike.report.rows import rows_of

    took = [row.p50_ms for row in rows_of(records) if is_exact(row.family) and row.p50_ms is not None]
    return f"exact search took {min(took):.2g} ms (p50)" if took else "index=flat is exact"


def short(folder: Path) -> str:
    """Return the path relative to the working directory, where it lies below it."""
    return (
        os.fspath(folder.relative_to(Path.cwd())) if folder.is_relative_to(Path.cwd()) else os.fspath(folder)
    )


def _root_option(root: str) -> str:
    """Nothing when ``lookalike mlflow`` finds the root by itself."""
    return "" if root in (".", os.environ.get("LOOKALIKE_HOME")) else f" --root {quote(root)}"
