"""A finished run answers again as it did: the same vectors, the same neighbours."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lookalike.datasets.sets import VectorSet
from lookalike.errors import ImageError, ModelError, QueryError, UserError
from lookalike.export.vectors.bundle import bundle_of_run
from lookalike.index.families.brute_force import BruteForceIndex
from lookalike.index.families.flat import FlatIndex
from lookalike.index.families.hnsw import HnswIndex
from lookalike.index.families.ivf_pq import IvfPqIndex
from lookalike.runs.catalog import find_point
from lookalike.runs.opener import FinishedRun, open_finished, open_point
from lookalike.runs.record import Record
from lookalike.schemas import (
    EmbeddingsDataset,
    FolderDataset,
    HeldOutQueries,
    InGalleryQueries,
    Search,
    TransformersModel,
    VectorsQueries,
    WebdatasetDataset,
)
from tests.checkpoints import make_tiny_siglip
from tests.datasets.shards import write_two_shards
from tests.pipeline.conftest import paint
from tests.runs.runs import finished, painted


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with 60 pictures and a run over them: IVF of eight lists, two of them visited."""
    root = tmp_path_factory.mktemp("world")
    finished(root, painted(root / "pictures", 60), "ivf")
    return root


def opened(root: Path, name: str = "ivf") -> FinishedRun:
    run = open_finished(f"outputs/{name}", root)
    run.require_searchable()
    return run


def test_gallery_vectors_and_neighbours_are_the_run_s_own(world: Path) -> None:
    run = opened(world)
    assert run.gallery.ids[17] == "017.png"
    assert len(run.vectors) == 60
    assert (run.settings, run.limits) == ({"nprobe": 2}, {"nprobe": 8})
    for row in (0, 17, 59):
        vector = run.embed(run.gallery.load(row))
        assert vector.shape == (1, 768) and vector.dtype == np.float32
        np.testing.assert_array_equal(vector[0], run.vectors.rows(np.array([row]))[0])
        hits = run.search(vector, 3)
        assert (hits.rows[0], hits.ids[0]) == (row, f"{row:03}.png")
        assert hits.milliseconds > 0


