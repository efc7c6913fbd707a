"""Embedding performs as few forward passes as it can, survives interruption and says what it left out."""

from __future__ import annotations

import io
import re
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from lookalike.datasets.sets import ImageSet, TextSet, VectorSet
from lookalike.embed.blocks import Block, StoredBlock
from lookalike.embed.embedder import Embedder
from lookalike.embed.shards import write_shard
from lookalike.errors import DatasetError, ModelError
from lookalike.progress import Bar, Progress, RichProgress
from lookalike.store.store import Store
from tests.embed.grey import Grey, GreyEncoder, embed, expected, grey_images


def test_vectors_have_unit_length_and_the_order_of_the_set(store: Store) -> None:
    embeddings = embed(store, grey_images([9, 3, 200]))
    np.testing.assert_allclose(embeddings.matrix, expected([9, 3, 200]), rtol=1e-6)
    assert list(embeddings.ids) == ["00009.png", "00003.png", "00200.png"]
    assert embeddings.kept.tolist() == [0, 1, 2]


def test_an_accelerator_gets_the_same_batches(store: Store) -> None:
    images = grey_images(list(range(30)), bad=[4], max_bad_fraction=0.5)
    embeddings = embed(store, images, Grey(device="cuda:0"), workers=3, batch_size=4)
    np.testing.assert_allclose(embeddings.matrix, expected([v for v in range(30) if v != 4]), rtol=1e-6)


def test_normalisation_can_be_switched_off(store: Store) -> None:
    embeddings = embed(store, grey_images([9]), normalize=False)
    assert embeddings.matrix.tolist() == [[10, 1, 2]]


def test_a_second_call_reuses_all_and_does_not_load_the_model(store: Store) -> None:
    first, model = embed(store, grey_images([1, 2, 3])), Grey()
    second = embed(store, grey_images([1, 2, 3]), model)
    assert model.loads == 0
    assert second.artifacts[0].reused and second.key == first.key
    np.testing.assert_array_equal(first.matrix, second.matrix)


@pytest.mark.parametrize(
    ("before", "after", "passes"),
    [
        pytest.param([1, 2, 3], [1, 2, 3, 4], 1, id="added last"),
        pytest.param([1, 2, 3], [0, 1, 2, 3], 1, id="added first"),
        pytest.param([1, 2, 3], [1, 3], 0, id="removed"),
        pytest.param([1, 2, 3], [3, 2, 1], 0, id="another order"),
        pytest.param([1, 2, 3], [1, 9, 3], 1, id="replaced"),
    ],
)
def test_only_new_rows_cost_a_forward_pass(
    store: Store, before: list[int], after: list[int], passes: int
) -> None:
    embed(store, grey_images(before))
    model = Grey()
    embeddings = embed(store, grey_images(after), model)
    assert model.images == passes
    np.testing.assert_allclose(embeddings.matrix, expected(after), rtol=1e-6)


def test_a_changed_fingerprint_is_a_changed_image(store: Store) -> None:
    images = grey_images([1, 2, 3])
    embed(store, images)
    changed = ImageSet(images.ids, ["f1", "edited", "f3"], images.locations, images.load)
    model = Grey()
    embed(store, changed, model)
    assert model.images == 1


def test_another_recipe_copies_nothing(store: Store) -> None:
    embed(store, grey_images([1, 2, 3]))
    model = Grey(factor=2.0)
    embed(store, grey_images([1, 2, 3, 4]), model)
    assert model.images == 4


def test_shards_together_equal_one(store: Store, tmp_path: Path) -> None:
    values = list(range(25))
    one = embed(Store(tmp_path / "other"), grey_images(values))
    many = embed(store, grey_images(values, shard_size=10))
    assert [len(shard) for shard in many.shards] == [10, 10, 5]
    np.testing.assert_array_equal(one.matrix, many.matrix)
    np.testing.assert_array_equal(many.rows(np.array([24, 0, 10, 9])), one.matrix[[24, 0, 10, 9]])
    starts = [(start, len(block)) for start, block in many.blocks(6)]
    assert starts == [(0, 6), (6, 4), (10, 6), (16, 4), (20, 5)]


