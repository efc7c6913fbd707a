"""Index files are written whole or not at all."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import faiss
import numpy as np
import pytest

from lookalike.errors import IndexingError
from lookalike.index.files import read_index, whole_file, write_index
from tests.index.galleries import D, clustered

GALLERY = clustered(3000)


def flat() -> faiss.IndexFlat:
    index = faiss.IndexFlatL2(D)
    index.add(GALLERY)
    return index


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("missing", [1, 100, 5_000, 100_000])
def test_bytes_that_cannot_be_written_are_an_error(missing: int, tmp_path: Path) -> None:
    write_index(flat(), tmp_path / "whole")
    size = (tmp_path / "whole").stat().st_size
    with (
        files_up_to(size - missing),
        pytest.raises(IndexingError, match="cannot be written \\(File too large"),
    ):
        write_index(flat(), tmp_path / "cut")
    with files_up_to(size):
        write_index(flat(), tmp_path / "fits")
    assert (tmp_path / "fits").read_bytes() == (tmp_path / "whole").read_bytes()


def test_faiss_writes_the_same_bytes(tmp_path: Path) -> None:
    write_index(flat(), tmp_path / "ours")
    faiss.write_index(flat(), str(tmp_path / "theirs"))
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


def test_a_file_takes_its_name_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "a.faiss"
    with whole_file(target) as place:
        write_index(flat(), place)
        assert not target.exists()
    assert read_index(target).ntotal == len(GALLERY)
    with pytest.raises(KeyboardInterrupt), whole_file(target) as place:
        place.write_bytes(b"half")
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["a.faiss"]
    assert read_index(target).ntotal == len(GALLERY), "what was there stays"


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    target = tmp_path / "a.faiss"
    with whole_file(target) as place:
        with pytest.raises(IndexingError, match="another process is writing"), whole_file(target):
            pass
        place.write_bytes(b"first")
    with whole_file(target) as place:
        place.write_bytes(b"second")
    assert target.read_bytes() == b"second"


KILLED = """
import os, signal, sys
from pathlib import Path
from lookalike.index.files import whole_file
with whole_file(Path(sys.argv[1])) as place:
    place.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_killed_writers_leave_one_file_that_the_next_one_takes(tmp_path: Path) -> None:
    target = tmp_path / "a.faiss"
    for _ in range(3):
        assert subprocess.run([sys.executable, "-c", KILLED, str(target)], check=False).returncode == -9
        assert len(list(tmp_path.iterdir())) == 1
        assert not target.exists()
    with whole_file(target) as place:
        write_index(flat(), place)
    assert [path.name for path in tmp_path.iterdir()] == ["a.faiss"]


def test_filling_takes_little_more_memory_than_the_index(tmp_path: Path) -> None:
    """In a process of its own, whose high-water mark is its own: 128 MB, filled from a mapped file."""
    vectors = np.lib.format.open_memmap(tmp_path / "v.npy", mode="w+", dtype=np.float32, shape=(62_500, 512))
    rng = np.random.default_rng(0)
    for start in range(0, len(vectors), 12_500):
        vectors[start : start + 12_500] = rng.standard_normal((12_500, 512), dtype=np.float32)
    vectors.flush()
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(tmp_path / "v.npy")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    peaks = dict(line.split() for line in done.stdout.splitlines())
    block = 16_384 * 512 * 4
    for factory, peak in peaks.items():
        assert vectors.nbytes < int(peak) < 1.05 * vectors.nbytes + 2 * block, (factory, peak)


MEASURED = """
import sys
import faiss, numpy as np
from lookalike.machine.environment import MemoryMeter, give_back_memory, threads
from lookalike.index.filling import fill
vectors = np.load(sys.argv[1], mmap_mode="r")
def blocks():
    for start in range(0, len(vectors), 16_384):
        yield start, vectors[start : start + 16_384]
for factory in ("IVF16,Flat", "Flat"):
    index = faiss.index_factory(512, factory)
    with threads(1):
        if factory != "Flat":
            index.train(np.array(vectors[:640]))
        index.search(np.array(vectors[:1]), 1)
        give_back_memory()
        with MemoryMeter() as before:
            pass
        with MemoryMeter() as meter:
            fill(index, blocks, len(vectors), factory)
    assert index.ntotal == len(vectors)
    print(factory, meter.peak_rss_bytes - before.peak_rss_bytes)
    del index
    give_back_memory()
"""