def test_every_query_of_the_run_is_answered_as_the_run_answered_it(world: Path) -> None:
    run = opened(world)
    [queries] = (world / "store" / "artifacts" / "queries").glob("*/embeddings.npy")
    with np.load(world / "outputs" / "ivf" / str(run.point.neighbours)) as raw:
        for vector, rows, scores in zip(np.load(queries), raw["rows"], raw["scores"], strict=True):
            hits = run.search(vector, run.point.k)
            assert hits.rows.tolist() == [row for row in rows if row >= 0]
            np.testing.assert_allclose(hits.scores, scores[rows >= 0], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("metric", ["l2", "ip"])
def test_exact_is_the_naive_answer(tmp_path: Path, world: Path, metric: str) -> None:
    finished(tmp_path, world / "pictures", "run", index=FlatIndex(metric=metric))
    run = opened(tmp_path, "run")
    query = run.embed(Image.new("RGB", (9, 5), "teal"))
    gallery = run.vectors.matrix
    squared, products = ((gallery - query) ** 2).sum(1), gallery @ query[0]
    order = np.argsort(squared if metric == "l2" else -products, kind="stable")[:7]
    hits = run.search_exactly(query, 7)
    assert hits.rows.tolist() == order.tolist()
    np.testing.assert_allclose(hits.scores, (squared if metric == "l2" else products)[order], rtol=1e-5)
    assert run.search_exactly(query, 60).ids[-1] == run.gallery.ids[np.argsort(-squared)[0]]


def test_comparison_marks_what_was_missed_and_what_took_its_place(world: Path) -> None:
    run = opened(world)
    query = run.embed(Image.new("RGB", (9, 5), "teal"))
    one = run.compare(query, 10, nprobe=1)
    exact, found = set(one.exact.rows.tolist()), set(one.found.rows.tolist())
    assert one.missed == exact - found != frozenset()
    assert one.wrong == found - exact
    assert one.recall == pytest.approx(len(exact & found) / 10)
    everything = run.compare(query, 10, nprobe=8)
    assert (everything.missed, everything.wrong, everything.recall) == (frozenset(), frozenset(), 1)


def test_a_twin_of_the_last_exact_neighbour_is_as_good(tmp_path: Path) -> None:
    """Eight copies of one image: whichever of them the index returns, none was missed."""
    pictures = painted(tmp_path / "pictures", 20)
    for number in range(30, 38):
        shutil.copy(pictures / "000.png", pictures / f"{number:03}.png")
    finished(tmp_path, pictures, "run", index=HnswIndex(point={"ef_search": 64}))
    run = opened(tmp_path, "run")
    query = run.embed(run.gallery.load(0))
    for k in range(1, 12):
        compared = run.compare(query, k)
        assert (compared.missed, compared.wrong, compared.recall) == (frozenset(), frozenset(), 1)


def test_fewer_hits_than_k_when_the_lists_are_short(world: Path) -> None:
    run = opened(world)
    query = run.embed(Image.new("RGB", (9, 5), "teal"))
    one = run.compare(query, 40, nprobe=1)
    assert 0 < len(one.found) < 40 == len(one.exact)
    assert len(one.missed) == 40 - len(one.found) + len(one.wrong)


@pytest.mark.parametrize(
    ("k", "settings", "said"),
    [
        (0, {}, "k=0 does not fit a gallery of 60 images; give 1 to 60"),
        (61, {}, "k=61 does not fit"),
        (5, {"nprobe": 9}, "nprobe=9 is out of range; give 1 to 8"),
        (5, {"nprobe": 0}, "nprobe=0 is out of range"),
        (5, {"ef_search": 9}, "index=ivf_flat has no setting ef_search; it has: nprobe"),
    ],
)
def test_what_cannot_be_asked(world: Path, k: int, settings: dict[str, int], said: str) -> None:
    run = opened(world)
    with pytest.raises(QueryError, match=said):
        run.search(np.zeros((1, 768), np.float32), k, **settings)


@pytest.mark.parametrize(
    "index",
    [BruteForceIndex(), HnswIndex(mmap=True), IvfPqIndex(nlist=2, pq_m=8, pq_bits=4)],
    ids=lambda i: i.family,
)
def test_other_families(tmp_path: Path, world: Path, index: Any) -> None:
    finished(tmp_path, world / "pictures", "run", index=index)
    run = opened(tmp_path, "run")
    vector = run.embed(run.gallery.load(5))
    assert 5 in run.search(vector, 10).rows.tolist()


def test_held_out_images_are_no_part_of_the_gallery(tmp_path: Path, world: Path) -> None:
    finished(tmp_path, world / "pictures", "run", queries=HeldOutQueries(n=10))
    run = opened(tmp_path, "run")
    assert len(run.vectors) == 50
    vector = run.embed(run.gallery.load(49))
    assert run.search(vector, 1).ids == [run.gallery.ids[49]]


# --- what has changed since --------------------------------------------------------------------------------


def test_a_gallery_that_has_changed_is_searched_as_it_was(tmp_path: Path) -> None:
    pictures = painted(tmp_path / "pictures", 20)
    finished(tmp_path, pictures, "run", index=FlatIndex())
    (pictures / "003.png").unlink()
    paint(pictures / "0000.png", 999)
    run = opened(tmp_path, "run")
    assert list(run.gallery.ids) == [f"{row:03}.png" for row in range(20)]
    assert run.search(run.embed(run.gallery.load(4)), 1).rows.tolist() == [4]
    with pytest.raises(ImageError, match="no longer in the dataset"):
        run.gallery.load(3)


def changed(root: Path, change: Any) -> None:
    folder = root / "outputs" / "run"
    record = Record.load(folder)
    change(record)
    record.save(folder)


def test_a_model_that_is_not_what_it_was_is_refused(tmp_path: Path, world: Path) -> None:
    finished(tmp_path, world / "pictures", "run")
    changed(tmp_path, lambda record: record.model["recipe"].update(side=12))
    with pytest.raises(ModelError, match=r"model=pixels is not what this run embedded .* \(side 12 → 16\)"):
        opened(tmp_path, "run")


@pytest.mark.parametrize("kind", ["embeddings", "index"])
def test_parts_that_are_gone(tmp_path: Path, world: Path, kind: str) -> None:
    finished(tmp_path, world / "pictures", "run")
    shutil.rmtree(tmp_path / "store" / "artifacts" / kind)
    with pytest.raises(UserError, match="run the experiment again, which builds it anew"):
        opened(tmp_path, "run")


def test_relative_paths_hold_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    painted(tmp_path / "pictures", 20)
    monkeypatch.chdir(tmp_path)
    finished(Path(), Path("pictures"), "run", index=FlatIndex())
    monkeypatch.chdir("/")
    assert len(open_finished(root=tmp_path).gallery) == 20
    found = find_point(Path("/"), str(tmp_path / "outputs" / "run"))
    assert len(open_point(found, Path("/nowhere")).gallery) == 20, "the store beside the run is found"


def test_ready_vectors_have_no_model_to_ask(tmp_path: Path) -> None:
    np.save(tmp_path / "gallery.npy", np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32))
    np.save(tmp_path / "queries.npy", np.random.default_rng(1).normal(size=(5, 8)).astype(np.float32))
    finished(
        tmp_path,
        tmp_path,
        "run",
        dataset=EmbeddingsDataset(root=str(tmp_path / "gallery.npy")),
        queries=VectorsQueries(file=str(tmp_path / "queries.npy")),
        index=FlatIndex(),
    )
    with pytest.raises(ModelError, match=r"ready vectors .* choose a run over images"):
        opened(tmp_path, "run")