def test_bad_images_are_left_out_and_kept_in_the_ledger(store: Store) -> None:
    images = grey_images([1, 2, 3, 4], bad=[2, 4], max_bad_fraction=0.5, shard_size=2)
    for _ in range(2):  # built, then reused
        embeddings = embed(store, images)
        assert list(embeddings.ids) == ["00001.png", "00003.png"]
        assert embeddings.kept.tolist() == [0, 2]
        assert [(image.location, image.reason) for image in embeddings.bad] == [
            ("/images/00002.png", "truncated"),
            ("/images/00004.png", "truncated"),
        ]
        np.testing.assert_allclose(embeddings.matrix, expected([1, 3]), rtol=1e-6)


def test_too_many_bad_images_fail_with_examples_and_the_way_out(store: Store) -> None:
    with pytest.raises(DatasetError, match=r"2 of 4 images .*00002.png: truncated.*max_bad_fraction=0\.500"):
        embed(store, grey_images([1, 2, 3, 4], bad=[2, 4], max_bad_fraction=0.49))


@pytest.mark.parametrize(("slow", "bound_by"), [("load", "decoding"), ("encode_images", "forward pass")])
@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
def test_the_slower_half_of_the_work_is_named(store: Store, slow: str, bound_by: str, device: str) -> None:
    def dawdle(work: Callable[..., Any]) -> Callable[..., Any]:
        def slowly(argument: Any) -> Any:
            time.sleep(0.02)
            return work(argument)

        return slowly

    images = grey_images(list(range(12)))
    embedder = Embedder(Grey(device=device), store, batch_size=1, workers=2)
    if slow == "load":
        images = replace(images, load=dawdle(images.load))
    else:
        encoder = embedder.encoder
        encoder.encode_images = dawdle(encoder.encode_images)  # type: ignore[method-assign]
    facts = embedder.embed(images).artifacts[0].facts
    assert facts["bound_by"] == bound_by
    at_once = 1 if (device, slow) == ("cuda:0", "encode_images") else 2
    assert 0 < facts["images_per_second"] <= at_once / 0.02


def test_putting_a_shard_together_takes_the_memory_of_one_block(store: Store, tmp_path: Path) -> None:
    rows, dim, count = 256, 512, 32
    images = grey_images(list(range(rows * count)))
    made = []
    for number in range(count):
        block = Block(np.full((rows, dim), number, np.float32), range(rows * number, rows * (number + 1)), [])
        path = tmp_path / f"{number}.npz"
        block.save(path)
        made.append(StoredBlock(path, np.array(block.rows), []))
    (tmp_path / "draft").mkdir()
    tracemalloc.start()
    assert write_shard(images, [], made, dim, tmp_path / "draft") == rows * count
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    written = np.load(tmp_path / "draft" / "embeddings.npy")
    np.testing.assert_array_equal(written[:, 0], np.repeat(np.arange(count), rows))
    assert peak < written.nbytes / 4


