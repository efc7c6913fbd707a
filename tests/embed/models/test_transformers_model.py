from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from lookalike import schemas
from lookalike.embed.models.transformers_model import Transformers
from lookalike.errors import ModelError
from lookalike.store.store import Store

TEXTS = ["a photo of a cat", "dog", "two small red house of a blue dog", "", "unheard words", "a cat " * 40]


def model(folder: Path, **changes: Any) -> Transformers:
    settings = {"name": "tiny", "device": "cpu", **changes}
    return Transformers(schemas.TransformersModel(name_or_path=str(folder), **settings))


def reference_images(folder: Path, images: list[Image.Image], pick: Callable[[Any, Any], Any]) -> np.ndarray:
    """What transformers itself says, all images at once."""
    network = transformers.AutoModel.from_pretrained(folder).eval()
    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    with torch.no_grad():
        vectors: np.ndarray = pick(network, processor(images=images, return_tensors="pt")).numpy()
    return vectors


def projection(network: Any, inputs: Any) -> Any:
    return network.get_image_features(**inputs).pooler_output


def class_token(network: Any, inputs: Any) -> Any:
    return network(**inputs).last_hidden_state[:, 0]


@pytest.mark.parametrize("batch", [1, 3, 8])
@pytest.mark.parametrize(
    ("checkpoint", "pick", "dim"),
    [("siglip", projection, 32), ("clip", projection, 24), ("dinov2", class_token, 32)],
)
def test_vectors_equal_transformers_own_whatever_the_batch(
    checkpoint: str,
    pick: Callable[[Any, Any], Any],
    dim: int,
    batch: int,
    images: list[Image.Image],
    request: pytest.FixtureRequest,
) -> None:
    folder = request.getfixturevalue(checkpoint)
    encoder = model(folder).load()
    inputs = [encoder.preprocess(image) for image in images]
    ours = np.concatenate([encoder.encode_images(inputs[i : i + batch]) for i in range(0, 8, batch)])
    assert encoder.dim == dim
    assert ours.shape == (8, dim)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, reference_images(folder, images, pick), rtol=1e-5, atol=1e-5)
    assert np.ptp(ours, axis=0).max() > 0.1, "images have to differ for this test to mean something"


