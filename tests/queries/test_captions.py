"""Captions against photos on a SigLIP-type checkpoint: every figure computed again without our pipeline."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import checkpoints
from lookalike.config.planning import plan
from lookalike.datasets import open_dataset
from lookalike.datasets.sbu_captions import JSON_NAME, photo_path
from lookalike.datasets.sets import TextSet
from lookalike.embed.models import open_model
from lookalike.index.families.flat import FlatIndex
from lookalike.index.families.ivf_flat import IvfFlatIndex
from lookalike.progress import RichProgress
from lookalike.queries import plan_queries
from lookalike.run import run
from lookalike.runs.record import Record
from lookalike.runs.session import Session
from lookalike.schemas import (
    CaptionsQueries,
    Experiment,
    Measures,
    Paths,
    SbuCaptionsDataset,
    Search,
    TransformersModel,
)
from tests.queries.worlds import relevant_ids

PHOTOS, ASKED = 130, 40
CUTOFFS = [1, *range(10, 101, 10)]


def caption(row: int) -> str:
    """Sixty different ones for 130 photos: many are shared."""
    words = checkpoints.WORDS
    return f"a {words[3 + row % 6]} {words[1 + row // 6 % 5]} {row // 30 % 2 * 'small'}".strip()


@pytest.fixture(scope="module")
def sbu(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of which every ninth is gone."""
    root = tmp_path_factory.mktemp("sbu")
    (root / "0000").mkdir()
    for row in range(PHOTOS):
        if row % 9 != 4:
            coarse = np.random.default_rng(row).integers(0, 256, (4, 6, 3), dtype=np.uint8)
            Image.fromarray(coarse).resize((60, 40)).save(root / photo_path(row))
    lists = {
        "image_urls": [""] * PHOTOS,
        "user_ids": [""] * PHOTOS,
        "captions": list(map(caption, range(PHOTOS))),
    }
    (root / JSON_NAME).write_text(json.dumps(lists))
    return root


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoints.make_tiny_siglip(tmp_path_factory.mktemp("checkpoints") / "siglip")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


def experiment(sbu: Path, checkpoint: Path, home: Path, **changes: Any) -> Experiment:
    parts: dict[str, Any] = {
        "dataset": SbuCaptionsDataset(root=str(sbu)),
        "model": TransformersModel(name="siglip", name_or_path=str(checkpoint), batch_size=16),
        "queries": CaptionsQueries(n=ASKED),
        "index": FlatIndex(threads=1),
        "search": Search(k=100, warm_up=0, repeats=1, modes=["batch"]),
        "measures": Measures(cutoffs=CUTOFFS, bootstrap=20),
        "paths": Paths(root=str(home)),
    }
    return Experiment(**(parts | changes))


def measured(config: Experiment, folder: Path) -> tuple[Record, np.ndarray]:
    """The record, and the rows that the search returned."""
    record = run(plan(config), folder, Session(config))
    with np.load(folder / str(record.points[0].neighbours)) as raw:
        return record, raw["rows"]


def expected(config: Experiment, found: np.ndarray, first: int = 0) -> dict[str, dict[str, float]]:
    """hit_rate and relevant_recall at each cut-off, query by query, counting from rank ``first``."""
    dataset = open_dataset(config.dataset)
    plan = plan_queries(config.queries, dataset)
    assert isinstance(plan.queries, TextSet) and dataset.captions is not None
    hits, shares = [], []
    for text, rows in zip(plan.queries.texts, found, strict=True):
        relevant = {row for row, other in enumerate(dataset.captions) if other == text}
        ranks = [rank for rank, row in enumerate(rows[first : first + 100], 1) if row in relevant]
        hits.append([any(rank <= k for rank in ranks) for k in CUTOFFS])
        shares.append([sum(rank <= k for rank in ranks) / len(relevant) for k in CUTOFFS])
    names = [str(k) for k in CUTOFFS]
    return {
        "hit_rate": dict(zip(names, np.mean(hits, axis=0).tolist(), strict=True)),
        "relevant_recall": dict(zip(names, np.mean(shares, axis=0).tolist(), strict=True)),
    }


def nearest(config: Experiment) -> np.ndarray:
    """All photos for each caption, best first, by the model alone."""
    dataset = open_dataset(config.dataset)
    encoder = open_model(config.model).load()
    texts = plan_queries(config.queries, dataset).queries
    assert isinstance(texts, TextSet)
    photos = encoder.encode_images([encoder.preprocess(dataset.load(row)) for row in range(len(dataset))])  # type: ignore[union-attr]
    captions = encoder.encode_texts(texts.texts)
    photos /= np.linalg.norm(photos, axis=1, keepdims=True)  # a caption's length does not change its order
    order: np.ndarray = np.argsort(-(captions @ photos.T), axis=1, kind="stable")
    return order


