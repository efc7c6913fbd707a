"""Everything that can be known to be wrong with an experiment before any work: all at once, with cures."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lookalike import schemas
from lookalike.config.image_sources import source_annotation_faults, source_faults
from lookalike.datasets import open_dataset
from lookalike.datasets.counting import count_rows
from lookalike.datasets.embeddings import announced_shape, brings_labels
from lookalike.datasets.formats.formats import AUTO, FORMATS
from lookalike.embed.embedder import shard_faults
from lookalike.embed.models import open_model
from lookalike.errors import ConfigError, UserError
from lookalike.evaluate.points import expand_points, point_faults, search_faults
from lookalike.progress import SILENT, Progress
from lookalike.queries.vectors import brings_queries
from lookalike.resolving import AUTO as UNTIL_COUNTED
from lookalike.resolving import Resolved, resolve
from lookalike.schemas import Experiment
from lookalike.store.store import Store

NEEDS_IMAGES = (schemas.CopiesQueries, schemas.FilesQueries)
"""Protocols whose queries are embedded from images, which a dataset of ready vectors has not."""

Count = Callable[[schemas.Dataset], int]
"""How many rows a dataset has; UserError when that cannot be known."""

SMALLEST = 2
"""Rows of a dataset in which something can be searched for."""

LONGEST_SWEEP_NAME = 80
DATED = re.compile(r"\d{4}-\d\d-\d\d")

STAGES = (
    "tar-listing",
    "embeddings",
    "queries",
    "duplicates",
    "exact",
    "trained",
    "part",
    "index",
    "serving",
    "precision",
)
"""What ``store.reuse`` may name."""

CHOICES: dict[str, tuple[str, ...]] = {
    "dataset.fingerprint": ("stat", "content"),
    "dataset.format": (AUTO, *FORMATS),
    "queries.format": (AUTO, *FORMATS),
    "queries.duplicates": ("relevant", "ignored", "irrelevant"),
    "queries.by": ("label", "group"),
    "tracking.kind": ("local", "server", "none"),
    "sweep.phase": ("all", "build"),
}
"""Fields that take one of a few words, where the composed section has them."""

LOWEST: dict[str, float] = {
    "dataset.limit": 1,
    "dataset.shard_size": 1,
    "dataset.n": 1,
    "dataset.dim": 1,
    "dataset.clusters": 1,
    "dataset.spread": 0,
    "dataset.exponent": 0,
    "dataset.max_pixels": 1,
    "measures.tie_tolerance": 0,
    "measures.extra_depth": 1,
    "measures.bootstrap": 0,
    "tracking.upload_limit_mb": 0,
}
"""Fields with a smallest value; null is always fine where the schema allows it."""


def find_faults(experiment: Experiment) -> list[str]:
    """Why ``experiment`` cannot run, each reason one sentence of cause and cure; empty when nothing is known.

    Known are the config itself, which files are there, array headers and what a model says of itself
    without being loaded. Of several operating points some may be impossible (they are skipped); it is a
    fault when all are.
    """
    try:
        decide(experiment)
    except ConfigError as error:
        return list(error.faults)
    return []


def decide(experiment: Experiment, progress: Progress = SILENT, count: Count | None = None) -> Resolved:
    """Return ``experiment`` with what depends on its dataset's size, which is counted by listing and headers.

    ``count``: the dataset's rows, from whoever counted them before; UserError when they cannot be. Raises
    ConfigError with every fault, as :func:`find_faults` lists them; the dataset is counted only when all else
    is sound.
    """
    if faults := _faults_without_counting(experiment):
        raise ConfigError(faults)
    rows = experiment.sweep.rows
    if rows is None:
        try:
            rows = count(experiment.dataset) if count else count_gallery(experiment, progress)
            if rows == 0:
                open_dataset(experiment.dataset)  # has better words for what it does not find
        except ConfigError:
            raise
        except UserError as error:
            raise ConfigError([str(error)]) from error
    resolved = resolve(experiment, rows)
    if faults := _size_faults(resolved):
        raise ConfigError(faults)
    return resolved


def count_gallery(experiment: Experiment, progress: Progress = SILENT) -> int:
    """Rows of the experiment's dataset; listings of tars go where the run will look for them."""
    root = Path(experiment.paths.root).expanduser().resolve()
    store = Store(root / experiment.paths.store, progress=progress)
    return count_rows(experiment.dataset, progress, store)


