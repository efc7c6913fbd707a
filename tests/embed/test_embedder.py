"""Embedding performs as few forward passes as it can, survives interruption and says what it left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lookalike.datasets import ImageSet, TextSet, VectorSet
from lookalike.embed import Embedder, Embeddings
from lookalike.embed.blocks import BLOCK_ROWS, Block
from lookalike.errors import DatasetError, ImageError, ModelError
from lookalike.store import Store


class Grey:
    """A model whose vector is (grey value + 1, 1, 2), which counts its forward passes."""

    name = "grey"

    def __init__(self, fail_after: float = np.inf, factor: float = 1.0, device: str = "cpu") -> None:
        self.images = 0
        self.loads = 0
        self.fail_after, self.factor, self.device = fail_after, factor, device

    def image_recipe(self, store: Store) -> dict[str, Any]:
        return {"model": "grey", "factor": self.factor}

    def text_recipe(self, store: Store) -> dict[str, Any]:
        return {"model": "grey", "tower": "text"}

    def faults(self, texts: bool = False) -> list[str]:
        return []

    def fetch(self, progress: Any = None) -> None: ...

    def load(self) -> GreyEncoder:
        self.loads += 1
        return GreyEncoder(self)


class GreyEncoder:
    dim = 3

    def __init__(self, model: Grey) -> None:
        self.model = model

    def preprocess(self, image: Image.Image) -> float:
        return float(np.asarray(image)[0, 0, 0])

    def encode_images(self, batch: Sequence[float]) -> np.ndarray:
        if self.model.images + len(batch) > self.model.fail_after:
            raise KeyboardInterrupt
        self.model.images += len(batch)
        vectors = [[self.model.factor * (value + 1), 1, 2] for value in batch]
        return np.array(vectors, np.float32).reshape(-1, 3)

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([[len(text), 1, 2] for text in texts], np.float32)

    def pick_batch_size(self, sample: Sequence[Any]) -> int:
        return 7

    def facts(self) -> dict[str, Any]:
        return {"device": self.model.device}


def grey_images(values: Sequence[int], bad: Sequence[int] = (), **changes: Any) -> ImageSet:
    """One image per value, its id and fingerprint made of the value; ``bad`` values cannot be decoded."""

    def load(row: int) -> Image.Image:
        if values[row] in bad:
            raise ImageError("truncated")
        return Image.new("RGB", (1, 1), (values[row] % 256,) * 3)

    names = [f"{value:05}.png" for value in values]
    return ImageSet(
        ids=names,
        fingerprints=[f"f{value}" for value in values],
        locations=[f"/images/{name}" for name in names],
        load=load,
        **changes,
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def expected(values: Sequence[int]) -> np.ndarray:
    vectors = np.array([[value % 256 + 1, 1, 2] for value in values], np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def embed(store: Store, images: ImageSet, model: Grey | None = None, **options: Any) -> Embeddings:
    return Embedder(model or Grey(), store, **options).embed(images)


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


def test_an_interrupted_extraction_loses_one_block_and_ends_with_the_same_bytes(
    store: Store, tmp_path: Path
) -> None:
    values = list(range(2 * BLOCK_ROWS + 100))
    whole = embed(Store(tmp_path / "other"), grey_images(values))
    with pytest.raises(KeyboardInterrupt):
        embed(store, grey_images(values), Grey(fail_after=1.5 * BLOCK_ROWS))
    assert not list(store.artifacts("embeddings"))
    model = Grey()
    resumed = embed(store, grey_images(values), model)
    assert model.images == len(values) - BLOCK_ROWS
    assert resumed.artifacts[0].manifest["files"] == whole.artifacts[0].manifest["files"]


def test_a_cut_off_block_is_embedded_again(tmp_path: Path) -> None:
    path = tmp_path / "block.npz"
    Block(np.ones((4, 3), np.float32), [0, 1, 2, 3], [(4, "truncated")]).save(path)
    assert Block.load(path) is not None
    path.write_bytes(path.read_bytes()[:-40])
    assert Block.load(path) is None


def test_the_probed_batch_size_is_kept_beside_the_embeddings(store: Store) -> None:
    assert embed(store, grey_images([1, 2])).artifacts[0].facts["batch_size"] == 7
    assert embed(store, grey_images([5]), batch_size=2).artifacts[0].facts["batch_size"] == 2


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
    scaled = Embedder(Grey(), store).embed(ready(array))
    np.testing.assert_allclose(scaled.matrix, [[0.6, 0.8], [0, 1], [1, 0]], rtol=1e-6)
    as_they_are = Embedder(Grey(), store).embed(ready(array, normalize=False))
    np.testing.assert_array_equal(as_they_are.matrix, array)


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_ready_vectors_that_nothing_can_rank_are_named(store: Store, value: float) -> None:
    array = np.ones((3, 2), np.float32)
    array[1] = value
    with pytest.raises(DatasetError, match=r"a\.npy, row 1"):
        Embedder(Grey(), store).embed(ready(array))
    assert not list(store.artifacts())
