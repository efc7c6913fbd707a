"""Blocks of freshly embedded rows: all that a killed extraction has to keep, all that it can lose one of."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lookalike.datasets import ImageSet, TextSet
from lookalike.embed.embeddings import Floats

BLOCK_ROWS = 1024


@dataclass(frozen=True)
class Block:
    """Vectors of some rows of a set, and the rows that have none, each with the reason."""

    vectors: Floats
    rows: Sequence[int]
    bad: Sequence[tuple[int, str]]

    def save(self, path: Path) -> None:
        """Write the block under its final name only when all of it is on disk."""
        unfinished = path.with_suffix(f".{os.getpid()}")
        with unfinished.open("wb") as file:
            np.savez(
                file,
                vectors=self.vectors,
                rows=np.array(self.rows, np.int64),
                bad=np.array(json.dumps(list(self.bad))),
            )
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)

    @classmethod
    def load(cls, path: Path) -> Block | None:
        """Read a block; None when there is none or not a whole one."""
        try:
            with np.load(path, allow_pickle=False) as saved:
                bad = [(int(row), str(reason)) for row, reason in json.loads(str(saved["bad"]))]
                return cls(saved["vectors"], saved["rows"].tolist(), bad)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None


def block_path(bench: Path, inputs: ImageSet | TextSet, rows: Sequence[int], batch_size: int) -> Path:
    """Where the block of these rows lies: named by all that shapes it, so none passes for another."""
    content = hashlib.sha256(str(batch_size).encode())
    for row in rows:
        content.update(f"{inputs.ids[row]}\0{inputs.fingerprints[row]}\0".encode())
    return bench / f"block-{content.hexdigest()[:24]}.npz"