def _faults_without_counting(experiment: Experiment) -> list[str]:
    faults = [
        *_choice_faults(experiment),
        *_infinite(asdict(experiment)),
        *_range_faults(experiment),
        *_dataset_faults(experiment.dataset),
        *_shard_faults(experiment.dataset, None),
        *_query_faults(experiment),
        *_model_faults(experiment),
        *experiment.index.faults(known_dim(experiment)),
        *_search_faults(experiment),
        *_tracking_faults(experiment.tracking),
        *_sweep_faults(experiment.sweep),
    ]
    return list(dict.fromkeys(faults))


def _infinite(settings: Mapping[str, Any], section: str = "") -> Iterator[str]:
    """Settings that are nan or inf: no number of ours may be, and with one a run need not end."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _infinite(value, f"{section}{name}.")
        elif isinstance(value, float) and not math.isfinite(value):
            yield f"{section}{name}={value} is not a finite number; give one"


def _size_faults(resolved: Resolved) -> list[str]:
    """What is wrong with an experiment of a dataset of this size."""
    dataset, rows, n = resolved.dataset, resolved.rows, resolved.gallery_size
    if rows < SMALLEST:
        what = "vector" if isinstance(dataset, schemas.VectorDataset) else "image"
        held = f"1 {what}" if rows == 1 else f"no {what}s"
        place = getattr(dataset, "root", None) or f"dataset={dataset.name}"
        cure = f"raise dataset.limit={rows}" if dataset.limit == rows else "add more, or name another dataset"
        return [f"{place} holds {held}, and a search needs {SMALLEST} or more; {cure}"]
    if n < 1:
        return [
            f"queries.n={'null' if resolved.queries.n is None else resolved.queries.n} leaves no gallery of "
            f"{rows:,} rows; lower it or use queries=in_gallery"
        ]
    shards = -(-n // dataset.shard_size)
    faults = [
        *_shard_faults(dataset, shards),
        *resolved.index.faults(known_dim(resolved), n),
        *_search_faults(resolved),
    ]
    return list(dict.fromkeys(faults))


def known_dim(experiment: Experiment) -> int | None:
    """The vectors' dimensions, where they can be told without loading a model."""
    if isinstance(experiment.dataset, schemas.VectorDataset):
        vectors = _ready_vectors(experiment.dataset)
        return vectors[1] if vectors else None
    if isinstance(experiment.model, schemas.PixelsModel):
        return 3 * experiment.model.side**2
    if isinstance(experiment.model, schemas.EfficientNetLite0Model):
        from lookalike.embed.models.efficientnet_lite0 import Lite0Encoder

        return Lite0Encoder.dim
    return None


def _ready_vectors(dataset: schemas.Dataset) -> tuple[int, int] | None:
    """(rows, dimensions) of ready vectors by their headers; None when they cannot be read."""
    if isinstance(dataset, schemas.SyntheticDataset):
        return dataset.n, dataset.dim
    return announced_shape(dataset) if isinstance(dataset, schemas.EmbeddingsDataset) else None


def _value(experiment: Experiment, path: str) -> Any:
    """What stands at ``section.field``; None when the composed section has no such field."""
    section, name = path.split(".")
    return getattr(getattr(experiment, section), name, None)


