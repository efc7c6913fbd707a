"""What is exported answers as the run did, in a Python without Lookalike."""

from __future__ import annotations

import errno
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from lookalike.cli import main
from lookalike.errors import UserError
from lookalike.export.exporting import _decoding, export_run
from lookalike.index.families.brute_force import BruteForceIndex
from lookalike.index.families.factory import FactoryIndex
from lookalike.index.families.flat import FlatIndex
from lookalike.index.families.hnsw import HnswIndex
from lookalike.index.families.ivf_flat import IvfFlatIndex
from lookalike.index.families.ivf_pq_fastscan_refine import IvfPqFastscanRefineIndex
from lookalike.index.families.opq_ivf_pq import OpqIvfPqIndex
from lookalike.runs.opener import FinishedRun, open_finished
from lookalike.schemas import (
    EfficientNetLite0Model,
    EmbeddingsDataset,
    FolderDataset,
    PixelsModel,
    TransformersModel,
    VectorsQueries,
)
from tests.checkpoints import make_tiny_siglip
from tests.export.bare import BarePython
from tests.runs.runs import finished, painted

CAPTION = "a red house"


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> BarePython:
    return BarePython(tmp_path_factory.mktemp("bare") / "venv")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 pictures, and two images to ask for: one turned by its EXIF, one half transparent."""
    root = tmp_path_factory.mktemp("world")
    pictures = painted(root / "pictures", 300)
    turned = Image.open(pictures / "007.png").crop((4, 2, 44, 40))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(root / "turned.jpg", quality=40, exif=exif)
    clear = Image.open(pictures / "100.png").convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(clear.size))
    clear.save(root / "clear.png")
    return root


def opened(root: Path) -> FinishedRun:
    return open_finished(root=root)


def exported(root: Path, pictures: Path, copy_weights: bool = False, **changes: Any) -> Path:
    finished(root, pictures, **changes)
    folder = root / "shipped" / "run"
    export_run(opened(root), folder, copy_weights)
    return folder


def served(bare: BarePython, folder: Path, *queries: str) -> list[tuple[int, str, float, str]]:
    """What serve.py prints, by a Python without Lookalike, from a folder of nobody."""
    done = bare.run(str(folder / "serve.py"), "--k", "6", *queries, cwd=folder.parent)
    assert done.returncode == 0, done.stderr
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    return [(int(row), id_, float(score), location) for row, id_, score, location in lines]


def own_answer(root: Path, *queries: str) -> list[tuple[int, str, float, str]]:
    run = open_finished(root=root)
    found = []
    for query in queries:
        if query == CAPTION:
            vector = run.embed_text(query)
        else:
            from lookalike.datasets.images import decode

            vector = run.embed(decode(Path(query), 10**6))
        hits = run.search(vector, 6)
        for row, id_, score in zip(hits.rows.tolist(), hits.ids, hits.scores.tolist(), strict=True):
            found.append((row, id_, score, run.gallery.locations[row]))
    return found


def assert_same(found: list[tuple[int, str, float, str]], own: list[tuple[int, str, float, str]]) -> None:
    assert [(row, id_, location) for row, id_, _, location in found] == [(r, i, at) for r, i, _, at in own]
    np.testing.assert_allclose([hit[2] for hit in found], [hit[2] for hit in own], rtol=1e-4, atol=1e-5)


def test_the_bare_python_has_no_lookalike(bare: BarePython, tmp_path: Path) -> None:
    assert bare.run("-c", "import faiss, numpy", cwd=tmp_path).returncode == 0
    refused = bare.run("-c", "import lookalike", cwd=tmp_path)
    assert "there is no lookalike here" in refused.stderr


INDEXES = {
    "brute_force": BruteForceIndex(),
    "brute_force_ip": BruteForceIndex(metric="ip"),
    "ivf": IvfFlatIndex(nlist=16, point={"nprobe": 3}),
    "hnsw": HnswIndex(hnsw_m=4, ef_construction=4, point={"ef_search": 2}),
    "refined": IvfPqFastscanRefineIndex(nlist=4, pq_m=16, point={"nprobe": 2, "k_factor": 3}),
    "rotated": OpqIvfPqIndex(nlist=4, pq_m=8, pq_bits=4, opq_d=32, point={"nprobe": 2}),
    "coarse_graph": FactoryIndex(factory="IVF16_HNSW4,Flat", point={"nprobe": 3, "ef_search": 4}),
}


@pytest.mark.parametrize("name", INDEXES)
def test_every_kind_of_index(bare: BarePython, world: Path, tmp_path: Path, name: str) -> None:
    model = PixelsModel(side=8)
    folder = exported(tmp_path, world / "pictures", index=INDEXES[name], model=model)
    queries = [str(world / "turned.jpg"), str(world / "clear.png")]
    assert_same(served(bare, folder, *queries), own_answer(tmp_path, *queries))
    assert (folder / "index.faiss").exists() != name.startswith("brute_force")


def test_the_settings_of_the_point_count(bare: BarePython, world: Path, tmp_path: Path) -> None:
    """Or the test above would prove nothing: with FAISS's own settings the answer is another one."""
    model = PixelsModel(side=8)
    folder = exported(tmp_path, world / "pictures", index=INDEXES["ivf"], model=model)
    settings = json.loads((folder / "export.json").read_text())
    assert settings["index"]["settings"] == {"nprobe": 3}
    query = str(world / "clear.png")
    before = served(bare, folder, query)
    settings["index"]["parameters"] = ""
    (folder / "export.json").write_text(json.dumps(settings))
    assert served(bare, folder, query) != before