@pytest.mark.parametrize(("checkpoint", "length"), [("siglip", 16), ("clip", 20)])
def test_texts_equal_transformers_own(checkpoint: str, length: int, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(checkpoint)
    encoder = model(folder).load()
    network = transformers.AutoModel.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        tokens = tokenizer(
            TEXTS, padding="max_length", truncation=True, max_length=length, return_tensors="pt"
        )
        expected = network.get_text_features(**tokens).pooler_output.numpy()
    np.testing.assert_allclose(encoder.encode_texts(TEXTS), expected, rtol=1e-5, atol=1e-5)
    one_by_one = np.concatenate([encoder.encode_texts([text]) for text in TEXTS])
    np.testing.assert_allclose(one_by_one, expected, rtol=1e-5, atol=1e-5)
    assert encoder.encode_texts([]).shape == (0, encoder.dim)


def test_more_texts_than_go_through_at_once(siglip: Path) -> None:
    encoder = model(siglip).load()
    few = encoder.encode_texts(TEXTS)
    np.testing.assert_allclose(encoder.encode_texts(TEXTS * 30), np.tile(few, (30, 1)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("pooling", "pick"),
    [
        ("pooler", lambda network, inputs: network.vision_model(**inputs).pooler_output),
        ("cls", lambda network, inputs: network.vision_model(**inputs).last_hidden_state[:, 0]),
        ("mean", lambda network, inputs: network.vision_model(**inputs).last_hidden_state.mean(1)),
    ],
)
def test_pooling_is_as_named(
    clip: Path, images: list[Image.Image], pooling: str, pick: Callable[[Any, Any], Any]
) -> None:
    encoder = model(clip, pooling=pooling).load()
    ours = encoder.encode_images([encoder.preprocess(image) for image in images])
    np.testing.assert_allclose(ours, reference_images(clip, images, pick), rtol=1e-5, atol=1e-5)


def test_no_images_give_no_rows(siglip: Path) -> None:
    assert model(siglip).load().encode_images([]).shape == (0, 32)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_near_and_said(siglip: Path, images: list[Image.Image], dtype: str) -> None:
    full, half = model(siglip).load(), model(siglip, dtype=dtype).load()
    inputs = [full.preprocess(image) for image in images]
    a, b = full.encode_images(inputs), half.encode_images(inputs)
    assert half.facts()["dtype"] == dtype
    assert b.dtype == np.float32
    assert 0 < np.abs(a - b).max() < 0.1 * np.abs(a).max()


# --- the recipe ---------------------------------------------------------------------------------------------


@pytest.fixture
def copy(siglip: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(siglip, tmp_path / "copy"))


def edit_json(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def change_processor(folder: Path) -> dict[str, Any]:
    edit_json(folder / "preprocessor_config.json", image_mean=[0.4, 0.5, 0.5])
    return {}


def change_a_weight(folder: Path) -> dict[str, Any]:
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    return {}


def change_activation(folder: Path) -> dict[str, Any]:
    config = json.loads((folder / "config.json").read_text())
    config["vision_config"]["hidden_act"] = "relu"
    edit_json(folder / "config.json", **config)
    return {}


@pytest.mark.parametrize(
    "change",
    [
        change_processor,
        change_a_weight,
        change_activation,
        lambda folder: {"dtype": "bfloat16"},
        lambda folder: {"pooling": "mean"},
        lambda folder: {"normalize": False},
    ],
)
def test_image_recipe_changes_with_what_shapes_a_vector(
    copy: Path, store: Store, change: Callable[[Path], dict[str, Any]]
) -> None:
    before = model(copy).image_recipe(store)
    settings = change(copy)
    assert model(copy, **settings).image_recipe(store) != before


def test_recipes_are_the_same_wherever_and_however_it_runs(siglip: Path, copy: Path, store: Store) -> None:
    plain = model(siglip)
    edit_json(copy / "config.json", transformers_version="4.1.0", _name_or_path="elsewhere")
    moved = model(copy, device="cuda:3", batch_size=7, workers=5, name="other", pooling="projection")
    assert moved.image_recipe(store) == plain.image_recipe(store)
    assert moved.text_recipe(store) == plain.text_recipe(store)
    assert json.loads(json.dumps(plain.image_recipe(store))) == plain.image_recipe(store)


def test_auto_pooling_is_resolved(siglip: Path, clip: Path, dinov2: Path, store: Store) -> None:
    resolved = [model(folder).image_recipe(store)["pooling"] for folder in (siglip, clip, dinov2)]
    assert resolved == ["projection", "projection", "cls"]


def test_text_recipe_changes_with_the_tokenizer_and_not_with_the_image_processor(
    copy: Path, store: Store
) -> None:
    before = model(copy).text_recipe(store)
    change_processor(copy)
    assert model(copy).text_recipe(store) == before
    edit_json(copy / "tokenizer_config.json", model_max_length=8)
    assert model(copy).text_recipe(store) != before


# --- what can be wrong --------------------------------------------------------------------------------------


def test_a_sound_checkpoint_has_no_faults(siglip: Path) -> None:
    assert model(siglip).faults(texts=True) == []


def test_an_image_only_model_embeds_no_captions(dinov2: Path, store: Store) -> None:
    assert len(model(dinov2).faults(texts=True)) == 1
    with pytest.raises(ModelError, match="model=tiny has no text tower"):
        model(dinov2).text_recipe(store)
    with pytest.raises(ModelError, match="model=tiny has no text tower"):
        model(dinov2).load().encode_texts(["a cat"])


@pytest.mark.parametrize(
    ("pooling", "reason"), [("projection", "images and texts"), ("max", "must be one of auto, projection")]
)
def test_impossible_pooling_is_a_fault(dinov2: Path, store: Store, pooling: str, reason: str) -> None:
    wrong = model(dinov2, pooling=pooling)
    (fault,) = wrong.faults()
    assert "model.pooling" in fault
    assert reason in fault
    with pytest.raises(ModelError, match=reason):
        wrong.image_recipe(store)


def test_auto_pooling_of_an_unknown_architecture_asks_for_it(copy: Path) -> None:
    edit_json(copy / "config.json", model_type="brand_new")
    (fault,) = model(copy).faults()
    assert "does not know the architecture brand_new" in fault


def test_missing_weights_say_how_to_fetch_them(tmp_path: Path, store: Store) -> None:
    config = schemas.TransformersModel(name="siglip_base", name_or_path="google/tiny", revision="v1")
    absent = Transformers(config, cache=tmp_path)
    command = "`lookalike fetch model=siglip_base model.name_or_path=google/tiny model.revision=v1`"
    (fault,) = absent.faults()
    assert command in fault
    for ask in (lambda: absent.image_recipe(store), absent.load):
        with pytest.raises(ModelError) as caught:
            ask()
        assert str(caught.value) == fault


def test_an_unfetchable_checkpoint_is_a_model_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    config = schemas.TransformersModel(name="siglip_base", name_or_path="nobody/nothing")
    with pytest.raises(ModelError, match="nobody/nothing could not be fetched"):
        Transformers(config, cache=tmp_path).fetch()


def test_a_local_folder_needs_no_fetching(siglip: Path) -> None:
    before = sorted(siglip.iterdir())
    model(siglip).fetch()
    assert sorted(siglip.iterdir()) == before


def test_weights_with_gaps_are_refused(copy: Path) -> None:
    """transformers would fill the gap with random numbers."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(copy / "model.safetensors")
    del tensors["vision_model.encoder.layers.0.mlp.fc1.weight"]
    save_file(tensors, copy / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"lack 1 parameters.*fc1\.weight"):
        model(copy).load()


def test_weights_of_another_shape_are_refused(copy: Path) -> None:
    change = json.loads((copy / "config.json").read_text())["vision_config"] | {"intermediate_size": 48}
    edit_json(copy / "config.json", vision_config=change)
    with pytest.raises(ModelError):
        model(copy).load()


def test_absent_device_is_a_model_error(siglip: Path) -> None:
    with pytest.raises(ModelError, match=r"model\.device=cuda:99 is not on this machine"):
        model(siglip, device="cuda:99").load()
