"""One shard as an artifact: ``embeddings.npy``, ``metadata.parquet`` (its ids), ``bad.json`` (the ledger).

Ready vectors that can be searched where they lie are not copied: their artifact has no ``embeddings.npy``,
but, among its facts, the places in the files that it stands for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lookalike.datasets.fingerprints import (
    EMBEDDED_KINDS,
    LEDGER,
    METADATA,
    content_of,
)
from lookalike.datasets.sets import ImageSet, TextSet, VectorSet
from lookalike.datasets.usable import check_vectors
from lookalike.embed.blocks import BLOCK_ROWS, StoredBlock
from lookalike.embed.embeddings import BadImage, Floats
from lookalike.errors import DatasetError
from lookalike.machine.mapping import Place, map_floats, place_of, release_pages
from lookalike.progress import Progress
from lookalike.store.artifact import Artifact
from lookalike.store.files import new_array, write_json
from lookalike.store.recipe import Recipe

EMBEDDINGS_VERSION = 2
KINDS = EMBEDDED_KINDS
"""Of the gallery, and of the queries; rows are copied from either."""
NEUTRAL: Mapping[str, Any] = {}
"""Parameters that came after version 2, and their values at which nothing is done."""
VECTORS = "embeddings.npy"
PLACES = "places.json"
"""Where files that are used in place were found since; no part of what was published."""

MOST_PLACES = 8
"""That are remembered of one artifact."""
READ_ROWS = 16 * BLOCK_ROWS
"""Ready vectors that are read, checked and written at a time."""
UNIT_TOLERANCE = 1e-5
"""Vectors with lengths this close to 1 are used as they are: so far off may a sum in float32 be."""


def shard_recipe(
    kind: str, inputs: ImageSet | TextSet | VectorSet, model_recipe: Mapping[str, Any]
) -> Recipe:
    """What makes this shard this shard: the model's recipe, and every row's id and fingerprint in order.

    ``kind`` is one of :data:`KINDS`; they differ in what they are called and in nothing else. A parameter
    that does nothing (None, or as in :data:`NEUTRAL`) is no part of it: keys outlive parameters that are
    added later. Neither is the place of the files, see :mod:`lookalike.datasets.fingerprints`.
    """
    content = content_of(inputs.ids, inputs.fingerprints)
    parameters = {**shaping(model_recipe), "rows": len(inputs), "content": content}
    return Recipe(kind, EMBEDDINGS_VERSION, parameters, {})


def shaping(model_recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that do something."""
    return {
        name: value
        for name, value in model_recipe.items()
        if value is not None and not (name in NEUTRAL and NEUTRAL[name] == value)
    }


@dataclass(frozen=True)
class Copies:
    """Rows that other artifacts of the same recipe already hold."""

    rows: Sequence[int]
    """Rows of the set."""
    source: Path
    """The ``embeddings.npy`` that holds them."""
    there: Sequence[int]
    """Their rows in it."""
    hashes: Sequence[str] = ()
    """Their content hashes, where they are images."""


def files_of(vectors: VectorSet) -> list[dict[str, str]]:
    """The files that the set's rows are in: name and fingerprint of each."""
    if not len(vectors):
        return []
    arrays, _ = vectors.stored_rows(0, len(vectors))
    return [
        {
            "name": Path(vectors.files[array]).name,
            "file": vectors.files[array],
            "fingerprint": vectors.file_fingerprints[array],
        }
        for array in np.unique(arrays).tolist()
    ]


def write_shard(
    inputs: ImageSet | TextSet,
    copies: Sequence[Copies],
    blocks: Sequence[StoredBlock],
    dim: int,
    draft: Path,
) -> int:
    """Put copied rows and blocks together in the set's order; returns how many vectors that makes.

    Memory: one block of vectors, however many there are.
    """
    rows = [np.array(copy.rows, np.int64) for copy in copies] + [block.rows for block in blocks]
    order = np.sort(np.concatenate(rows))
    vectors = _open(draft, len(order), dim)
    for block in blocks:
        vectors[np.searchsorted(order, block.rows)] = block.vectors()
        release_pages(vectors)
    for copy in copies:
        source = np.load(copy.source, mmap_mode="r", allow_pickle=False)
        places = np.searchsorted(order, copy.rows)
        for start in range(0, len(places), READ_ROWS):
            part = slice(start, start + READ_ROWS)
            vectors[places[part]] = source[list(copy.there[part])]
            release_pages(source)
            release_pages(vectors)
    vectors.flush()
    hashes = {row: content for block in blocks for row, content in block.hashes.items()}
    for copy in copies:
        hashes |= dict(zip(copy.rows, copy.hashes, strict=False))
    _write_metadata(inputs, order.tolist(), draft, hashes)
    _write_ledger(inputs, sorted(entry for block in blocks for entry in block.bad), draft, hashes)
    return len(order)


