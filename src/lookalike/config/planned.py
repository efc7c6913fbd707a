"""The operating points of one composed experiment, and those of them that cannot be."""

from __future__ import annotations

from dataclasses import dataclass

from lookalike.evaluate.points import expand_points, point_faults
from lookalike.resolving import Resolved
from lookalike.runs.naming import point_label, shards_key, shards_label, trial_key
from lookalike.schemas import Experiment


@dataclass(frozen=True)
class PlannedPoint:
    """An operating point by name; ``fault`` says why it cannot be measured, if it cannot."""

    key: str
    label: str
    fault: str | None = None


def plan_points(experiment: Experiment) -> tuple[list[PlannedPoint], list[str]]:
    """Every point of ``experiment`` in order, each once, and notices of settings that were left out.

    Those in ``experiment.sweep.skip`` are not among them. Where ``dataset.shards`` is set, embedding them
    stands for all points. What depends on the gallery's size is not checked unless the experiment is
    resolved. Raises ConfigError as ``expand_points`` does.
    """
    if experiment.dataset.shards is not None:
        shards = PlannedPoint(shards_key(experiment), shards_label(experiment.dataset.shards))
        return ([] if shards.key in experiment.sweep.skip else [shards]), []
    points, notices = expand_points(experiment.search, experiment.index)
    n = experiment.gallery_size if isinstance(experiment, Resolved) else None
    planned = [
        PlannedPoint(
            key=trial_key(experiment, point),
            label=point_label(experiment.index, point),
            fault="; ".join(point_faults(point, experiment.index, n)) or None,
        )
        for point in points
    ]
    return [point for point in planned if point.key not in experiment.sweep.skip], notices
