"""One experiment: what is searched, how, what is read off the answers, and where they go."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lookalike.schemas.datasets import Dataset
from lookalike.schemas.fields import bounded, choice
from lookalike.schemas.indexes import Index
from lookalike.schemas.models import Model
from lookalike.schemas.queries import Queries

MODES = ("single", "batch", "saturated")
STAGES = (
    "tar-listing",
    "embeddings",
    "queries",
    "duplicates",
    "exact",
    "difficulty",
    "trained",
    "part",
    "index",
    "serving",
    "precision",
)
"""What ``store.reuse`` may name."""
LONGEST_SWEEP_NAME = 80
DATED = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass
class Search:
    """What is set at query time; nothing here ever causes a rebuild."""

    k: int | None = bounded(100, minimum=1)
    """How many neighbours one search asks for; null: up to 100, as N allows."""
    nprobe: Any = bounded(None, minimum=1, several=True)
    """A value or a list (one operating point each); null: the index config's own ``point``."""
    ef_search: Any = bounded(None, minimum=1, several=True)
    k_factor: Any = bounded(None, minimum=1, several=True)
    ladder: bool = False
    """Walk the index config's ladder."""
    batch_size: int = bounded(1024, minimum=1)
    threads: int | None = bounded(None, minimum=1)
    """Threads of a batch search, and of saturated searches; null: all cores, as far as a quota allows."""
    single_threads: int = bounded(1, minimum=1)
    """OpenMP threads of a single-query search (one query on IndexFlat is faster with one)."""
    modes: list[str] = choice(["single", "batch"], of=MODES, several=True)
    """single: one query at a time; batch: ``batch_size`` at a time; saturated: one query on each core."""
    warm_up: int = bounded(32, minimum=0)
    """Queries searched before the clock of a point's first turn starts; before each later one a quarter."""
    seconds: float = bounded(0.25, above=0.0)
    """Each mode is sampled for this long, in nine turns; single queries up to ten times as long until there
    are 1,000 samples."""
    repeats: int | None = bounded(None, minimum=1)
    """Passes over the queries in each mode, instead of the time budget."""
    encoding: bool | None = None
    """Time how long a query takes to encode: true also loads the model for it; null: where it is in memory
    anyway, as when the queries are embedded; false: never."""


@dataclass
class Measures:
    """What is read off the neighbours that were found."""

    cutoffs: list[int] = bounded([1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100], minimum=1, several=True)
    drop_first: bool = False
    """Judge relevance without the first result, as if it were the query: a mistake, to see its cost."""
    tie_tolerance: float = bounded(1e-5, minimum=0.0)
    """Relative: a returned vector this close to the k-th exact distance counts as found."""
    extra_depth: int = bounded(20, minimum=1)
    """Exact neighbours are kept this much deeper than k, so that ties at k are seen."""
    bootstrap: int = bounded(1000, minimum=0)
    """Resamples behind the intervals of means without bounds; 0: no confidence intervals at all."""
    confidence: float = bounded(0.95, above=0.0, below=1.0)


@dataclass
class Report:
    """What is shown of what was measured."""

    columns: list[str] | None = None
    """Columns of the table, its Markdown and the page, by name and in this order; null: the usual ones."""


@dataclass
class Tracking:
    """Where results go."""

    kind: str = choice("local", of=("local", "server", "none"))
    uri: str | None = None
    experiment: str = "lookalike"
    upload_limit_mb: float = bounded(50.0, minimum=0.0)
    """To a server: index files up to this size are uploaded, each once; the others are referred to."""
    parent: str | None = None
    """Run id that the sweep sets for its points."""

    def faults(self) -> Iterator[str]:
        """Yield what is wrong between the settings, each with its cure."""
        if self.kind == "server" and not self.uri:
            yield "tracking=server needs an address; set tracking.uri=http://HOST:PORT, or use tracking=local"
        if self.kind != "server" and self.uri:
            yield f"tracking.uri={self.uri} is not used by tracking={self.kind}; choose tracking=server"


@dataclass
class Paths:
    """Everything written lies under ``root``."""

    root: str = "."
    store: str = "store"
    mlruns: str = "mlruns"


@dataclass
class StoreOptions:
    """How results of earlier runs are used."""

    reuse: Any = choice(True, of=(True, False, *STAGES), several=True)
    """true: reuse all; false: build everything again; or the stage names that may be reused."""


@dataclass
class Sweep:
    """Settings of a sweep, and what it sets for its jobs."""

    name: str | None = None
    """What it is called; also its folder's name below ``multirun``, where the same command goes on."""
    resume: bool = True
    """Measure only what is missing or failed in the sweep's folder; false: refuse when it is there."""
    detach: bool = False
    """Hand all jobs to the cluster, with one that gathers what they measured, and return."""
    final_timing: bool = False
    """After all jobs, time the front's points of all indexes together, in the same rounds on one machine."""
    phase: str = choice("all", of=("all", "build"))
    """build: make the artifacts that a point needs and stop; set by the launcher."""
    rows: int | None = None
    """Size of the dataset when the sweep was planned: what depends on it is the same in every job."""
    points: list[str] | None = None
    """Ids of the operating points that this job measures; null: all that are possible."""
    skip: list[str] = field(default_factory=list)
    """Ids of operating points that are left out: what sweeps of 0.1.0 set in place of ``points``."""

    def faults(self) -> Iterator[str]:
        """Yield why a folder cannot have the sweep's name."""
        if self.name is None:
            return
        safe = re.sub(r"[^\w.=+-]+", "-", self.name).strip("-.")[:LONGEST_SWEEP_NAME]
        if self.name != safe or not self.name:
            yield (
                f"sweep.name={self.name!r} names no folder; take letters, digits and . _ - = +, "
                f"such as sweep.name={safe or 'mine'}"
            )
        elif DATED.fullmatch(self.name):
            yield f"sweep.name={self.name} is a day, where sweeps without a name lie; choose another name"


@dataclass
class Experiment:
    """One composed experiment: everything that a run reads."""

    dataset: Dataset
    model: Model
    queries: Queries
    index: Index
    search: Search = field(default_factory=Search)
    measures: Measures = field(default_factory=Measures)
    report: Report = field(default_factory=Report)
    tracking: Tracking = field(default_factory=Tracking)
    paths: Paths = field(default_factory=Paths)
    store: StoreOptions = field(default_factory=StoreOptions)
    sweep: Sweep = field(default_factory=Sweep)
    name: str | None = None
    """What the run is called in MLflow; null: made of what is composed."""
