"""How much longer a `lookalike run` that reuses every stage takes than a bare script with the same outcome.

    python benchmarks/reused_run.py [--size small|full]

Ours: the whole process of a second `lookalike run` of the default experiment. Everything is found in the
store; the index is loaded, searched and timed again, the answers are judged, recorded, logged to MLflow and
shown.

Baseline: the whole process of ``bare_run.py``. It imports the same packages, opens the same tracking store
(its own copy of the database), loads the same index and queries, makes as many timed searches of each kind
as our run before it made, and logs a run with as many params, metrics and tags, and files of the same size.

Processes alternate, after one of each that does not count; the ratio is of median wall times, and the goal
is 1.3. On an idle machine ours should stay under 4 s, which the JSON line has as ``seconds_goal``.

``full`` is the default experiment as it is. ``small`` embeds by `model=pixels`, which takes seconds instead
of a minute beforehand; what is measured differs by the vectors' dimensions (768 instead of 1280) only.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from harness import (
    alternate,
    bare,
    chosen_size,
    conclude,
    lookalike,
    median,
    records_of_last_run,
    rounded,
    seconds_of,
    stage_file,
    workplace,
)
from lookalike.runs.record import Record
from lookalike.tracking import content

GOAL, SECONDS_GOAL = 1.3, 4.0
OVERRIDES = {
    "tiny": ["model=pixels", "dataset.limit=70", "queries.n=3", "search.k=10", "search.seconds=0.01"],
    "small": ["model=pixels"],
    "full": [],
}
ROUNDS = {"tiny": 1, "small": 5, "full": 9}


def task_like(record: Record, folder: Path, workplace: Path) -> dict[str, Any]:
    """All that the bare script does, as values: the same searches, and an MLflow run like the record's."""
    [point] = record.points
    latency = point.latency
    return {
        "index": record.index["path"],
        "queries": str(stage_file(workplace, record, "queries", "embeddings.npy")),
        "k": point.k,
        "nprobe": point.settings["nprobe"],
        "batch_size": latency["batch"]["queries_per_call"],
        "warm_up": record.config["search"]["warm_up"],
        "threads": {kind: latency[kind]["threads"] for kind in ("single", "batch")},
        "calls": {kind: latency[kind]["samples"] for kind in ("single", "batch")},
        "tracking_uri": f"sqlite:///{workplace / 'bare.db'}",
        "experiment": record.config["tracking"]["experiment"],
        "tags": content.tags(record, point),
        "params": content.params(record, point),
        "metrics": [
            *((name, 0, value) for name, value in content.single_metrics(point).items()),
            *content.curve_metrics(point),
        ],
        "dataset": content.dataset_input(record),
        "config": record.config,
        "outputs": str(workplace / "bare"),
    }


def main() -> None:
    """Prepare, warm up, alternate, conclude."""
    size = chosen_size(__doc__)
    with workplace() as folder:
        overrides = OVERRIDES[size]

        def ours() -> float:
            seconds = seconds_of(lookalike("run", *overrides), folder)
            [(record, place)] = records_of_last_run(folder)
            task = task_like(record, place, folder)
            (folder / "task.json").write_text(json.dumps(task), encoding="utf-8")
            return seconds

        def theirs() -> float:
            return seconds_of(bare("bare_run.py", "task.json"), folder)

        print(f"first run, which builds everything: {ours():.1f} s")
        shutil.copy(folder / "mlruns" / "mlflow.db", folder / "bare.db")
        ours(), theirs()  # files are in the page cache now, and modules are compiled
        own, baseline = alternate(ROUNDS[size], ours, theirs)
        [(record, _)] = records_of_last_run(folder)
    built = [entry["stage"] for entry in record.stages if entry["outcome"] != "reused"]
    if built:
        raise RuntimeError(f"nothing was measured: {', '.join(built)} was built again")
    conclude(
        "reused_run",
        size,
        median(own) / median(baseline),
        GOAL,
        seconds=round(median(own), 3),
        seconds_goal=SECONDS_GOAL,
        bare_seconds=round(median(baseline), 3),
        samples={"lookalike": rounded(own), "bare": rounded(baseline)},
        n=record.data["gallery_size"],
        d=record.data["dim"],
        queries=record.data["query_count"],
    )


if __name__ == "__main__":
    main()
