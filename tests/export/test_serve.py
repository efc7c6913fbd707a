"""serve.py answers, or says in one line why not: a file that was changed, a query that is none."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lookalike.export.model_files import STANDALONE

DIMENSIONS = 4


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """Eight vectors, as an exhaustive run of ready vectors is exported."""
    folder = tmp_path / "export"
    folder.mkdir()
    np.save(folder / "embeddings.npy", np.eye(8, DIMENSIONS, dtype=np.float32))
    (folder / "ids.jsonl").write_text("".join(json.dumps([str(n), ""]) + "\n" for n in range(8)))
    names = ("embeddings.npy", "ids.jsonl")
    settings = {
        "index": {"file": "embeddings.npy", "metric": "ip", "d": DIMENSIONS, "parameters": ""},
        "model": None,
        "normalize": True,
        "max_pixels": 100,
        "files": {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names},
    }
    (folder / "export.json").write_text(json.dumps(settings))
    (folder / "serve.py").write_bytes((STANDALONE / "serve.py").read_bytes())
    return folder


def serve(export: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", str(export / "serve.py"), *arguments],
        cwd=export.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def saved(export: Path, array: object) -> str:
    np.save(export.parent / "query.npy", np.asarray(array), allow_pickle=True)
    return "query.npy"


def test_a_vector_is_answered(export: Path) -> None:
    done = serve(export, "--k", "2", saved(export, [[0, 3.0, 0, 0]]))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0].split("\t")[:3] == ["1", "1", "1"]


@pytest.mark.parametrize("name", ["embeddings.npy", "ids.jsonl"])
def test_a_file_that_was_changed_is_not_served(export: Path, name: str) -> None:
    content = bytearray((export / name).read_bytes())
    content[-2] ^= 1
    (export / name).write_bytes(content)
    done = serve(export, saved(export, [[0, 1.0, 0, 0]]))
    assert done.returncode == 1 and done.stdout == ""
    assert f"{name} is not the file that was exported; copy the export again" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("array", "said"),
    [
        ([[np.nan, 0, 0, 0]], "NaN or infinity"),
        ([[np.inf, 0, 0, 0]], "NaN or infinity"),
        ([[0.0, 0, 0, 0]], "all zeros"),
        (np.zeros((0, 4)), "its shape is (0, 4); give vectors of 4 dimensions"),
        ([[1.0, 2, 3]], "its shape is (1, 3)"),
        (3.0, "its shape is ()"),
        (["cat"], "not a .npy file of numbers"),
        ([{"a": 1}], "it is not a .npy file ("),
    ],
)
def test_a_vector_that_is_none_is_one_line(export: Path, array: object, said: str) -> None:
    done = serve(export, saved(export, array))
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("query.npy: ") and said in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("k", ["-3", "0"])
def test_k_is_one_or_more(export: Path, k: str) -> None:
    done = serve(export, "--k", k, saved(export, [[0, 1.0, 0, 0]]))
    assert done.returncode == 2 and f"--k {k} is too small; give 1 or more" in done.stderr


@pytest.mark.parametrize("name", ["pipe", "pipe.npy", "folder.npy"])
def test_what_is_no_file_is_not_waited_for(export: Path, name: str) -> None:
    place = export.parent / name
    place.mkdir() if name.startswith("folder") else os.mkfifo(place)
    done = serve(export, name)
    assert done.returncode == 1 and "it is not a regular file" in done.stderr


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"PK\x03\x04 no zip", b"words"])
def test_a_damaged_file_is_one_line(export: Path, content: bytes) -> None:
    (export.parent / "query.npy").write_bytes(content)
    done = serve(export, "query.npy")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("query.npy: it is not a .npy file")
