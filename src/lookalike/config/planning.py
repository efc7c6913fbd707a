"""From a composed experiment to the Plan that ``run`` follows, with all faults at once before any work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lookalike import schemas
from lookalike.config.faults import emptiness_faults, known_dim, known_faults, size_faults
from lookalike.datasets import count_rows, open_dataset, source_of
from lookalike.errors import ConfigError, UserError
from lookalike.progress import SILENT, Progress
from lookalike.runs.plan import Plan, cover_points, plan_points
from lookalike.runs.resolving import resolve
from lookalike.schemas import Experiment
from lookalike.store.store import Store

Count = Callable[[schemas.Dataset], int]
"""How many rows a dataset has; UserError when that cannot be known."""


def plan(experiment: Experiment, progress: Progress = SILENT, count: Count | None = None) -> Plan:
    """Return the plan of ``experiment``: resolved, its points expanded, checked and named.

    The dataset is counted by listing and headers, or by ``count`` (UserError when it cannot be), and only
    when all else is sound. Of several points some may be impossible: the plan says why. Raises ConfigError
    with every fault that can be known before any work; it is a fault when all points are impossible.
    """
    dim = known_dim(experiment)
    if faults := known_faults(experiment, dim):
        raise ConfigError(faults)
    resolved = resolve(experiment, _count(experiment, progress, count))
    points, notices = plan_points(resolved)
    if faults := emptiness_faults(resolved):
        raise ConfigError(faults)
    faults = size_faults(resolved, dim)
    if all(point.faults for point in points):
        faults += [fault for point in points for fault in point.faults]
    if faults:
        raise ConfigError(list(dict.fromkeys(faults)))
    if experiment.sweep.rows is None:  # of a sweep's job the sweep has said it
        notices += source_of(resolved.dataset).notices(resolved.index.metric)
    return Plan(resolved, dim, cover_points(points, experiment.sweep), tuple(notices))


def find_faults(experiment: Experiment) -> list[str]:
    """Return why ``experiment`` cannot run, each reason one sentence of cause and cure; empty when it can.

    Known are the config itself, which files are there, array headers and what a model says of itself
    without being loaded.
    """
    try:
        plan(experiment)
    except ConfigError as error:
        return list(error.faults)
    return []


def count_gallery(experiment: Experiment, progress: Progress = SILENT) -> int:
    """Return the rows of the experiment's dataset; listings of tars go where the run will look for them."""
    root = Path(experiment.paths.root).expanduser().resolve()
    store = Store(root / experiment.paths.store, progress=progress)
    return count_rows(experiment.dataset, progress, store)


def _count(experiment: Experiment, progress: Progress, count: Count | None) -> int:
    if experiment.sweep.rows is not None:
        return experiment.sweep.rows
    try:
        rows = count(experiment.dataset) if count else count_gallery(experiment, progress)
        if rows == 0:
            open_dataset(experiment.dataset)  # has better words for what it does not find
    except ConfigError:
        raise
    except UserError as error:
        raise ConfigError([str(error)]) from error
    return rows
