"""Operating points found by MLflow's own search, and the records they came from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from lookalike.errors import TrackingError
from lookalike.runs.catalog import Run, runs_below
from lookalike.runs.paths import RECORD, HomePaths
from lookalike.runs.record import Record
from lookalike.tracking.backend import Backend, tracking_errors
from lookalike.tracking.home import DATABASE

if TYPE_CHECKING:
    from mlflow import MlflowClient

PAGE = 1000
"""Runs asked for at once."""


@dataclass
class FoundRecord:
    """A record of which some points were found."""

    trial_keys: set[str]
    load: Callable[[], Record]
    """Fetches the record from MLflow's artifacts."""


def find_points(mlruns: Path, uri: str | None, experiment: str, query: str) -> dict[str, FoundRecord]:
    """Points of ``experiment`` of which ``query`` (MLflow's filter syntax) is true, by record's identity.

    ``uri`` is a server's; None: the local store in the folder ``mlruns``. Raises :class:`TrackingError`
    when there is no such store or experiment, or when MLflow does not understand the query.
    """
    if uri is None and not (mlruns / DATABASE).is_file():
        raise TrackingError(
            f"there is no {mlruns / DATABASE}; run an experiment first, name another root with --root, "
            "or a server with --uri"
        )
    backend = Backend.on_server(uri) if uri else Backend.in_folder(mlruns)
    client = backend.connect(to_write=False)
    with tracking_errors(backend.uri):
        known = client.get_experiment_by_name(experiment)
        if known is None:
            names = ", ".join(sorted(each.name for each in client.search_experiments(max_results=20)))
            raise TrackingError(f"MLflow knows no experiment {experiment}; choose one of {names}")
        found: dict[str, FoundRecord] = {}
        for run in _matching(client, known.experiment_id, query):
            tags = run.data.tags
            if "lookalike.record" in tags and "lookalike.trial_key" in tags:  # else a sweep's parent
                load = partial(_record_of, client, backend.uri, run.info.run_id)
                record = found.setdefault(tags["lookalike.record"], FoundRecord(set(), load))
                record.trial_keys.add(tags["lookalike.trial_key"])
        return found


def runs_of(found: Mapping[str, FoundRecord], root: Path) -> list[Run]:
    """Return the runs of what :func:`find_points` found, each with only those points.

    A run whose folder lies below ``root`` is taken from there, with its raw samples; of another one MLflow
    has just the record.
    """
    local = {run.record.identity: run for run in runs_below(*HomePaths(root).results)}
    runs = []
    for identity, part in found.items():
        run = local.get(identity) or Run(part.load(), None)
        points = [point for point in run.record.points if point.trial_key in part.trial_keys]
        runs.append(Run(replace(run.record, points=points), run.folder))
    return runs


def _matching(client: MlflowClient, experiment_id: str, query: str) -> list[Any]:
    from mlflow.exceptions import MlflowException

    runs: list[Any] = []
    token = None
    while True:
        try:
            page = client.search_runs([experiment_id], query, max_results=PAGE, page_token=token)
        except MlflowException as fault:
            if fault.error_code != "INVALID_PARAMETER_VALUE":
                raise
            raise TrackingError(
                f"MLflow does not understand the filter {query!r}: {fault.message}; write for instance "
                "\"params.index = 'hnsw' and metrics.knn_recall_at_10 > 0.9\""
            ) from None
        runs += page
        token = page.token
        if not token:
            return runs


def _record_of(client: MlflowClient, uri: str, run_id: str) -> Record:
    with tracking_errors(uri), TemporaryDirectory() as folder:
        return Record.load(Path(client.download_artifacts(run_id, RECORD, folder)))
