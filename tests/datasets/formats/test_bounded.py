"""Index and HDF5 files are first opened by a child that may crash, hang or run out of memory."""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from lookalike.datasets.formats.bounded import CHILD, read_in_child_first
from lookalike.datasets.formats.formats import check_files, open_vector_file
from lookalike.datasets.formats.neighbours import open_neighbours
from lookalike.errors import DatasetError
from lookalike.export.vectors.bundle import bundle_of_files
from lookalike.machine.processes import run_module
from lookalike.queries import plan_queries
from lookalike.schemas import EmbeddingsDataset, VectorsQueries
from tests.datasets.vector_worlds import opened, random_vectors, write_hdf5, write_index, written
from tests.fuzz.mutations import mutated


class Child:
    """Stands for the process: answers for some files, then ends as it is told."""

    def __init__(self, answers: int, code: int) -> None:
        self.answers, self.code = answers, code
        self.asked: list[list[str]] = []

    def __call__(self, module: str, *, input_text: str, **_: Any) -> subprocess.CompletedProcess[str]:
        assert module == CHILD
        self.asked.append(json.loads(input_text)["files"])
        out = '{"fault": null}\n' * min(self.answers, len(self.asked[-1]))
        return subprocess.CompletedProcess([], self.code, out, "")


@pytest.mark.parametrize(("code", "reason"), [(-11, "ended in SIGSEGV"), (-9, "more time or memory")])
def test_the_file_that_ends_the_child_is_named_and_the_others_are_not_read_again(
    code: int, reason: str, tmp_path: Path
) -> None:
    files = [tmp_path / f"{name}.faiss" for name in "abc"]
    for file in files:
        file.write_bytes(b"x" * 100)
    with pytest.raises(DatasetError, match=rf"b.faiss is not a readable FAISS index \(.*{reason}"):
        read_in_child_first(files, "faiss", run=Child(1, code))
    again = Child(9, 0)
    read_in_child_first(files, "faiss", run=again)
    read_in_child_first(files, "faiss", run=again)
    assert again.asked == [[str(file) for file in files[1:]]]
    files[0].write_bytes(b"y" * 101)
    read_in_child_first(files, "faiss", run=again)
    assert again.asked[1:] == [[str(files[0])]], "it changed"


def test_a_child_that_hangs_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(b"x")

    def hang(*arguments: Any, **options: Any) -> subprocess.CompletedProcess[str]:
        raise subprocess.TimeoutExpired([], options["timeout_seconds"])

    with pytest.raises(
        DatasetError, match=r"a.h5 is not a readable HDF5 file \(reading it does not end within"
    ):
        read_in_child_first([tmp_path / "a.h5"], "hdf5", run=hang)


def write_bomb(file: Path, texts: int = 20_000, text_bytes: int = 60_000) -> None:
    """An HDF5 whose every id is the same long text, stored once: 0.4 MB that unfold to 1.2 GB."""
    with h5py.File(file, "w") as root:
        root["train"] = random_vectors()
        ids = root.create_dataset("ids", (texts,), h5py.string_dtype())
        ids[0], ids[1:] = "x" * text_bytes, [""] * (texts - 1)
        offset = ids.id.get_offset()
    content = bytearray(file.read_bytes())
    content[offset : offset + 16 * texts] = bytes(content[offset : offset + 16]) * texts
    file.write_bytes(content)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds a process's address space")
def test_a_small_hdf5_that_unfolds_to_gigabytes_is_refused_and_costs_us_nothing(tmp_path: Path) -> None:
    write_bomb(tmp_path / "v.hdf5")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DatasetError, match="takes more memory than its size explains"):
        opened(tmp_path / "v.hdf5")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000, "KiB"


def test_what_else_a_sound_hdf5_holds_is_no_fault_of_it(tmp_path: Path) -> None:
    write_hdf5(tmp_path / "v.hdf5", random_vectors())
    with h5py.File(tmp_path / "v.hdf5", "a") as file:
        file["nothing"] = h5py.Empty("f4")
        file["group/inner"] = 1
        file["opaque"] = np.array([b"ab"], "V2")
        file.attrs["nothing"] = h5py.Empty("f4")
    assert len(opened(tmp_path / "v.hdf5")) == 50


def test_every_way_to_such_a_file_goes_through_the_child(tmp_path: Path) -> None:
    """The child refuses what HDF5 or FAISS cannot read, in words that only it uses."""
    for name, magic in (("v.hdf5", b"\x89HDF\r\n\x1a\n"), ("v.faiss", b"IxFI")):
        (tmp_path / name).write_bytes(magic + bytes(200))
    write_hdf5(tmp_path / "sound.hdf5", random_vectors())
    gallery = opened(tmp_path / "sound.hdf5")
    words = "copy it again, or write it again"
    with pytest.raises(DatasetError, match=words):
        opened(tmp_path / "v.hdf5")
    with pytest.raises(DatasetError, match=words):
        open_neighbours(tmp_path / "v.hdf5")
    with pytest.raises(DatasetError, match=words):
        bundle_of_files(EmbeddingsDataset(root=str(tmp_path / "v.hdf5")))
    with pytest.raises(Exception, match=words):
        plan_queries(VectorsQueries(file=str(tmp_path / "v.hdf5")), gallery)


@pytest.mark.parametrize("format_", ["faiss", "hdf5"])
def test_damaged_files_never_end_this_process(format_: str, tmp_path: Path) -> None:
    """Some that the child survives are read here, too."""
    kind = {"faiss": "ivf index", "hdf5": "packed hdf5"}[format_]
    content, dice = written(kind, tmp_path, random_vectors(200)).read_bytes(), random.Random(0)
    files = [tmp_path / f"{number}.{format_}" for number in range(6)]
    for file in files:
        file.write_bytes(mutated(content, dice))
    refused = 0
    try:
        check_files(files, format_, None)
    except DatasetError:
        refused += 1
    for file in files:
        try:
            rows = open_vector_file(file).rows
            assert np.asarray(rows[0 : min(len(rows), 500)]).ndim == 2
        except DatasetError:
            refused += 1
    assert refused


def test_a_sound_file_is_read_by_a_real_child(tmp_path: Path) -> None:
    write_index(tmp_path / "v.faiss", random_vectors(), "IVF4,Flat")
    task = {
        "files": [str(tmp_path / "v.faiss")],
        "format": "faiss",
        "array": None,
        "bytes": 10_000,
        "cpu_seconds": 20,
    }
    done = run_module(CHILD, input_text=json.dumps(task))
    assert (done.returncode, done.stdout) == (0, '{"fault": null}\n'), done.stderr
