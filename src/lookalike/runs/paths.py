"""What the files and folders of runs and sweeps are called, and where they lie: nothing else spells them.

<root>/outputs/DAY/TIME/           a run: RunPaths
<root>/multirun/NAME/              a sweep (or DAY/TIME, without a name): SweepPaths
<root>/multirun/NAME/JOB/          a run of the sweep: RunPaths
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

OUTPUTS, MULTIRUN = "outputs", "multirun"
RECORD, LEDGER, REPORT = "record.json", "sweep.json", "report.html"
COMPARISON = "comparison.md"
MISSED = "missed.html"
"""Of 0.1.0: what the report shows now."""


@dataclass(frozen=True)
class HomePaths:
    """What lies below ``paths.root``."""

    root: Path

    @property
    def outputs(self) -> Path:
        """Runs of their own."""
        return self.root / OUTPUTS

    @property
    def multirun(self) -> Path:
        """Sweeps."""
        return self.root / MULTIRUN

    @property
    def results(self) -> tuple[Path, Path]:
        """Both."""
        return self.outputs, self.multirun

    def new_run(self, now: datetime) -> Path:
        """Return the folder of a run that begins now: microseconds, so that no two share one."""
        return self.outputs / f"{now:%Y-%m-%d}" / f"{now:%H-%M-%S.%f}"

    def sweep(self, name: str) -> Path:
        """Return the folder of the sweep called ``name``."""
        return self.multirun / name


@dataclass(frozen=True)
class ReportPaths:
    """What is written for people into the folder of a sweep, and of a run with several points."""

    folder: Path

    @property
    def comparison_csv(self) -> Path:
        """Every value of every point."""
        return self.folder / "comparison.csv"

    @property
    def comparison(self) -> Path:
        """The closing table as Markdown; its heading is the sweep's title."""
        return self.folder / COMPARISON

    @property
    def figure(self) -> Path:
        """Recall against latency."""
        return self.folder / "pareto.png"

    @property
    def report(self) -> Path:
        """The page of ``lookalike report``."""
        return self.folder / REPORT

    @property
    def costs(self) -> Path:
        """What departures from one run cost: ``lookalike report --costs``."""
        return self.folder / "costs.md"

    @property
    def shown(self) -> list[Path]:
        """Those that are there, in the order in which they are worth opening; links are not."""
        known = (self.report, self.comparison_csv, self.comparison, self.figure, self.folder / MISSED)
        return [path for path in known if path.is_file() and not path.is_symlink()]


@dataclass(frozen=True)
class RunPaths(ReportPaths):
    """The output folder of one run."""

    @property
    def record(self) -> Path:
        """Its record; a folder without one is not a run's, or not yet."""
        return self.folder / RECORD

    @property
    def damaged_record(self) -> Path:
        """What could not be read and stood where a record was to be written."""
        return self.folder / "record.damaged.json"

    @property
    def superseded_record(self) -> Path:
        """The record of a try that a later one stands for: kept, and read for nothing but its identity."""
        return self.folder / "record.superseded.json"

    @property
    def points(self) -> Path:
        """Raw neighbours and latency samples, a file an operating point."""
        return self.folder / "points"

    @property
    def exact_answer(self) -> Path:
        """How relevant the exact neighbours are to each query, a file a run."""
        return self.points / "exact_answer.npz"

    @property
    def hydra(self) -> Path:
        """What Hydra composed."""
        return self.folder / ".hydra"

    @property
    def log(self) -> Path:
        """What Python's logging wrote."""
        return self.folder / "lookalike.log"

    @property
    def traceback(self) -> Path:
        """Of an error that was not expected."""
        return self.folder / "traceback.txt"

    @property
    def has_no_results(self) -> bool:
        """Whether nothing lies here but what Hydra and a run write before the record; may raise OSError."""
        begun = {self.hydra.name, self.log.name, self.points.name}
        names = {path.name for path in self.folder.iterdir()}
        return {name for name in names if not (name.startswith(".") and RECORD in name)} <= begun


@dataclass(frozen=True)
class SweepPaths(ReportPaths):
    """The folder of a sweep."""

    @property
    def ledger(self) -> Path:
        """The sweep's plan and submissions."""
        return self.folder / LEDGER

    @property
    def composed(self) -> Path:
        """The sweep's config, which Hydra's sweepers write."""
        return self.folder / "multirun.yaml"

    @property
    def lease(self) -> Path:
        """Names the process that works on the sweep."""
        return self.folder / ".lease"

    @property
    def is_sweep(self) -> bool:
        """Whether the folder is a sweep's, by the files that only a sweep has."""
        return self.ledger.exists() or self.composed.exists()

    @property
    def submissions(self) -> Path:
        """Submitit's scripts, logs and results."""
        return self.folder / ".submitit"

    def run(self, name: str) -> RunPaths:
        """Return the output folder of the job called ``name``."""
        return RunPaths(self.folder / name)

    def records(self) -> list[Path]:
        """Return the records of its runs, by the names of their folders."""
        return sorted(self.folder.glob(f"*/{RECORD}"))

    def superseded_records(self) -> list[Path]:
        """Return the records that later tries stand for."""
        return sorted(self.folder.glob(f"*/{self.run('').superseded_record.name}"))

    def submission_scripts(self) -> list[Path]:
        """Return submitit's scripts of jobs that were given to SLURM: ``JOB_submission.sh``."""
        return sorted(self.submissions.glob("*/*_submission.sh"))


def task_logs(submission: Path, task: str) -> Iterator[Path]:
    """Return what a SLURM task wrote to standard error, below submitit's folder ``submission``.

    Submitit may have been told ``%j`` in the folder, which becomes the job's number.
    """
    parts = submission.parts
    above = Path(*parts[: next((i for i, part in enumerate(parts) if "%" in part), None)])
    return (path for path in above.rglob(f"{task}_*_log.err") if path.is_file())
