"""Points of several finished runs: opened, loaded, timed in the same rounds, kept in their records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from lookalike.errors import UserError
from lookalike.evaluate.points import Point
from lookalike.evaluate.timing.encoding import end_to_end_ms
from lookalike.evaluate.timing.results import TimedPoint, TimedPoints, Timing
from lookalike.evaluate.timing.rounds import Candidate, time_points
from lookalike.index.searchers import Searcher
from lookalike.machine.cgroups import cgroup_limits
from lookalike.machine.environment import cpu_model, describe_machine
from lookalike.progress import Progress
from lookalike.report.rows import Row
from lookalike.report.samples import read_arrays
from lookalike.runs.catalog import records_of_sweep
from lookalike.runs.files import writing_results
from lookalike.runs.opener import FinishedRun, open_point
from lookalike.runs.points import RunPoint
from lookalike.runs.record import FINISHED, PointRecord, Record
from lookalike.runs.results import describe_timing, latency_metrics, raw_file, samples_of, save_beside
from lookalike.schemas import Search
from lookalike.sweep.final.choosing import Choice, choices, fitting, index_of
from lookalike.sweep.final.state import is_done
from lookalike.terminal.interrupts import interrupts_later

SHARE_OF_MEMORY = 0.9
"""Of what is free: queries and answers need some of it."""
OF_THE_MACHINE = ("hostname", "cpu", "cores", "load_1m", "slurm_job")
PREFIX = "final_"
"""Of the metrics of a final timing."""

TimeTogether = Callable[[Sequence[Candidate], Search, Progress], TimedPoints]


def _time(candidates: Sequence[Candidate], search: Search, progress: Progress) -> TimedPoints:
    return time_points(candidates, search, progress=progress)


def time_finally(
    folder: Path,
    progress: Progress,
    *,
    again: bool = False,
    available_bytes: int | None = None,
    time: TimeTogether = _time,
) -> int:
    """Time the fronts' points of the sweep in ``folder`` together, and amend their records; return how many.

    Of each comparable group, all indexes are loaded before the first clock starts. A group that has its final
    timing is left alone unless ``again``. Nothing is built: a point whose index, vectors or queries are gone
    from the store is left out, and so are indexes that do not fit into memory (``available_bytes``, by
    default what this process may still take); a notice says so. The records of a group are written one by
    one once all of it is measured: a process that is killed meanwhile leaves some without, which is a final
    timing that is not done.
    """
    records = {name: record for name, record in records_of_sweep(folder).items() if record.status == FINISHED}
    folders = {record.identity: folder / name for name, record in records.items()}
    count = 0
    for choice in choices(records.values()):
        if again or not is_done(choice):
            count += _time_group(choice, folders, available_bytes, progress, time)
    return count


@dataclass(frozen=True, eq=False)
class _Opened:
    """A point whose run's parts are all there."""

    row: Row
    run: FinishedRun
    extra_k: int
    """Neighbours that its searches ask for beyond k."""


def _time_group(
    choice: Choice,
    folders: Mapping[str, Path],
    available_bytes: int | None,
    progress: Progress,
    time: TimeTogether,
) -> int:
    opened, refused = _open_all(choice.rows, folders, progress)
    available = int(SHARE_OF_MEMORY * free_memory()) if available_bytes is None else available_bytes
    fits = fitting(Choice(tuple(each.row for each in opened), (*choice.notices, *refused)), available)
    opened = [each for each in opened if any(each.row is row for row in fits.rows)]
    for notice in fits.notices:
        progress.warn(f"final timing: {notice}")
    if len(opened) < 2:
        progress.warn("final timing: fewer than two points are left, which leaves nothing to compare")
        return 0
    indexes = len({index_of(each.row) for each in opened})
    progress.say(
        f"final timing: {len(opened)} points of {indexes} {'index' if indexes == 1 else 'indexes'} together"
    )
    search = _common_search([each.run.experiment.search for each in opened])
    when = datetime.now(UTC).isoformat()
    machine = describe_machine()
    timed = time(_load(opened), search, progress)
    facts = {
        "when": when,
        "points": len(opened),
        **{name: machine[name] for name in OF_THE_MACHINE},
        **describe_timing(timed),
        "notices": list(fits.notices),
    }
    with interrupts_later():  # records of which half are written would be a final timing that is not done
        _amend_all(opened, timed, facts)
    return len(opened)


def _open_all(
    rows: Sequence[Row], folders: Mapping[str, Path], progress: Progress
) -> tuple[list[_Opened], list[str]]:
    """Open each point's run, once; also return which points cannot be, and why."""
    runs: dict[str, FinishedRun] = {}
    opened, refused = [], []
    for row in rows:
        record, folder = row.record, folders[row.record.identity]
        try:
            if record.identity not in runs:
                root = Path(record.config["paths"]["root"])
                run = open_point(RunPoint(folder, record, row.point), root, progress)
                _ = run.index, run.queries, run.vectors
                runs[record.identity] = run
            found = read_arrays(folder, row.point, ["rows"])["rows"]
            opened.append(_Opened(row, runs[record.identity], found.shape[1] - row.point.k))
        except UserError as error:
            refused.append(f"{row.point.label} is left out: {error}")
    return opened, refused