class Counting(Progress):
    """Keeps what its bars were told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []

    @contextmanager
    def bar(self, description: str, total: int | None, unit: str = "") -> Iterator[Bar]:
        bar = Bar()
        bar.advance = lambda n=1: self.told.append(("advance", n))  # type: ignore[method-assign]
        bar.resume_at = lambda n: self.told.append(("resume", n))  # type: ignore[method-assign]
        yield bar


def test_the_bar_tells_what_was_done_earlier_from_what_is_done_now(store: Store) -> None:
    images = grey_images(list(range(50)), bad=[45], max_bad_fraction=0.5)
    with pytest.raises(KeyboardInterrupt):
        embed(store, images, Grey(fail_after=30), workers=1, batch_size=5, block_rows=10)
    progress = Counting()
    resumed = embed(store, images, progress=progress, workers=1, batch_size=5, block_rows=10)
    kept = resumed.artifacts[0].facts["resumed"]
    assert progress.told[0] == ("resume", kept)
    assert sum(n for _, n in progress.told) == 50


def test_a_bar_shows_how_long_it_will_take(monkeypatch: pytest.MonkeyPatch) -> None:
    progress = RichProgress()
    shown = io.StringIO()
    monkeypatch.setattr(
        progress, "_console", Console(file=shown, force_terminal=True, width=100, _environ={})
    )
    with progress.bar("embeddings", 1000, "images") as bar:
        bar.resume_at(900)
        for _ in range(3):
            time.sleep(0.05)  # the bar measures the speed by the clock
            bar.advance(1)
        assert progress._display is not None
        progress._display.refresh()  # a bar under way is gone when its block ends
    last = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.getvalue())
    assert "903 of 1,000 images" in last
    [speed] = set(re.findall(r"([\d,]+)/s", last.split("903 of")[-1]))
    assert int(speed.replace(",", "")) <= 20, "the 900 of earlier do not count"
    assert re.search(r"\b00:0[4-9]\b|\b00:[1-5]\d\b", last), "97 images at 20/s at most"


def not_finite(vectors: np.ndarray) -> np.ndarray:
    vectors[1] = np.nan
    return vectors


def zero(vectors: np.ndarray) -> np.ndarray:
    vectors[1] = 0
    return vectors


class Spoiled(Grey):
    def __init__(self, spoil: Callable[[np.ndarray], np.ndarray]) -> None:
        super().__init__()
        self.spoil = spoil

    def load(self) -> GreyEncoder:
        encoder = GreyEncoder(self)
        encode = encoder.encode_images
        encoder.encode_images = lambda batch: self.spoil(encode(batch))  # type: ignore[method-assign]
        return encoder


def test_a_model_that_gives_nan_is_named_with_the_image(store: Store) -> None:
    with pytest.raises(ModelError, match=r"grey gives NaN or Inf for 00002\.png"):
        embed(store, grey_images([1, 2, 3]), Spoiled(not_finite))


def test_a_zero_vector_has_no_direction_and_is_bad(store: Store) -> None:
    embeddings = embed(store, grey_images([1, 2, 3], max_bad_fraction=0.5), Spoiled(zero))
    assert list(embeddings.ids) == ["00001.png", "00003.png"]
    assert "zero" in embeddings.bad[0].reason


def test_captions_go_through_the_text_tower(store: Store) -> None:
    texts = TextSet(ids=["a", "b"], fingerprints=["x", "y"], texts=["four", "seven.."])
    embeddings = Embedder(Grey(), store, normalize=False).embed(texts, "captions")
    assert embeddings.matrix.tolist() == [[4, 1, 2], [7, 1, 2]]


def ready(array: np.ndarray, **changes: Any) -> VectorSet:
    ids = [f"v{row}" for row in range(len(array))]
    return VectorSet(ids=ids, arrays=[array], files=["a.npy"], file_fingerprints=["f"], **changes)


def test_ready_vectors_are_checked_and_scaled(store: Store) -> None:
    array = np.array([[3, 4], [0, 2], [1, 0]], np.float64)
    scaled = Embedder(Grey(), store).embed(ready(array, normalize=True))
    np.testing.assert_allclose(scaled.matrix, [[0.6, 0.8], [0, 1], [1, 0]], rtol=1e-6)
    assert scaled.unit_length
    as_they_are = Embedder(Grey(), store).embed(ready(array))
    np.testing.assert_array_equal(as_they_are.matrix, array)
    assert not as_they_are.unit_length
    assert Embedder(Grey(), store).embed(ready(array[2:])).unit_length


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_ready_vectors_that_nothing_can_rank_are_named(store: Store, value: float) -> None:
    array = np.ones((3, 2), np.float32)
    array[1] = value
    with pytest.raises(DatasetError, match=r"a\.npy, row 1"):
        Embedder(Grey(), store).embed(ready(array, normalize=True))
    assert not list(store.artifacts())