def write_vectors(
    inputs: VectorSet, draft: Path, title: str, progress: Progress, file_hash: Callable[[Path], str]
) -> dict[str, Any]:
    """Check ready vectors; keep them as float32, at unit length where the dataset's config says so.

    Files that hold just that are not copied; the facts then have ``in_place`` and ``parts``: each part's file
    with its size and mtime_ns, the byte where its rows begin and how many they are. ``files``: what the
    vectors were read from, each with its fingerprint and the SHA-256 that ``file_hash`` gives.
    ``unit_length``: whether all vectors are kept at unit length; ``zeros``: how many are all zeros. Memory:
    one block.
    """
    facts: dict[str, Any] = {"vectors": len(inputs)}
    parts = inputs.mapped_parts() or []
    described = [_describe_part(part) for part in parts]  # before the check: what changes later shows
    lengths = _check_parts(inputs, parts, title, progress) if parts else None
    if lengths is not None:
        facts |= {"in_place": True, "dim": inputs.dim, "parts": described}
    else:
        lengths = _convert(inputs, draft, title, progress)
    facts |= {"unit_length": inputs.normalize or lengths.all_one, "zeros": lengths.zeros}
    facts["files"] = [
        {
            "name": file["name"],
            "fingerprint": file["fingerprint"],
            "sha256": file_hash(Path(file["file"])) if Path(file["file"]).is_file() else "",
        }
        for file in files_of(inputs)
    ]
    _write_metadata(inputs, range(len(inputs)), draft, {})
    _write_ledger(inputs, [], draft, {})
    return facts


def open_vectors(artifact: Artifact) -> list[Floats]:
    """Memory maps of a shard's vectors, end to end: of its own file, or of those that it uses in place.

    Raises DatasetError when one of these is gone or no longer what was checked.
    """
    if not artifact.facts.get("in_place"):
        return [np.load(artifact.file(VECTORS), mmap_mode="r", allow_pickle=False)]
    parts: Sequence[Mapping[str, Any]] = artifact.facts["parts"]
    chosen = next((place for place in _places(artifact) if all(map(_is_there, place))), parts)
    return [_open_part(part, artifact.facts["dim"]) for part in chosen]


def remember_places(artifact: Artifact, inputs: VectorSet) -> None:
    """Keep where the files that ``artifact`` uses in place lie now, so that it can be opened without them.

    They may have been moved, copied or mounted elsewhere since it was published; their contents are the same.
    """
    if not artifact.facts.get("in_place"):
        return
    now = [_describe_part(part) for part in inputs.mapped_parts() or []]
    known = _places(artifact)
    if now and now not in known:
        with suppress(OSError):  # a store that may only be read is used all the same
            write_json(artifact.path / PLACES, [now, *known[1:]][:MOST_PLACES])