def free_memory() -> int:
    """Return how many bytes this process may still take: what the machine, and its control group, leave."""
    available = int(psutil.virtual_memory().available)
    limit = cgroup_limits().memory_bytes
    return available if limit is None else min(available, limit - psutil.Process().memory_info().rss)


def _load(opened: Sequence[_Opened]) -> list[Candidate]:
    """Every index once, and every set of queries."""
    searchers: dict[Any, Searcher] = {}
    queries: dict[Any, Any] = {}
    candidates = []
    for each in opened:
        index, asked = index_of(each.row), each.run.queries
        if index not in searchers:
            searchers[index] = each.run.searcher
        matrix = queries.setdefault(asked.key, asked.matrix)
        point = Point.of(**each.row.point.settings)
        candidates.append(Candidate(point, searchers[index], matrix, each.extra_k))
    return candidates


def _common_search(searches: Sequence[Search]) -> Search:
    """How all are timed: in the modes that mean the same to each, for the longest of their times."""

    def terms(mode: str) -> set[tuple[int | None, ...]]:
        if mode == "single":
            return {(search.single_threads,) for search in searches}
        batch = {"batch": "batch_size"}.get(mode)
        return {(search.threads, getattr(search, batch) if batch else None) for search in searches}

    modes = [
        mode
        for mode in searches[0].modes
        if all(mode in search.modes for search in searches) and len(terms(mode)) == 1
    ]
    repeats = [search.repeats for search in searches if search.repeats is not None]
    return replace(
        searches[0],
        modes=modes,
        warm_up=max(search.warm_up for search in searches),
        seconds=max(search.seconds for search in searches),
        repeats=max(repeats) if len(repeats) == len(searches) else None,
    )


def _amend_all(opened: Sequence[_Opened], timed: TimedPoints, facts: dict[str, Any]) -> None:
    by_run: dict[str, dict[_Name, _Result]] = {}
    for each, point in zip(opened, timed.points, strict=True):
        by_run.setdefault(each.run.record.identity, {})[_name(each.row.point)] = _result(each, point)
    for run in {each.run.record.identity: each.run for each in opened}.values():
        results = by_run[run.record.identity]
        earlier = [point.final_samples for point in run.record.points if point.final_samples]

        def change(record: Record, results: Mapping[_Name, _Result] = results) -> None:
            record.final_timing = dict(facts)
            for point in record.points:
                _give(point, results.get(_name(point), _Result()))

        run.record.amend(run.folder, change)
        for samples in earlier:
            (run.folder / samples).unlink(missing_ok=True)


_Name = tuple[str, str]


def _name(point: PointRecord) -> _Name:
    return point.trial_key, point.label


@dataclass(frozen=True)
class _Result:
    """What a final timing measured at a point; by default that it did not measure it."""

    timings: Mapping[str, Timing] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    flags: Sequence[str] = ()
    samples: str | None = None


def _result(each: _Opened, timed: TimedPoint) -> _Result:
    """The result of one point, its samples written beside those of its job."""
    folder = each.run.folder
    file = raw_file(folder, each.row.point.label, ".final")
    with writing_results(file.parent):
        kept = save_beside(file, **samples_of(timed.timings))
    metrics = latency_metrics(timed.timings) | _end_to_end(each, timed)
    return _Result(timed.timings, metrics, timed.flags, kept.relative_to(folder).as_posix())


def _end_to_end(each: _Opened, timed: TimedPoint) -> dict[str, float]:
    """What encoding, where it was measured on such a processor, and this search take together."""
    encoding = read_arrays(each.run.folder, each.row.point, ["seconds_encoding"]).get("seconds_encoding")
    if encoding is None or "single" not in timed.timings or each.row.record.environment["cpu"] != cpu_model():
        return {}
    p50, p95 = end_to_end_ms(encoding, timed.timings["single"].seconds)
    return {"end_to_end_p50_ms": p50} | ({} if p95 is None else {"end_to_end_p95_ms": p95})


def _give(point: PointRecord, result: _Result) -> None:
    """Keep what was measured; what an earlier final timing measured of the point goes."""
    point.final_latency = {mode: timing.as_dict() for mode, timing in result.timings.items()}
    point.final_flags = list(result.flags)
    point.final_samples = result.samples
    own = {name: value for name, value in point.metrics.items() if not name.startswith(PREFIX)}
    point.metrics = own | {PREFIX + name: value for name, value in result.metrics.items()}
