"""What a run is going to do, known before any of it is done: its experiment and its operating points."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from lookalike import schemas
from lookalike.errors import ConfigError
from lookalike.evaluate.points import Point, expand_points, point_faults
from lookalike.runs.naming import point_id, point_label, shards_id, shards_label
from lookalike.runs.resolving import Resolved


@dataclass(frozen=True)
class PlannedPoint:
    """An operating point by name. It is measured unless it is impossible or covered by another run."""

    id: str
    """16 hex characters, see ``runs.naming.point_id``: the ``trial_key`` of the point's record."""
    label: str
    """``ivf_flat nlist=64 nprobe=8``."""
    point: Point | None
    """None: the embedding of ``dataset.shards``, which stands for all points."""
    faults: tuple[str, ...] = ()
    """Why it is impossible, each reason with its cure."""
    covered: bool = False
    """Another run of the sweep measures it, or has measured it."""

    @property
    def reason(self) -> str:
        """Why it is impossible, in one line; empty when it is not."""
        return "; ".join(self.faults)


@dataclass(frozen=True)
class Plan:
    """One run: the experiment with every setting decided, and its operating points, each once, in order."""

    experiment: Resolved
    """``rows`` and ``gallery_size`` of its dataset stand there."""
    dim: int | None
    """The vectors' dimensions; None where only the model, once loaded, can tell."""
    points: tuple[PlannedPoint, ...]
    notices: tuple[str, ...]
    """Search settings that are left out, a sentence each; ``experiment.choices`` says what was chosen."""

    @property
    def to_measure(self) -> list[PlannedPoint]:
        """The points that the run measures."""
        return [point for point in self.points if not point.faults and not point.covered]

    @property
    def impossible(self) -> list[PlannedPoint]:
        """The points that no run can measure, without those that are covered elsewhere."""
        return [point for point in self.points if point.faults and not point.covered]

    def without(self, ids: Collection[str]) -> Plan:
        """Return the plan of a run that leaves the points with these ``ids`` to others."""
        points = tuple(replace(point, covered=point.covered or point.id in ids) for point in self.points)
        return replace(self, points=points)


def plan_points(experiment: Resolved) -> tuple[list[PlannedPoint], list[str]]:
    """Return every point of ``experiment``, each once, in order, and notices of settings that are left out.

    The values of ``experiment.search`` are within their fields' bounds.
    """
    if (shards := experiment.dataset.shards) is not None:
        return [PlannedPoint(shards_id(experiment), shards_label(shards), None)], []
    points, notices = expand_points(experiment.search, experiment.index)
    planned = [
        PlannedPoint(
            point_id(experiment, point),
            point_label(experiment.index, point),
            point,
            tuple(point_faults(point, experiment.index, experiment.gallery_size)),
        )
        for point in points
    ]
    return planned, notices


def cover_points(points: Sequence[PlannedPoint], sweep: schemas.Sweep) -> tuple[PlannedPoint, ...]:
    """Return ``points``, of which those that ``sweep`` leaves to other jobs are marked as covered.

    Raises ConfigError when ``sweep.points`` names one that is not among them.
    """
    ids = {point.id for point in points}
    if sweep.points is not None and (unknown := set(sweep.points) - ids):
        raise ConfigError(
            [
                f"sweep.points names {', '.join(sorted(unknown))}, which are not points of this experiment; "
                "give the sweep's command again, which plans it anew"
            ]
        )
    mine = ids if sweep.points is None else set(sweep.points)
    others = (ids - mine) | set(sweep.skip)
    return tuple(replace(point, covered=point.id in others) for point in points)