# --- captions ----------------------------------------------------------------------------------------------


def test_captions_need_a_text_tower(world: Path) -> None:
    run = opened(world)
    assert not run.reads_text
    with pytest.raises(ModelError, match="has no text tower"):
        run.embed_text("a red house")


def test_captions_with_a_text_tower(tmp_path: Path, world: Path) -> None:
    checkpoint = make_tiny_siglip(tmp_path / "siglip")
    finished(
        tmp_path,
        world / "pictures",
        "run",
        dataset=FolderDataset(root=str(world / "pictures"), limit=20),
        model=TransformersModel(name_or_path=str(checkpoint)),
        index=FlatIndex(),
    )
    run = opened(tmp_path, "run")
    assert run.reads_text
    vector = run.embed_text("a red house")
    assert vector.shape == (1, 32)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)
    assert len(run.search(vector, 5)) == 5


def test_tars_whose_listing_is_gone_are_read_and_nothing_is_kept(tmp_path: Path) -> None:
    tars = write_two_shards(tmp_path / "tars")
    dataset = WebdatasetDataset(root=str(tars))
    search, queries = Search(k=2, warm_up=0, repeats=1), InGalleryQueries(n=2)
    finished(tmp_path, tars, "run", dataset=dataset, queries=queries, search=search, index=FlatIndex())
    artifacts = tmp_path / "store" / "artifacts"
    kept = {path.name for path in artifacts.iterdir()}
    [listing] = [name for name in kept if "list" in name]
    shutil.rmtree(artifacts / listing)
    run = opened(tmp_path, "run")
    assert run.search(run.images.load(1), 1).rows.tolist() == [1]
    assert {path.name for path in artifacts.iterdir()} == kept - {listing}


@pytest.mark.parametrize("scaled", [True, False])
def test_what_was_done_to_ready_vectors_is_read_off_the_record_and_not_off_todays_rule(
    scaled: bool, tmp_path: Path
) -> None:
    """Up to 0.1.0 ``normalize: null`` scaled what its file said nothing of, and records kept no more."""
    np.save(tmp_path / "v.npy", np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32))
    dataset = EmbeddingsDataset(root=str(tmp_path / "v.npy"), normalize=scaled)
    folder = finished(tmp_path, tmp_path, dataset=dataset, queries=InGalleryQueries(n=5), index=FlatIndex())
    record = json.loads((folder / "record.json").read_text())
    assert record["data"].pop("unit_length") is scaled
    record["config"]["dataset"]["normalize"] = None
    (folder / "record.json").write_text(json.dumps(record))
    run = open_finished(str(folder), tmp_path)
    assert isinstance(run.gallery, VectorSet)
    assert run.gallery.normalize is scaled
    assert isinstance(run.experiment.dataset, EmbeddingsDataset)
    assert run.experiment.dataset.normalize is scaled
    assert run.vectors.unit_length is scaled
    assert bundle_of_run(run).of_directions is scaled
