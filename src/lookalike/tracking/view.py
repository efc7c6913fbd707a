"""How MLflow's own page shows operating points: which columns, which charts, which order.

MLflow's table starts without a single param or metric, and folds the points of a sweep under their parent.
What its *Share* button stores is an experiment tag; we store one too. Its page then opens with the columns
and charts below; an MLflow that does not know one of the fields ignores it.
"""

from __future__ import annotations

import json
from typing import Any

KEY = "lookalike"
TAG = "mlflow.sharedViewState."

EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
"""The page opens on runs and charts instead of asking what the experiment is about."""

COLUMNS = (
    "metrics.`knn_recall_at_100`",
    "metrics.`knn_recall_at_10`",
    "metrics.`hit_rate_at_1`",
    "metrics.`latency_single_p50_ms`",
    "metrics.`qps_batch`",
    "metrics.`build_seconds`",
    "metrics.`index_bytes`",
    "metrics.`serving_memory_bytes`",
    "params.`model`",
    "params.`nlist`",
    "params.`nprobe`",
    "params.`ef_search`",
    "params.`k`",
)

NAME_COLUMN = "attributes.`Run Name`"

LINES = ("knn_recall_at_k", "hit_rate_at_k")
BARS = ("latency_single_p50_ms", "qps_batch", "index_bytes", "serving_memory_bytes", "build_seconds")
SCATTERS = (
    ("latency_single_p50_ms", "knn_recall_at_100"),
    ("latency_single_p50_ms", "hit_rate_at_1"),
    ("serving_memory_bytes", "knn_recall_at_100"),
)


def page(experiment: str, key: str) -> str:
    """The view's place behind an MLflow server's address."""
    return f"#/experiments/{experiment}/runs?viewStateShareKey={key}"


def shared_view(parent: str | None = None) -> tuple[str, str]:
    """The experiment tag (key, value) behind :func:`page`: all operating points, or those of one sweep.

    Points come from fast to slow; parents, which have no params, are not among them.
    """
    of_sweep = f" and tags.`mlflow.parentRunId` = '{parent}'" if parent else ""
    state = {
        "searchFilter": "params.index != ''" + of_sweep,
        "orderByKey": "metrics.`latency_single_p50_ms`",
        "orderByAsc": True,
        "selectedColumns": list(COLUMNS),
        "columnOrder": [NAME_COLUMN, *COLUMNS],
        "columnWidths": {NAME_COLUMN: 300} | {name: _width(name) for name in COLUMNS},
        "runsHiddenMode": "FIRST_20_RUNS",
        "compareRunCharts": _charts(),
        "compareRunSections": [
            _section("trade-off", "Trade-off", display=True),
            _section("curves", "Over the cut-off K (the step is K)", display=True),
            _section("costs", "Costs", display=True),
            _section("rest", "Model metrics", display=False),
            _section("system", "System metrics", display=False),
        ],
        "isAccordionReordered": True,  # else sections are sorted by name
        "hideEmptyCharts": True,
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0},
    }
    return TAG + (parent or KEY), json.dumps(state)


def _width(column: str) -> int:
    """Pixels that show the whole heading, which is the name between the backquotes."""
    return 45 + 7 * len(column.split("`")[1])


def _charts() -> list[dict[str, Any]]:
    scatters = [
        _chart(
            f"{y} by {x}",
            "SCATTER",
            "trade-off",
            xaxis={"key": x, "type": "METRIC", "dataAccessKey": x},
            yaxis={"key": y, "type": "METRIC", "dataAccessKey": y},
            runsCountToCompare=100,
        )
        for x, y in SCATTERS
    ]
    lines = [
        _chart(
            name,
            "LINE",
            "curves",
            metricKey=name,
            selectedMetricKeys=[name],
            xAxisKey="step",
            scaleType="linear",
        )
        for name in LINES
    ]
    bars = [_chart(name, "BAR", "costs", metricKey=name, runsCountToCompare=20) for name in BARS]
    return scatters + lines + bars


def _chart(name: str, kind: str, section: str, **settings: Any) -> dict[str, Any]:
    return {
        "uuid": f"lookalike {name}",
        "type": kind,
        "metricSectionId": section,
        "deleted": False,
        "isGenerated": False,
        **settings,
    }


def _section(uuid: str, name: str, display: bool) -> dict[str, Any]:
    section = {"uuid": uuid, "name": name, "display": display}
    return section | {"isReordered": False, "deleted": False, "isGenerated": False}