def test_siglip_by_reference_and_copied(bare: BarePython, world: Path, tmp_path: Path) -> None:
    checkpoint = make_tiny_siglip(tmp_path / "siglip")
    dataset = FolderDataset(root=str(world / "pictures"), limit=40)
    model = TransformersModel(name_or_path=str(checkpoint))
    folder = exported(tmp_path, world / "pictures", dataset=dataset, model=model, index=FlatIndex())
    queries = [str(world / "turned.jpg"), str(world / "clear.png"), CAPTION]
    own = own_answer(tmp_path, *queries)
    assert_same(served(bare, folder, *queries), own)
    settings = json.loads((folder / "export.json").read_text())["model"]
    assert settings["name_or_path"] == str(checkpoint)
    assert settings["weights"]["model.safetensors"]
    assert settings["processor"]["size"] == {"height": 32, "width": 32}

    alone = tmp_path / "alone"
    export_run(opened(tmp_path), alone, copy_weights=True)
    checkpoint.rename(tmp_path / "moved away")
    assert_same(served(bare, alone, *queries), own)


def test_efficientnet_lite0_comes_with_its_weights(bare: BarePython, world: Path, tmp_path: Path) -> None:
    dataset = FolderDataset(root=str(world / "pictures"), limit=12)
    folder = exported(
        tmp_path, world / "pictures", dataset=dataset, model=EfficientNetLite0Model(), index=FlatIndex()
    )
    queries = [str(world / "turned.jpg"), str(world / "clear.png")]
    assert_same(served(bare, folder, *queries), own_answer(tmp_path, *queries))
    needed = (folder / "requirements.txt").read_text().splitlines()
    assert [line.partition("==")[0] for line in needed] == ["faiss-cpu", "numpy", "pillow", "torch"]
    assert not any("+" in line for line in needed), "a local build is not on PyPI"


@pytest.mark.parametrize("cosine", [True, False])
def test_a_run_of_ready_vectors_is_asked_for_vectors(cosine: bool, bare: BarePython, tmp_path: Path) -> None:
    gallery = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    np.save(tmp_path / "gallery.npy", gallery)
    np.save(tmp_path / "query.npy", 3 * gallery[7])
    folder = exported(
        tmp_path,
        tmp_path,
        dataset=EmbeddingsDataset(root=str(tmp_path / "gallery.npy"), normalize=cosine or None),
        queries=VectorsQueries(file=str(tmp_path / "gallery.npy")),
        index=FlatIndex(),
    )
    row, id_, score, _ = served(bare, folder, str(tmp_path / "query.npy"))[0]
    if cosine:
        assert (row, id_) == (7, "7")
        assert score == pytest.approx(0, abs=1e-6)
    else:
        distances = ((gallery - 3 * gallery[7]) ** 2).sum(axis=1)
        assert row == distances.argmin()
        assert score == pytest.approx(distances.min(), rel=1e-5)
    refused = bare.run(str(folder / "serve.py"), "cat.jpg", cwd=tmp_path)
    assert (refused.returncode, refused.stderr) == (
        1,
        "the run was of ready vectors: give a .npy file of one\n",
    )


def test_ids_and_settings(world: Path, tmp_path: Path) -> None:
    folder = exported(tmp_path, world / "pictures")
    ids = pq.read_table(folder / "ids.parquet").to_pylist()
    assert ids[3] == {"row": 3, "id": "003.png", "location": str(world / "pictures" / "003.png")}
    settings = json.loads((folder / "export.json").read_text())
    assert settings["run"]["point"] == "ivf_flat nlist=8 nprobe=2"
    assert settings["run"]["measured"]["knn_recall_at_10"] > 0
    assert settings["model"]["side"] == 16
    assert settings["index"]["factory"] == "IVF8,Flat"


def test_bad_queries_are_one_line(bare: BarePython, world: Path, tmp_path: Path) -> None:
    folder = exported(tmp_path, world / "pictures", index=FlatIndex())
    (tmp_path / "bad.jpg").write_bytes(b"no image at all")
    done = bare.run(str(folder / "serve.py"), str(tmp_path / "bad.jpg"), cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"{tmp_path / 'bad.jpg'}: not an image") and done.stderr.count("\n") == 1
    done = bare.run(str(folder / "serve.py"), CAPTION, cwd=tmp_path)
    assert done.stderr == f"{CAPTION}: no such image, and this model reads no captions\n"


def test_decoding_can_be_cut_loose() -> None:
    for program in _decoding().values():
        assert not re.search(r"^\s*(from|import) lookalike", program, re.MULTILINE)


# --- the folder --------------------------------------------------------------------------------------------


@pytest.fixture
def run(world: Path, tmp_path: Path) -> FinishedRun:
    finished(tmp_path, world / "pictures", index=FlatIndex())
    return opened(tmp_path)


def test_an_empty_folder_will_do(run: FinishedRun, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    files = export_run(run, tmp_path / "out")
    assert Path("serve.py") in files
    assert sorted(path.relative_to(tmp_path / "out") for path in (tmp_path / "out").iterdir()) == files


def test_a_folder_that_is_taken_is_left_alone(run: FinishedRun, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").touch()
    (tmp_path / "file").touch()
    for taken, said in (("out", "is not empty; name a new folder"), ("file", "is there already")):
        with pytest.raises(UserError, match=said):
            export_run(run, tmp_path / taken)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_an_export_that_fails_leaves_nothing(
    run: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: Path, target: Path) -> None:
        Path(target).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    before = {path.name for path in tmp_path.iterdir()}
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfile", full)
        with pytest.raises(
            UserError, match=r"cannot be written .No space left.*; name a folder on another disk"
        ):
            export_run(run, tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == before


def test_the_command(run: FinishedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["export", "latest", str(out), "--root", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "index.faiss" in said and f"python {out / 'serve.py'} IMAGE" in said
    assert main(["export", "latest", str(out), "--root", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"error: {out} is not empty; name a new folder\n"
