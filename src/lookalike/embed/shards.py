"""One shard as an artifact: ``embeddings.npy``, ``metadata.parquet`` (its ids), ``bad.json`` (the ledger)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from lookalike.datasets import ImageSet, TextSet, VectorSet, check_vectors
from lookalike.embed.blocks import BLOCK_ROWS, Block
from lookalike.embed.embeddings import BadImage
from lookalike.progress import Progress
from lookalike.store import Artifact, Recipe, Store
from lookalike.store.files import new_array

EMBEDDINGS_VERSION = 1
KINDS = ("embeddings", "queries")
"""Of the gallery, and of the queries; rows are copied from either."""
VECTORS = "embeddings.npy"
METADATA = "metadata.parquet"
LEDGER = "bad.json"


def shard_recipe(
    kind: str, inputs: ImageSet | TextSet | VectorSet, model_recipe: Mapping[str, Any]
) -> Recipe:
    """What makes this shard this shard: the model's recipe, and every row's id and fingerprint in order.

    ``kind`` is one of :data:`KINDS`; they differ in what they are called and in nothing else.
    """
    content = hashlib.sha256()
    for identity, fingerprint in zip(inputs.ids, inputs.fingerprints, strict=True):
        content.update(f"{identity}\0{fingerprint}\0".encode())
    parameters = {**model_recipe, "rows": len(inputs), "content": content.hexdigest()}
    return Recipe(kind, EMBEDDINGS_VERSION, parameters, {})


@dataclass(frozen=True)
class Copies:
    """Rows that other artifacts of the same recipe already hold."""

    rows: Sequence[int]
    """Rows of the set."""
    source: Path
    """The ``embeddings.npy`` that holds them."""
    there: Sequence[int]
    """Their rows in it."""


def find_copies(store: Store, model_recipe: Mapping[str, Any], inputs: ImageSet | TextSet) -> list[Copies]:
    """What need not be embedded again, at most one source for each row."""
    import pyarrow.parquet as pq

    wanted = {pair: row for row, pair in enumerate(zip(inputs.ids, inputs.fingerprints, strict=True))}
    found = []
    for artifact in chain.from_iterable(map(store.usable, KINDS)):
        if not wanted:
            break
        parameters = artifact.manifest["parameters"]
        same_model = {
            **model_recipe,
            "rows": parameters["rows"],
            "content": parameters["content"],
        } == parameters
        if not same_model or artifact.manifest["version"] != EMBEDDINGS_VERSION:
            continue
        table = pq.read_table(artifact.file(METADATA), columns=["id", "fingerprint"])
        pairs = zip(table["id"].to_pylist(), table["fingerprint"].to_pylist(), strict=True)
        matches = [(wanted.pop(pair), there) for there, pair in enumerate(pairs) if pair in wanted]
        if matches:
            rows, there = zip(*matches, strict=True)
            found.append(Copies(rows, artifact.file(VECTORS), there))
    return found


def write_shard(
    inputs: ImageSet | TextSet, copies: Sequence[Copies], blocks: Sequence[Path], dim: int, draft: Path
) -> int:
    """Put copied rows and blocks together in the set's order; returns how many vectors that makes."""
    loaded = [block for block in map(Block.load, blocks) if block is not None]
    order = np.sort(
        np.concatenate([[], *(c.rows for c in copies), *(b.rows for b in loaded)]).astype(np.int64)
    )
    vectors = _open(draft, len(order), dim)
    for block in loaded:
        vectors[np.searchsorted(order, block.rows)] = block.vectors
    for copy in copies:
        source = np.load(copy.source, mmap_mode="r", allow_pickle=False)
        vectors[np.searchsorted(order, copy.rows)] = source[list(copy.there)]
    vectors.flush()
    _write_metadata(inputs, order.tolist(), draft)
    _write_ledger(inputs, sorted(entry for block in loaded for entry in block.bad), draft)
    return len(order)


def write_vectors(inputs: VectorSet, draft: Path, title: str, progress: Progress) -> dict[str, Any]:
    """Check ready vectors and keep them as float32, at unit length where the dataset's config says so."""
    vectors = _open(draft, len(inputs), inputs.dim)
    with progress.bar(f"reading {title}", len(inputs), "vectors") as bar:
        for start, block in inputs.blocks(16 * BLOCK_ROWS):
            check_vectors(block, start, inputs.location)
            lengths = np.linalg.norm(block, axis=1, keepdims=True) if inputs.normalize else 1
            vectors[start : start + len(block)] = block / lengths
            bar.advance(len(block))
    vectors.flush()
    _write_metadata(inputs, range(len(inputs)), draft)
    _write_ledger(inputs, [], draft)
    return {"vectors": len(inputs)}


def read_ledger(artifact: Artifact) -> list[tuple[int, BadImage]]:
    """The shard's bad images, each with its row in the shard."""
    ledger = json.loads(artifact.file(LEDGER).read_text(encoding="utf-8"))
    return [(row, BadImage(identity, location, reason)) for row, identity, location, reason in ledger]


def _open(draft: Path, rows: int, dim: int) -> np.memmap[Any, np.dtype[np.float32]]:
    return new_array(draft / VECTORS, np.float32, (rows, dim))


def _write_metadata(inputs: ImageSet | TextSet | VectorSet, rows: Iterable[int], draft: Path) -> None:
    """Ids beside the vectors, in the layout that clip-retrieval, autofaiss and embedding-reader read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    order = list(rows)
    columns = {
        "id": [inputs.ids[row] for row in order],
        "fingerprint": [inputs.fingerprints[row] for row in order],
    }
    pq.write_table(pa.table(columns), draft / METADATA)


def _write_ledger(
    inputs: ImageSet | TextSet | VectorSet, bad: Sequence[tuple[int, str]], draft: Path
) -> None:
    ledger = [[row, inputs.ids[row], inputs.locations[row], reason] for row, reason in bad]
    (draft / LEDGER).write_text(json.dumps(ledger, ensure_ascii=False), encoding="utf-8")
