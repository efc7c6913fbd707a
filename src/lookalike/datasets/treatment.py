"""What is done to ready vectors before they are searched, and when a user should be told of it.

Vectors are searched as they are unless ``dataset.normalize`` says otherwise or their file says that it is for
directions. By which metric makes no difference where all are of one length: distances, inner products and
cosines then rank alike. Where lengths differ the three give other neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lookalike import schemas
from lookalike.datasets.formats.contents import VectorFile
from lookalike.datasets.formats.npz import CompressedRows
from lookalike.datasets.sets import Rows
from lookalike.errors import DatasetError
from lookalike.machine.mapping import release_pages

PLACES, ROWS_AT_A_PLACE = 16, 16
"""A sample of lengths: at so many places so many rows that follow each other, cheap in every format."""
VALUES_AT_A_PLACE = 1 << 17
"""At most: of very long vectors fewer rows are read."""
ONE_LENGTH = 1e-3
"""Relative: lengths this close together leave the order of the neighbours as cosines have it."""
METRICS = {"euclidean": "l2", "l2": "l2", "ip": "ip", "dot": "ip"}
"""The ``index.metric`` that compares as a file says, where it does not say that it is for directions."""


def unit_length(
    config: schemas.EmbeddingsDataset, files: Sequence[Path], opened: Sequence[VectorFile]
) -> bool:
    """Return whether vectors are scaled to unit length: as the config says, else as the files do, else not.

    DatasetError when some of the files are for directions and others are not.
    """
    if config.normalize is not None:
        return config.normalize
    announced = {one.of_directions for one in opened} - {None}
    if len(announced) > 1:
        raise DatasetError(f"the files beside {files[0]} are for several distances; set dataset.normalize")
    return announced == {True}


def scaled_by(
    config: schemas.EmbeddingsDataset, files: Sequence[Path], opened: Sequence[VectorFile]
) -> Iterator[str]:
    """Yield what is done to vectors of files that are for directions, a sentence each; else nothing."""
    for file, one in zip(files, opened, strict=True):
        if not one.of_directions or config.normalize:
            continue
        done = (
            "scaled to unit length; dataset.normalize=false searches them as they are"
            if config.normalize is None
            else "searched as they are (dataset.normalize=false)"
        )
        yield f"{file.name} is for the distance {one.distance}: its vectors are {done}"


def other_metric(files: Sequence[Path], opened: Sequence[VectorFile], metric: str) -> Iterator[str]:
    """Yield which files are for another distance than ``metric``, with the setting for theirs."""
    for file, one in zip(files, opened, strict=True):
        theirs = METRICS.get(one.distance or "", metric)
        if theirs != metric:
            yield (
                f"{file.name} is for the distance {one.distance}, and index.metric={metric} compares by "
                f"another; index.metric={theirs} compares by its own"
            )


def rounded(files: Sequence[Path], opened: Sequence[VectorFile]) -> Iterator[str]:
    """Yield that float64 is searched as float32, where some of the files hold it."""
    wide = [file.name for file, one in zip(files, opened, strict=True) if one.rows.dtype.itemsize > 4]
    if wide:
        held = wide[0] if len(wide) == 1 else f"{len(wide):,} files, {wide[0]} for one,"
        yield f"{held} {'holds' if len(wide) == 1 else 'hold'} float64, rounded to float32 to be searched"


def in_doubt(lengths: npt.NDArray[np.float64], metric: str) -> list[str]:
    """Return that ``metric`` may not be the one that is meant, with the setting for each that may be.

    ``lengths`` are those of vectors that are searched as they are though nobody said so. [] where they are
    of one length (zeros apart), since the metric changes nothing then.
    """
    lengths = lengths[np.isfinite(lengths) & (lengths > 0)]
    if not len(lengths) or np.ptp(lengths) <= ONE_LENGTH * lengths.max():
        return []
    by = {"l2": "by distance", "ip": "by inner product, which prefers long ones"}[metric]
    return [
        f"the vectors are searched as they are, {by} (index.metric={metric}), and their lengths vary "
        f"({lengths.min():.3g} to {lengths.max():.3g} in a sample of {len(lengths)}): if they should be "
        "compared by cosine, as most models' are, add dataset.normalize=true; if not, "
        "dataset.normalize=false says so"
    ]


def sampled_lengths(arrays: Sequence[Rows], seed: int = 0) -> npt.NDArray[np.float64]:
    """Return the lengths of a few rows of ``arrays`` (end to end): 256 at most, at seeded places.

    Of a compressed array, which has to be unpacked up to the row that is read, its first rows are taken.
    Memory: those rows. Lengths that float64 cannot hold are inf or nan.
    """
    starts = np.cumsum([0, *map(len, arrays)])
    count = max(1, min(ROWS_AT_A_PLACE, VALUES_AT_A_PLACE // arrays[0].shape[1]))
    places = np.random.default_rng(seed).integers(starts[-1], size=PLACES)
    rows = np.unique(np.minimum(places[:, None] + np.arange(count), starts[-1] - 1))
    found = [np.empty(0)]
    for array, start, stop in zip(arrays, starts[:-1], starts[1:], strict=True):
        here = rows[(rows >= start) & (rows < stop)] - start
        if not len(here):
            continue
        block = array.first(len(here)) if isinstance(array, CompressedRows) else array[here]
        with np.errstate(over="ignore", invalid="ignore"):
            found.append(np.linalg.norm(np.asarray(block, np.float64), axis=1))
        if isinstance(array, np.ndarray):
            release_pages(array)
    return np.concatenate(found)
