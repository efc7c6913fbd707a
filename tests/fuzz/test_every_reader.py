"""Whatever is done to a file, its reader gives what is there or one sentence: no traceback, no hang, no bomb.

The quick form takes some hundred mutations a format; ``-m slow`` takes thousands.
"""

from __future__ import annotations

import io
import json
import random
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet

from lookalike.datasets import open_dataset
from lookalike.datasets.formats.neighbours import open_neighbours
from lookalike.datasets.images import decode
from lookalike.datasets.sbu_captions import JSON_NAME, LINES_NAME, read_captions
from lookalike.datasets.sets import ImageSet, VectorSet
from lookalike.datasets.table import read_columns
from lookalike.datasets.usable import check_vectors
from lookalike.embed.models.checkpoint import is_whole_safetensors
from lookalike.errors import ImageError, UserError, printable
from lookalike.queries.judgements import read_judgements
from lookalike.schemas import EmbeddingsDataset, WebdatasetDataset
from tests.datasets.shards import write_shard
from tests.datasets.vector_worlds import (
    random_vectors,
    write_bin,
    write_csv,
    write_npz,
    write_packed_npz,
    write_vecs,
)
from tests.fuzz.mutations import mutated

QUICK, SLOW = 100, 4_000
MOST_BYTES = 256 << 20
"""What Python may hold while it reads files of some kilobytes."""


class Reader(NamedTuple):
    """A format: what its file is called, how a sound one is written, and what a run does with it."""

    name: str
    write: Callable[[Path], object]
    read: Callable[[Path], object]


def read_vectors(file: Path) -> None:
    vectors = open_dataset(EmbeddingsDataset(root=str(file)))
    assert isinstance(vectors, VectorSet)
    list(vectors.ids[:50])
    for start, block in vectors.blocks(64):
        check_vectors(block, start, vectors.location)
        if start > 4_000:
            break


def read_tars(file: Path) -> None:
    images = open_dataset(WebdatasetDataset(root=str(file), captions="caption", labels=".txt"))
    assert isinstance(images, ImageSet)
    for row in range(len(images)):
        try:
            images.load(row)
        except ImageError:
            continue


def write_table(file: Path) -> None:
    rows = "".join(f'"{row}.jpg","caption, of {row}",{row}\n' for row in range(40))
    file.write_text(f"path,caption,n\n{rows}", encoding="utf-8")


def write_parquet(file: Path) -> None:
    columns = {"path": [f"{row}.jpg" for row in range(200)], "caption": ["text", None] * 100}
    parquet.write_table(pyarrow.table(columns), file)


def write_captions(file: Path) -> None:
    file.write_text(json.dumps({"captions": ["one", "two"], "image_urls": ["a", "b"]}))


def write_safetensors(file: Path) -> None:
    header = json.dumps({"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()
    file.write_bytes(len(header).to_bytes(8, "little") + header + bytes(16))


def encoded(name: str) -> Callable[[Path], object]:
    def write(file: Path) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)
        content = io.BytesIO()
        Image.fromarray(noise).save(content, name)
        file.write_bytes(content.getvalue())

    return write


READERS = {
    "npy": Reader("v.npy", lambda file: np.save(file, random_vectors()), read_vectors),
    "npz": Reader("v.npz", lambda file: write_npz(file, random_vectors()), read_vectors),
    "packed npz": Reader("v.npz", lambda file: write_packed_npz(file, random_vectors()), read_vectors),
    "npz with ids": Reader(
        "v.npz",
        lambda file: np.savez(file, vectors=random_vectors(), ids=np.array([f"i{n}" for n in range(50)])),
        read_vectors,
    ),
    "fvecs": Reader("v.fvecs", lambda file: write_vecs(file, random_vectors()), read_vectors),
    "fbin": Reader("v.fbin", lambda file: write_bin(file, random_vectors()), read_vectors),
    "csv shard": Reader("v.csv", lambda file: write_csv(file, random_vectors()), read_vectors),
    "neighbours": Reader("n.npy", lambda file: np.save(file, np.arange(20).reshape(4, 5)), open_neighbours),
    "csv": Reader("t.csv", write_table, lambda file: read_columns(file, ["path", "caption"])),
    "parquet": Reader("t.parquet", write_parquet, lambda file: read_columns(file, ["path", "caption"])),
    "judgements": Reader(
        "t.csv",
        lambda file: file.write_text("query,relevant\n0,a.jpg\n1,b.jpg\n"),
        lambda file: read_judgements(file, ["0", "1"], ["a.jpg", "b.jpg"], None),
    ),
    "captions": Reader(LINES_NAME, lambda file: file.write_text("one\ntwo\n"), read_captions),
    "captions json": Reader(JSON_NAME, write_captions, read_captions),
    "safetensors": Reader("model.safetensors", write_safetensors, is_whole_safetensors),
    **{
        name: Reader(f"i.{name}", encoded(name), lambda file: decode(file, 10_000))
        for name in ("png", "jpeg", "gif", "webp", "bmp", "tiff", "ppm")
    },
}

ANYTHING_GOES = ("captions", "safetensors")
"""Lines of any bytes; an answer of yes or no."""


def damaged(reader: Reader, folder: Path, count: int, seed: int) -> Iterator[Path]:
    """The reader's file, ``count`` times, each time with other damage."""
    file = folder / reader.name
    reader.write(file)
    reader.read(file)
    content, dice = file.read_bytes(), random.Random(seed)
    for _ in range(count):
        file.write_bytes(mutated(content, dice))
        yield file


def check(kind: str, folder: Path, count: int, seed: int) -> None:
    reader, refused = READERS[kind], 0
    tracemalloc.start()
    for file in damaged(reader, folder, count, seed):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                reader.read(file)
        except UserError as error:
            refused += 1
            assert printable(str(error)) == str(error)
            assert len(str(error)) < 2_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refused or kind in ANYTHING_GOES, "or the mutations are too mild to prove anything"
    assert peak < MOST_BYTES


@pytest.mark.parametrize("kind", sorted(READERS))
def test_damaged_files_are_one_sentence_each(kind: str, tmp_path: Path) -> None:
    check(kind, tmp_path, QUICK, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("kind", sorted(READERS))
def test_many_damaged_files_are_one_sentence_each(kind: str, seed: int, tmp_path: Path) -> None:
    check(kind, tmp_path, SLOW, seed)


@pytest.mark.parametrize("part", ["00000.tar", "00000.parquet"])
def test_damaged_tars_and_their_tables_are_one_sentence_each(part: str, tmp_path: Path) -> None:
    write_shard(tmp_path, 0, range(3), failed={7: "failed_to_download"})
    file = tmp_path / part
    content, dice = file.read_bytes(), random.Random(0)
    for _ in range(QUICK):
        file.write_bytes(mutated(content, dice))
        try:
            read_tars(tmp_path)
        except UserError as error:
            assert printable(str(error)) == str(error)