def _choice_faults(experiment: Experiment) -> Iterator[str]:
    for path, choices in CHOICES.items():
        value = _value(experiment, path)
        if value is not None and value not in choices:
            yield f"{path}={value} is unknown; choose one of {', '.join(choices)}"
    reuse = experiment.store.reuse
    if not isinstance(reuse, bool):
        stages = reuse if isinstance(reuse, list) else [reuse]
        unknown = [str(stage) for stage in stages if stage not in STAGES]
        if unknown:
            yield (
                f"store.reuse has {', '.join(unknown)}, which is no stage; "
                f"give true, false or a list of {', '.join(STAGES)}"
            )


def _range_faults(experiment: Experiment) -> Iterator[str]:
    for path, lowest in LOWEST.items():
        value = _value(experiment, path)
        if value is not None and value < lowest:
            yield f"{path}={value} is too small; give {lowest} or more"
    n = experiment.queries.n
    whole = isinstance(n, int) and not isinstance(n, bool)
    if not (n is None or n == UNTIL_COUNTED or (whole and n >= 1)):
        yield f"queries.n={n} is no number of queries; give 1 or more, auto, or null for all"
    fraction = _value(experiment, "dataset.max_bad_fraction")
    if fraction is not None and not 0 <= fraction <= 1:
        yield f"dataset.max_bad_fraction={fraction} is no share of the images; give 0 to 1"
    measures = experiment.measures
    for cutoff in measures.cutoffs:
        if cutoff < 1:
            yield f"measures.cutoffs has {cutoff}; cut-offs are 1 or more"
    if not measures.cutoffs:
        yield "measures.cutoffs is empty; give one or more, such as [1,10,100]"
    if not 0 < measures.confidence < 1:
        yield f"measures.confidence={measures.confidence} is no confidence level; give a share such as 0.95"


def _dataset_faults(dataset: schemas.Dataset) -> Iterator[str]:
    yield from source_faults(dataset)
    if isinstance(dataset, schemas.SyntheticDataset) and dataset.seed < 0:
        yield f"dataset.seed={dataset.seed} is no seed of made-up vectors; give 0 or more"
    if not isinstance(dataset, schemas.FolderDataset | schemas.EmbeddingsDataset):
        return
    what, example = "a folder of images", "~/Pictures"
    if isinstance(dataset, schemas.EmbeddingsDataset):
        what, example = "a file of vectors or a folder of them", "~/vectors"
    if not dataset.root:
        yield f"dataset.root is not set; name {what}: dataset.root={example}"
        return
    root = Path(dataset.root).expanduser()
    if not root.exists():
        yield f"dataset.root={dataset.root} does not exist; name {what}"
    if isinstance(dataset, schemas.FolderDataset):
        yield from _table_faults(dataset, root)


def _shard_faults(dataset: schemas.Dataset, count: int | None) -> list[str]:
    return [] if dataset.shards is None else shard_faults(dataset.shards, count)


def _table_faults(dataset: schemas.FolderDataset, root: Path) -> Iterator[str]:
    columns = {"labels": dataset.labels, "groups": dataset.groups, "captions": dataset.captions}
    for name, column in columns.items():
        if column and not dataset.table and not (name == "labels" and column == "folder"):
            folders = ", or dataset.labels=folder for the names of folders" if name == "labels" else ""
            yield (
                f"dataset.{name}={column} is a column of no table; set dataset.table to a CSV or "
                f"parquet{folders}"
            )
    if dataset.table_only and not dataset.table:
        yield "dataset.table_only=true needs a table; set dataset.table to a CSV or parquet"
    if dataset.table and not (root / Path(dataset.table).expanduser()).is_file():
        yield f"dataset.table={dataset.table} does not exist in dataset.root; name a CSV or parquet file"