def _places(artifact: Artifact) -> list[Sequence[Mapping[str, Any]]]:
    """What the artifact uses in place: as published, then where it was found since, the newest first."""
    parts: Sequence[Mapping[str, Any]] = artifact.facts["parts"]
    shapes = [(part["offset"], part["rows"], part["bytes"]) for part in parts]
    try:
        found = json.loads((artifact.path / PLACES).read_bytes())
        return [
            parts,
            *(
                place
                for place in found
                if [(part["offset"], part["rows"], part["bytes"]) for part in place] == shapes
            ),
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return [parts]


def _is_there(part: Mapping[str, Any]) -> bool:
    try:
        status = Path(part["file"]).stat()
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == (part["bytes"], part["mtime_ns"])


@dataclass
class _Lengths:
    """Of the vectors that were seen."""

    all_one: bool = True
    """Whether each has unit length."""
    zeros: int = 0

    def see(self, squares: npt.NDArray[np.float64]) -> None:
        """Take note of the squared lengths of some vectors."""
        self.all_one &= not (np.abs(np.sqrt(squares) - 1) > UNIT_TOLERANCE).any()
        self.zeros += int((squares == 0).sum())


def _check_parts(
    inputs: VectorSet, parts: Sequence[Floats], title: str, progress: Progress
) -> _Lengths | None:
    """Check all vectors where they lie; None as soon as one has to be scaled."""
    row, lengths = 0, _Lengths()
    with progress.bar(f"checking {title}", len(inputs), "vectors") as bar:
        for part in parts:
            for start in range(0, len(part), READ_ROWS):
                block = part[start : start + READ_ROWS]
                lengths.see(check_vectors(block, row, inputs.location, inputs.normalize))
                release_pages(block)
                if inputs.normalize and not lengths.all_one:
                    return None
                row += len(block)
                bar.advance(len(block))
    return lengths


def _convert(inputs: VectorSet, draft: Path, title: str, progress: Progress) -> _Lengths:
    """Write all vectors as float32, scaled where they are to be."""
    seen = _Lengths()
    vectors = _open(draft, len(inputs), inputs.dim)
    with progress.bar(f"reading {title}", len(inputs), "vectors") as bar:
        for start, block in inputs.blocks(READ_ROWS):
            squares = check_vectors(block, start, inputs.location, inputs.normalize)
            seen.see(squares)
            lengths = np.sqrt(squares)[:, None] if inputs.normalize else 1
            np.divide(block, lengths, out=vectors[start : start + len(block)], casting="same_kind")
            release_pages(vectors)
            bar.advance(len(block))
    vectors.flush()
    return seen


def _describe_part(part: Floats) -> dict[str, Any]:
    place = place_of(part)
    assert place is not None, "VectorSet.mapped_parts gives mapped arrays only"
    status = place.file.stat()
    return {
        "file": str(place.file.resolve()),
        "bytes": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        "offset": place.offset,
        "rows": len(part),
    }


def _open_part(part: Mapping[str, Any], dim: int) -> Floats:
    file = Path(part["file"])
    cure = "put it back as it was, or run the experiment again with what is there now"
    try:
        status = file.stat()
        if (status.st_size, status.st_mtime_ns) == (part["bytes"], part["mtime_ns"]):
            return map_floats(Place(file, part["offset"]), (part["rows"], dim))
    except OSError as error:
        reason = "is gone" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        raise DatasetError(f"{file}, whose vectors are used in place, {reason}; {cure}") from error
    raise DatasetError(f"{file}, whose vectors are used in place, has changed since it was checked; {cure}")


def read_ledger(artifact: Artifact) -> list[tuple[int, BadImage]]:
    """The shard's bad images, each with its row in the shard."""
    ledger = json.loads(artifact.file(LEDGER).read_text(encoding="utf-8"))
    return [(row, BadImage(identity, location, reason)) for row, identity, location, reason, *_ in ledger]


def _open(draft: Path, rows: int, dim: int) -> np.memmap[Any, np.dtype[np.float32]]:
    return new_array(draft / VECTORS, np.float32, (rows, dim))


def _write_metadata(
    inputs: ImageSet | TextSet | VectorSet, rows: Iterable[int], draft: Path, hashes: Mapping[int, str]
) -> None:
    """Ids beside the vectors, in the layout that clip-retrieval, autofaiss and embedding-reader read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    order, ids, fingerprints = list(rows), list(inputs.ids), list(inputs.fingerprints)
    columns = {
        "id": [ids[row] for row in order],
        "fingerprint": [fingerprints[row] for row in order],
    }
    if hashes:
        columns["sha256"] = [hashes.get(row, "") for row in order]
    pq.write_table(pa.table(columns), draft / METADATA)


def _write_ledger(
    inputs: ImageSet | TextSet | VectorSet,
    bad: Sequence[tuple[int, str]],
    draft: Path,
    hashes: Mapping[int, str],
) -> None:
    """Row, id, location and reason of each bad image, its fingerprint and its content hash."""
    ledger = [
        [row, inputs.ids[row], inputs.locations[row], reason, inputs.fingerprints[row], hashes.get(row, "")]
        for row, reason in bad
    ]
    (draft / LEDGER).write_text(json.dumps(ledger, ensure_ascii=False), encoding="utf-8")
