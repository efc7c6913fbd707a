"""Blocks of freshly embedded rows: a killed extraction keeps all but the one under way."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lookalike.datasets.sets import ImageSet, TextSet
from lookalike.embed.embeddings import Floats
from lookalike.errors import StoreError
from lookalike.progress import SILENT, Progress
from lookalike.store.files import atomic_write, read_json, write_json

BLOCK_ROWS = 1024


@dataclass(frozen=True)
class Block:
    """Vectors of some rows of a set, and the rows that have none, each with the reason."""

    vectors: Floats
    rows: Sequence[int]
    bad: Sequence[tuple[int, str]]
    hashes: Mapping[int, str] = field(default_factory=dict)
    """Row -> the content hash of its image, of those that have one; bad ones included."""

    def save(self, path: Path) -> None:
        """Write the block atomically and durably."""
        with atomic_write(path) as draft, draft.open("xb") as file:
            np.savez(
                file,
                vectors=self.vectors,
                rows=np.array(self.rows, np.int64),
                bad=np.array(json.dumps(list(self.bad))),
                hashes=np.array(json.dumps(list(self.hashes.items()))),
            )

    @classmethod
    def load(cls, path: Path) -> Block:
        """Read a block, whose checksums tell whether it is what was written.

        Raises FileNotFoundError when there is none, ValueError when it is damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as saved:
                bad = [(int(row), str(reason)) for row, reason in json.loads(str(saved["bad"]))]
                hashes = {int(row): str(digest) for row, digest in json.loads(str(saved["hashes"]))}
                return cls(saved["vectors"], saved["rows"].tolist(), bad, hashes)
        except FileNotFoundError:
            raise
        except Exception as error:  # a damaged header makes zipfile raise nearly anything
            raise ValueError(f"{path.name} is damaged") from error


@dataclass(frozen=True)
class StoredBlock:
    """A block on disk: all of it but the vectors, which are read when they are needed."""

    path: Path
    rows: npt.NDArray[np.int64]
    bad: Sequence[tuple[int, str]]
    hashes: Mapping[int, str] = field(default_factory=dict)

    def vectors(self) -> Floats:
        """One for each of ``rows``: float32, shape (n, dim). StoreError when they are no longer there."""
        try:
            return Block.load(self.path).vectors
        except (FileNotFoundError, ValueError) as error:
            raise StoreError(
                f"{self.path} was removed or damaged while a shard was put together from it; run it again"
            ) from error


class Checkpoints:
    """What an extraction keeps in the store to be resumed from: its blocks, and the batch size of them all.

    A block is named by all that shapes it, its rows' ids and fingerprints and the batch size, so that none
    passes for another.
    """

    def __init__(self, folder: Path, inputs: ImageSet | TextSet, progress: Progress = SILENT) -> None:
        self.folder, self.inputs, self.progress = folder, inputs, progress
        self._note = folder / "batch_size.json"

    def batch_size(self) -> int | None:
        """Return the batch size that an earlier attempt found; None when there is none that can be read."""
        try:
            return int(read_json(self._note))
        except (OSError, ValueError, TypeError):
            return None

    def keep_batch_size(self, size: int) -> None:
        """Write the batch size down for the process that resumes when this one is killed."""
        write_json(self._note, size)

    def find(self, rows: Sequence[int], batch_size: int) -> StoredBlock | None:
        """Return the block of these rows that an earlier attempt finished; warn if it is damaged: None."""
        path = self._path(rows, batch_size)
        try:
            block = Block.load(path)
        except FileNotFoundError:
            return None
        except ValueError as damage:
            self.progress.warn(f"{damage}; its {len(rows):,} rows are embedded again")
            return None
        return StoredBlock(path, np.array(block.rows, np.int64), block.bad, block.hashes)

    def keep(self, block: Block, rows: Sequence[int], batch_size: int) -> StoredBlock:
        """Write the block of ``rows``; raise OSError when that cannot be done."""
        path = self._path(rows, batch_size)
        block.save(path)
        return StoredBlock(path, np.array(block.rows, np.int64), block.bad, block.hashes)

    def _path(self, rows: Sequence[int], batch_size: int) -> Path:
        content = hashlib.sha256(str(batch_size).encode())
        for row in rows:
            content.update(f"{self.inputs.ids[row]}\0{self.inputs.fingerprints[row]}\0".encode())
        return self.folder / f"block-{content.hexdigest()[:24]}.npz"