def _query_faults(experiment: Experiment) -> Iterator[str]:
    dataset, queries = experiment.dataset, experiment.queries
    ready = isinstance(dataset, schemas.VectorDataset)
    if ready and isinstance(queries, NEEDS_IMAGES):
        yield (
            f"queries={queries.name} needs images, and dataset={dataset.name} has vectors only; "
            "choose queries=held_out, in_gallery or vectors"
        )
    if isinstance(queries, schemas.VectorsQueries):
        if not ready:
            yield "queries=vectors needs ready gallery vectors; choose dataset=embeddings, or other queries"
        yield from _file_faults(
            "queries.file", queries.file, "a file of query vectors", required=not _brings_queries(dataset)
        )
        yield from _file_faults("queries.relevance", queries.relevance, "a CSV file")
        yield from _file_faults("queries.neighbours", queries.neighbours, "a file of gallery rows")
    if isinstance(queries, schemas.FilesQueries):
        yield from _file_faults("queries.root", queries.root, "a folder of query images", required=True)
        yield from _file_faults("queries.relevance", queries.relevance, "a CSV file")
    if isinstance(queries, schemas.CaptionsQueries):
        yield from _annotation_faults("captions", "captions", dataset)
    if isinstance(queries, schemas.LabelsQueries) and queries.by in ("label", "group"):
        yield from _annotation_faults(f"labels queries.by={queries.by}", f"{queries.by}s", dataset)


def _brings_queries(dataset: schemas.Dataset) -> bool:
    """Whether queries came with the gallery, which are the default then."""
    return isinstance(dataset, schemas.EmbeddingsDataset) and brings_queries(dataset)


def _file_faults(setting: str, value: str | None, what: str, required: bool = False) -> Iterator[str]:
    if not value:
        if required:
            yield f"{setting} is not set; name {what}"
    elif not Path(value).expanduser().exists():
        yield f"{setting}={value} does not exist; name {what}"


def _annotation_faults(queries: str, kind: str, dataset: schemas.Dataset) -> Iterator[str]:
    """``kind``: labels, groups or captions, which ``queries`` cannot do without."""
    yield from source_annotation_faults(queries, kind, dataset)
    if isinstance(dataset, schemas.SyntheticDataset):
        yield f"queries={queries} needs {kind}, which made-up vectors have not; choose held_out or in_gallery"
    if isinstance(dataset, schemas.EmbeddingsDataset):
        column = {"labels": "label_column", "captions": "caption_column"}.get(kind)
        if column is None:
            yield f"queries={queries} needs {kind}, which dataset={dataset.name} has not; by=label may do"
        elif not getattr(dataset, column) and not (kind == "labels" and brings_labels(dataset)):
            yield f"queries={queries} needs dataset.{column}; set it to a column of the parquet"


def _model_faults(experiment: Experiment) -> list[str]:
    """The model's own, if the run uses it: ready vectors need it for captions only."""
    texts = isinstance(experiment.queries, schemas.CaptionsQueries)
    if isinstance(experiment.dataset, schemas.VectorDataset) and not texts:
        return []
    return open_model(experiment.model).faults(texts=texts)


def _search_faults(experiment: Experiment) -> list[str]:
    if faults := search_faults(experiment.search):
        return faults
    if not isinstance(experiment, Resolved):
        return []
    points, _ = expand_points(experiment.search, experiment.index)
    by_point = [point_faults(point, experiment.index, experiment.gallery_size) for point in points]
    return [fault for faults in by_point for fault in faults] if all(by_point) else []


def _tracking_faults(tracking: schemas.Tracking) -> Iterator[str]:
    if tracking.kind == "server" and not tracking.uri:
        yield "tracking=server needs an address; set tracking.uri=http://HOST:PORT, or use tracking=local"
    if tracking.kind != "server" and tracking.uri:
        yield f"tracking.uri={tracking.uri} is not used by tracking={tracking.kind}; choose tracking=server"


def _sweep_faults(sweep: schemas.Sweep) -> Iterator[str]:
    name = sweep.name
    if name is None:
        return
    safe = re.sub(r"[^\w.=+-]+", "-", name).strip("-.")[:LONGEST_SWEEP_NAME]
    if name != safe or not name:
        yield (
            f"sweep.name={name!r} names no folder; take letters, digits and . _ - = +, "
            f"such as sweep.name={safe or 'mine'}"
        )
    elif DATED.fullmatch(name):
        yield f"sweep.name={name} is a day, where sweeps without a name lie; choose another name"
