"""Tar shards in the layout of img2dataset 1.47, written by ``tarfile`` as the package webdataset does."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pyarrow
from PIL import Image
from pyarrow import parquet

from lookalike.datasets import open_dataset
from lookalike.datasets.sets import ImageSet
from lookalike.schemas import WebdatasetDataset
from lookalike.store.store import Store

WRITTEN = 1795360670.4489293
"""Seconds since 1970, and a fraction of one: it makes the writer put a pax header before each member."""


def jpeg(seed: int, size: tuple[int, int] = (12, 8)) -> bytes:
    """A picture of its own, encoded."""
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(noise).save(encoded, "JPEG")
    return encoded.getvalue()


def write_tar(
    path: Path, members: Iterable[tuple[str, bytes]], format: int = tarfile.PAX_FORMAT, mtime: float = WRITTEN
) -> Path:
    """A tar of regular files, as they come."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=format) as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime = len(content), 0o444, mtime  # type: ignore[assignment]
            member.uname = member.gname = "bigdata"
            tar.addfile(member, io.BytesIO(content))
    return path


def write_shard(
    folder: Path, number: int, keys: Iterable[int], failed: Mapping[int, str] | None = None
) -> Path:
    """``00000.tar`` with key.jpg, key.json and key.txt of each sample, in the order in which they came in.

    And ``00000.parquet``, which also has those that ``failed``, each with its status.
    """
    failed = failed or {}
    keys, members = list(keys), []
    for key in keys:
        name = f"{number:05}{key:04}"
        members += [
            (f"{name}.jpg", jpeg(1000 * number + key)),
            (f"{name}.json", b'{"status": "success"}'),
            (f"{name}.txt", f'photo "{key}",\tof shard {number}\u2028'.encode()),
        ]
    rows = [*failed, *keys]
    table = {
        "caption": [f"column {key} of {number}" for key in rows],
        "key": [f"{number:05}{key:04}" for key in rows],
        "status": [failed.get(key, "success") for key in rows],
        "error_message": ["HTTP Error 404: Not Found" if key in failed else None for key in rows],
        "width": [None if key in failed else 12 + key for key in rows],
    }
    path = write_tar(folder / f"{number:05}.tar", members)
    parquet.write_table(pyarrow.table(table), path.with_suffix(".parquet"))
    return path


def opened(root: Path | None, store: Store | None = None, **options: object) -> ImageSet:
    config = WebdatasetDataset(root=None if root is None else str(root), **options)  # type: ignore[arg-type]
    images = open_dataset(config, store=store)
    assert isinstance(images, ImageSet)
    return images


def write_two_shards(root: Path) -> Path:
    """Four images in two tars; two links failed."""
    write_shard(root, 0, [3, 0, 2], failed={1: "failed_to_download", 4: "failed_to_resize"})
    write_shard(root, 1, [0])
    return root
