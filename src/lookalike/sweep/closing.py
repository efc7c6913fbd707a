"""The last thing a person reads: the table, where the rest lies, and what to do next."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from lookalike import schemas
from lookalike.record import Record
from lookalike.schemas import Experiment


def report(experiment: Experiment, records: Sequence[Record], folder: Path) -> None:
    """Print the closing table and :func:`closing_lines` to standard output.

    Lines are left to the terminal to break: a path or a command that is copied is one piece again.
    """
    from lookalike.report import print_table

    print_table(records)
    for line in closing_lines(experiment, records, folder):
        print(line)


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
    print(json.dumps({"folder": os.fspath(folder), "runs": runs}, ensure_ascii=False))


def closing_lines(experiment: Experiment, records: Sequence[Record], folder: Path) -> list[str]:
    """Where the results lie, how to look at them, and an honest word about the built-in dataset."""
    lines = [f"results: {short(folder)}"]
    if (folder / "report.html").exists():
        lines.append(f"report:  {short(folder / 'report.html')}")
    if experiment.tracking.kind == "local":
        lines.append(f"compare: lookalike mlflow{_root_option(experiment.paths.root)}")
    elif experiment.tracking.kind == "server":
        lines.append(f"compare: {experiment.tracking.uri}")
    sizes = [int(record.data["gallery_size"]) for record in records if "gallery_size" in record.data]
    if isinstance(experiment.dataset, schemas.TwemojiDataset) and sizes:
        lines.append(f"{max(sizes):,} images need no index. Next, your own:")
        lines.append("  lookalike run dataset=folder dataset.root=~/Pictures dataset.limit=5000")
    return lines


def short(folder: Path) -> str:
    """Relative to the working directory where it lies below it."""
    return (
        os.fspath(folder.relative_to(Path.cwd())) if folder.is_relative_to(Path.cwd()) else os.fspath(folder)
    )


def _root_option(root: str) -> str:
    """Nothing when ``lookalike mlflow`` finds the root by itself."""
    return "" if root in (".", os.environ.get("LOOKALIKE_HOME")) else f" --root {root}"
