"""A process that embeds a folder of images in small blocks: what the tests beside this file kill.

    python -m tests.faults.embedding_process STORE IMAGES [GATE]

It says `ready` before it embeds, then everything that a user would be told,
and in the end one line of JSON. With GATE, no image beyond the middle is read before that file exists.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

from PIL import Image

from lookalike import schemas
from lookalike.datasets import open_dataset
from lookalike.datasets.sets import ImageSet
from lookalike.embed.embedder import Embedder
from lookalike.embed.models import open_model
from lookalike.errors import UserError
from lookalike.progress import Progress
from lookalike.store.store import Store

BLOCK_ROWS = 64
MODEL = schemas.PixelsModel(side=4, batch_size=8, workers=2)


class Printing(Progress):
    """Tells what a user is told on standard output."""

    def say(self, line: str) -> None:
        print(line, flush=True)

    def warn(self, line: str) -> None:
        print(f"warning: {line}", flush=True)


def gated(images: ImageSet, gate: Path) -> ImageSet:
    """The same images, those of the second half only once ``gate`` exists."""

    def load(row: int) -> Image.Image:
        while row >= len(images) // 2 and not gate.exists():
            time.sleep(0.01)
        return images.load(row)

    return replace(images, load=load)


def main() -> None:
    """Embed and tell what the artifact is."""
    store, folder, *gate = map(Path, sys.argv[1:])
    images = open_dataset(schemas.FolderDataset(root=str(folder)))
    assert isinstance(images, ImageSet)
    progress = Printing()
    embedder = Embedder(
        open_model(MODEL),
        Store(store, progress=progress),
        batch_size=MODEL.batch_size,
        workers=MODEL.workers,
        progress=progress,
        block_rows=BLOCK_ROWS,
    )
    print("ready", flush=True)
    try:
        [artifact] = embedder.embed(gated(images, gate[0]) if gate else images).artifacts
    except UserError as error:
        print(f"error: {error}", flush=True)
        sys.exit(2)
    print(
        json.dumps(
            {
                "reused": artifact.reused,
                "reason": artifact.reason,
                "resumed": artifact.facts["resumed"],
                "path": str(artifact.path),
                "files": {name: entry["sha256"] for name, entry in artifact.manifest["files"].items()},
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    main()
