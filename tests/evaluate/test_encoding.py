"""How long a query takes to encode: what is timed, for how long, on which terms it is kept, and its sums."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lookalike import schemas
from lookalike.datasets.sets import ImageSet, TextSet
from lookalike.embed.embedder import Embedder
from lookalike.errors import ImageError
from lookalike.evaluate.timing.encoding import Encoding, encoding_of, sample_encoding
from lookalike.queries import plan_queries
from lookalike.queries.plan import QueryPlan
from lookalike.store.store import Store
from tests.embed.grey import Grey
from tests.queries.worlds import images, vectors


class Ticking:
    """A clock that only moves when someone works."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


# --- the samples -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("each", "count", "taken"),
    [
        (0.001, 99, 64),
        (0.001, 10, 10),
        (0.05, 99, 40),
        (0.2, 99, 20),
        (1.0, 99, 10),
        (6.0, 99, 5),
        (6.0, 3, 3),
    ],
)
def test_a_budget_bounds_how_many_queries_are_encoded(each: float, count: int, taken: int) -> None:
    clock, rows = Ticking(), list[int]()

    def encode(row: int) -> bool:
        clock.now += each
        rows.append(row)
        return True

    seconds = sample_encoding(encode, count, clock)
    assert seconds == pytest.approx([each] * taken)
    assert len(set(rows[2:])) == taken, "each query once, after a warm-up of two"


def test_what_cannot_be_encoded_is_no_sample() -> None:
    clock = Ticking()

    def encode(row: int) -> bool:
        clock.now += 1 if row % 2 else 1e-3
        return bool(row % 2)

    assert sample_encoding(encode, 8, clock) == pytest.approx([1.0] * 4)


# --- what is encoded ---------------------------------------------------------------------------------------


def measured(plan: QueryPlan, embedder: Embedder, store: Store, **search: Any) -> Encoding | None:
    return encoding_of(plan, embedder, "queries", schemas.Search(**search), store, device="cpu")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_of_an_edited_copy_the_original_is_encoded(store: Store) -> None:
    loaded: list[str] = []
    gallery = images(6)
    plan = plan_queries(schemas.CopiesQueries(n=2, edits=["jpeg", "blur"]), gallery)

    def noted(of: ImageSet, name: str) -> ImageSet:
        load = of.load

        def load_and_note(row: int) -> Image.Image:
            loaded.append(f"{name} {of.ids[row]}")
            return load(row)

        return replace(of, load=load_and_note)

    assert isinstance(plan.queries, ImageSet)
    plan = replace(plan, gallery=noted(gallery, "gallery"), queries=noted(plan.queries, "copy"))
    encoding = measured(plan, Embedder(Grey(), store), store, encoding=True)
    assert encoding is not None
    assert (encoding.what, len(encoding.seconds)) == ("images", 4)
    assert set(loaded) == {f"gallery {source}" for source in plan.sources}


def test_captions_and_images_of_their_own_are_encoded(store: Store) -> None:
    texts = TextSet(ids=["a", "b"], fingerprints=["x", "y"], texts=["four", "seven.."])
    of_texts = QueryPlan("captions", "", images(2), texts, ["a", "b"])
    encoding = measured(of_texts, Embedder(Grey(), store), store, encoding=True)
    assert encoding is not None
    assert (encoding.what, len(encoding.seconds), encoding.p95_ms) == ("captions", 2, None)
    held_out = plan_queries(schemas.HeldOutQueries(n=3), images(9))
    encoding = measured(held_out, Embedder(Grey(), store), store, encoding=True)
    assert encoding is not None
    assert (encoding.what, len(encoding.seconds), encoding.threads) == ("images", 3, 1)
    assert encoding.as_dict().keys() == {
        *("what", "samples", "threads", "device", "cpu", "hostname", "measured_at", "p50_ms"),
    }, "a p95 of three samples is not there"


def test_images_that_cannot_be_read_leave_nothing_to_tell(store: Store) -> None:
    def load(row: int) -> Image.Image:
        raise ImageError("gone")

    plan = plan_queries(schemas.HeldOutQueries(n=3), images(9))
    plan = replace(plan, queries=replace(plan.queries, load=load))  # type: ignore[arg-type]
    assert measured(plan, Embedder(Grey(), store), store, encoding=True) is None


# --- when --------------------------------------------------------------------------------------------------


def test_it_is_measured_where_the_model_is_in_memory_and_found_again_on_equal_terms(store: Store) -> None:
    plan, model = plan_queries(schemas.HeldOutQueries(n=3), images(9)), Grey()
    assert measured(plan, Embedder(model, store), store) is None
    assert model.loads == 0, "nothing is loaded only to time it"
    embedder = Embedder(model, store)
    embedder.embed(plan.queries, "queries")
    assert measured(plan, embedder, store, encoding=False) is None
    first = measured(plan, embedder, store)
    assert first is not None
    again = measured(plan, Embedder(model, store), store)
    assert again is not None
    assert (again.seconds.tolist(), again.measured_at) == (first.seconds.tolist(), first.measured_at)
    assert measured(plan, Embedder(model, store), store, single_threads=2) is None, "other terms"
    assert measured(plan, Embedder(model, store), store, encoding=False) is None
    assert model.loads == 1
    assert measured(plan, Embedder(model, store), store, single_threads=2, encoding=True) is not None
    assert model.loads == 2, "asked for, the model is loaded"


def test_ready_vectors_have_none(store: Store) -> None:
    plan = plan_queries(schemas.InGalleryQueries(n=3), vectors())
    assert measured(plan, Embedder(Grey(), store), store, encoding=True) is None


# --- end to end --------------------------------------------------------------------------------------------


def of(seconds: list[float]) -> Encoding:
    return Encoding("images", 1, "cpu", "a cpu", "here", "2026-11-30", np.array(seconds))


def test_end_to_end_are_quantiles_of_all_sums() -> None:
    random = np.random.default_rng(0)
    encoding, searching = random.lognormal(-3, 0.3, 40), random.lognormal(-6, 1, 700)
    p50, p95 = of(encoding.tolist()).end_to_end(searching)
    sums = np.array([one + other for one in encoding for other in searching]) * 1e3
    assert p50 == pytest.approx(np.quantile(sums, 0.5))
    assert p95 == pytest.approx(np.quantile(sums, 0.95))
    assert of([0.1, 0.2, 0.3]).end_to_end(np.array([0.01])) == (pytest.approx(210), None)


def test_of_many_searches_a_seeded_part_is_added_up() -> None:
    searching = np.random.default_rng(1).exponential(1e-3, 50_000)
    encoding = of([0.02] * 30)
    assert encoding.end_to_end(searching) == encoding.end_to_end(searching)
    p50, p95 = encoding.end_to_end(searching)
    assert p50 == pytest.approx(20 + np.log(2), rel=2e-3)
    assert p95 == pytest.approx(20 - np.log(0.05), rel=5e-3)
