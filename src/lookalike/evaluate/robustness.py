"""How evenly queries are answered: a mean of .95 may be .95 for each, or 1 for most and 0 for one in twenty.

Read off the values of single queries, at the k that was searched for; nan: the query does not count. The
metrics' names: ``knn_recall_at_100_share_0.9``, ``knn_recall_at_100_p05``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from lookalike.evaluate.intervals import Values

OF_MEASURES = ("knn_recall", "relevant_recall")
LEAST = (0.5, 0.8, 0.9)
PERCENTS = (1, 5)


def robustness_metrics(per_query: Mapping[str, Mapping[int, Values]], k: int) -> dict[str, float]:
    """Return by name what :func:`share_at_least` and :func:`lower_percentile` say of both recalls at ``k``.

    ``per_query``: measure → cut-off → one value a query. What is not defined is left out.
    """
    found: dict[str, float | None] = {}
    for measure in OF_MEASURES:
        if measure in per_query:
            values = per_query[measure][k]
            found |= {share_name(measure, k, least): share_at_least(values, least) for least in LEAST}
            found |= {
                percentile_name(measure, k, percent): lower_percentile(values, percent)
                for percent in PERCENTS
            }
    return {name: value for name, value in found.items() if value is not None}


def share_name(measure: str, k: int, least: float) -> str:
    """Return the name of the metric: ``knn_recall_at_100_share_0.9``."""
    return f"{measure}_at_{k}_share_{least:g}"


def percentile_name(measure: str, k: int, percent: int) -> str:
    """Return the name of the metric: ``knn_recall_at_100_p05``."""
    return f"{measure}_at_{k}_p{percent:02}"


def share_at_least(values: Values, least: float) -> float | None:
    """Return the share of the queries that count whose value is ``least`` or more; None when none counts.

    Rival names: Robustness-δ@K. Source: Wang et al., Towards
    Robustness: A Critique of Current Vector Database Assessments (2025), arXiv 2507.00379.
    """
    counted = values[~np.isnan(values)]
    return float((counted >= least).mean()) if len(counted) else None


def lower_percentile(values: Values, percent: int) -> float | None:
    """Return the value that all but ``percent`` % of the queries that count reach.

    Of n values in ascending order the one at place ⌈n · percent / 100⌉, counted from 1: a value that a query
    has, no mean of two, and at least (100 − percent) % of the queries have it or more. None where one query
    is more than ``percent`` % of them (of fewer than 100 for the first percentile): it would be the least.
    Source: Hyndman & Fan, Sample Quantiles in Statistical Packages (1996), definition 1.
    """
    counted = values[~np.isnan(values)]
    if len(counted) * percent < 100:
        return None
    place = math.ceil(len(counted) * percent / 100) - 1
    return float(np.partition(counted, place)[place])