def assert_measures(record: Record, told: dict[str, dict[str, float]]) -> None:
    for measure, curve in told.items():
        assert record.points[0].curves[measure] == pytest.approx(curve), measure


def test_flat_finds_what_the_checkpoint_says_and_counts_rank_1(
    sbu: Path, checkpoint: Path, home: Path
) -> None:
    config = experiment(sbu, checkpoint, home)
    record, rows = measured(config, home / "flat")
    assert np.array_equal(rows[:, :10], nearest(config)[:, :10])
    assert_measures(record, expected(config, rows))
    assert list(record.points[0].curves["hit_rate"]) == [str(k) for k in CUTOFFS]
    assert record.data["query_count"] == ASKED
    assert record.data["missing_images"] == len(range(4, PHOTOS, 9))
    assert record.points[0].counts["without_relevance"] == 0
    first_hits = np.mean([row[0] in found for row, found in zip(rows, _relevant(config), strict=True)])
    assert record.points[0].curves["hit_rate"]["1"] == pytest.approx(first_hits)


def _relevant(config: Experiment) -> list[set[int]]:
    dataset = open_dataset(config.dataset)
    plan = plan_queries(config.queries, dataset)
    row_of = {id_: row for row, id_ in enumerate(dataset.ids)}
    return [{row_of[id_] for id_ in ids} for ids in relevant_ids(plan)]


def test_ivf_is_judged_by_what_it_returned(sbu: Path, checkpoint: Path, home: Path) -> None:
    index = IvfFlatIndex(nlist=8, threads=1, point={"nprobe": 1})
    config = experiment(sbu, checkpoint, home, index=index)
    record, rows = measured(config, home / "ivf")
    assert_measures(record, expected(config, rows))
    assert record.points[0].curves["hit_rate"]["100"] < 1
    assert (rows < 0).any(), "one list of eight cannot give a hundred"


def test_a_dropped_first_result_is_dropped_from_relevance_alone(
    sbu: Path, checkpoint: Path, home: Path
) -> None:
    measures = Measures(cutoffs=CUTOFFS, bootstrap=0, drop_first=True)
    config = experiment(sbu, checkpoint, home, measures=measures)
    record, rows = measured(config, home / "dropped")
    assert rows.shape == (ASKED, 101), "one more is asked for, to have a hundred left"
    assert_measures(record, expected(config, rows, first=1))
    assert record.points[0].curves["knn_recall"] == {str(k): 1.0 for k in CUTOFFS}
    assert record.data["protocol_description"] == f"{ASKED} captions, the first result dropped"
    whole = expected(config, rows)["relevant_recall"]
    assert record.points[0].curves["relevant_recall"]["100"] <= whole["100"] + 1e-12


def test_samples_are_seeded_nested_and_of_captions_that_are_there(sbu: Path) -> None:
    dataset = open_dataset(SbuCaptionsDataset(root=str(sbu)))
    few, many, other = (
        plan_queries(CaptionsQueries(n=n, seed=seed), dataset) for n, seed in ((5, 0), (20, 0), (20, 1))
    )
    assert set(few.queries.ids) < set(many.queries.ids)
    assert set(many.queries.ids) != set(other.queries.ids)
    assert {id_.removesuffix("#caption") for id_ in many.queries.ids} <= set(dataset.ids)
    for asked in (few, many):
        for query, relevant in zip(asked.queries.ids, relevant_ids(asked), strict=True):
            assert query.removesuffix("#caption") in relevant, "its own photo is always among them"


def test_queries_of_one_caption_are_one_observation(sbu: Path) -> None:
    plan = plan_queries(CaptionsQueries(n=None), open_dataset(SbuCaptionsDataset(root=str(sbu))))
    assert isinstance(plan.queries, TextSet)
    by_text: dict[str, set[str]] = {}
    for text, source in zip(plan.queries.texts, plan.sources, strict=True):
        by_text.setdefault(text, set()).add(source)
    assert all(len(sources) == 1 for sources in by_text.values())
    assert len(by_text) == len(set(plan.sources)) < len(plan)


def test_captions_that_were_cut_are_counted(
    sbu: Path, checkpoint: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = home / "long captions"
    shutil.copytree(sbu, root)
    lists = json.loads((root / JSON_NAME).read_text())
    lists["captions"] = [text + " red" * 90 * (row % 2) for row, text in enumerate(lists["captions"])]
    (root / JSON_NAME).write_text(json.dumps(lists))
    for again in ("first", "reused"):
        config = experiment(root, checkpoint, home)
        run(plan(config), home / again, Session(config, RichProgress()))
        assert " captions are longer than the model's text tower reads" in capsys.readouterr().err
