from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from lookalike.embed.models.checkpoint import Checkpoint, discard_damaged, is_hub_id
from lookalike.errors import ModelError
from lookalike.store.store import Store

CURE = "run `lookalike fetch model=tiny`"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
SHA256 = "ab" * 32


def hub_cache_with(checkpoint: Path, cache: Path) -> Path:
    """The hub client's cache layout with one fetched revision; returns its snapshot folder."""
    repository = cache / "models--owner--tiny"
    snapshot = repository / "snapshots" / COMMIT
    shutil.copytree(checkpoint, snapshot)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    (repository / "blobs").mkdir()
    (snapshot / "model.safetensors").rename(repository / "blobs" / SHA256)
    (snapshot / "model.safetensors").symlink_to(Path("..", "..", "blobs", SHA256))
    return snapshot


def test_a_fetched_revision_is_found_in_the_hub_cache(siglip: Path, tmp_path: Path, store: Store) -> None:
    snapshot = hub_cache_with(siglip, tmp_path / "hub")
    for revision in (None, "main", COMMIT):
        checkpoint = Checkpoint.find("owner/tiny", revision, CURE, tmp_path / "hub")
        assert checkpoint.folder == snapshot
    assert checkpoint.model_type == "siglip"
    assert checkpoint.weight_hashes(store) == {"model.safetensors": SHA256}


@pytest.mark.parametrize(("hub_id", "revision"), [("owner/other", None), ("owner/tiny", "v2")])
def test_what_was_not_fetched_says_how_to(
    siglip: Path, tmp_path: Path, hub_id: str, revision: str | None
) -> None:
    hub_cache_with(siglip, tmp_path / "hub")
    with pytest.raises(ModelError, match=r"not on this machine; run `lookalike fetch model=tiny`"):
        Checkpoint.find(hub_id, revision, CURE, tmp_path / "hub")


@pytest.mark.parametrize("name", ["/no/such/folder", "./tiny", "a/b/c", "../tiny", "~/nothing-here"])
def test_a_missing_folder_is_no_hub_id(name: str) -> None:
    assert not is_hub_id(name)
    with pytest.raises(ModelError, match="neither a folder nor a hub id"):
        Checkpoint.find(name, None, CURE)


def test_an_empty_name_asks_for_one() -> None:
    with pytest.raises(ModelError, match="name_or_path is empty"):
        Checkpoint.find("", None, CURE)


@pytest.fixture
def copy(siglip: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(siglip, tmp_path / "copy"))


def find(folder: Path) -> Checkpoint:
    return Checkpoint.find(str(folder), None, CURE)


def test_pickled_weights_are_refused(copy: Path) -> None:
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"pytorch_model\.bin.*safetensors only"):
        find(copy).weights()


def test_missing_weights_are_named(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"has no model\.safetensors"):
        find(copy).weights()


@pytest.mark.parametrize("kept", [0, 5, 8, 400, -1])
def test_weights_cut_short_are_found_out(copy: Path, kept: int) -> None:
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:kept])
    with pytest.raises(ModelError, match=r"model\.safetensors is damaged or cut short"):
        find(copy).weights()


def test_weights_with_something_behind_them_are_found_out(copy: Path) -> None:
    with (copy / "model.safetensors").open("ab") as weights:
        weights.write(b"0")
    with pytest.raises(ModelError, match="damaged or cut short"):
        find(copy).weights()


def test_damaged_weights_in_the_hub_cache_are_discarded_with_their_blob(siglip: Path, tmp_path: Path) -> None:
    snapshot = hub_cache_with(siglip, tmp_path / "hub")
    link, blob = snapshot / "model.safetensors", tmp_path / "hub" / "models--owner--tiny" / "blobs" / SHA256
    discard_damaged(snapshot)
    assert link.is_file()
    blob.write_bytes(blob.read_bytes()[:-1])
    discard_damaged(snapshot)
    assert not link.is_symlink()
    assert not blob.exists()


@pytest.mark.parametrize("header", [b"no json", b"[]", b'{"a": {}}', b'{"a": {"data_offsets": [0, 9]}}'])
def test_weights_with_a_broken_header_are_found_out(copy: Path, header: bytes) -> None:
    (copy / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(ModelError, match="damaged or cut short"):
        find(copy).weights()


def test_every_shard_has_to_be_there(copy: Path, store: Store) -> None:
    shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    (copy / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": dict(zip("ab", shards, strict=True))})
    )
    (copy / "model.safetensors").rename(copy / shards[0])
    with pytest.raises(ModelError, match=f"has no {shards[1]}"):
        find(copy).weights()
    shutil.copy(copy / shards[0], copy / shards[1])
    assert list(find(copy).weight_hashes(store)) == shards


def test_the_nested_processor_config_is_preferred(copy: Path) -> None:
    nested = {"image_processor": {"image_processor_type": "SiglipImageProcessor", "size": 7}}
    (copy / "processor_config.json").write_text(json.dumps(nested))
    assert find(copy).processor == nested["image_processor"]
    (copy / "processor_config.json").write_text(json.dumps({"processor_class": "SiglipProcessor"}))
    assert find(copy).processor["size"] == {"height": 32, "width": 32}


@pytest.mark.parametrize("content", ["", "{", "[1, 2]"])
def test_unreadable_json_is_a_model_error(copy: Path, content: str) -> None:
    (copy / "config.json").write_text(content)
    with pytest.raises(ModelError, match=r"config\.json"):
        _ = find(copy).model_type


def test_no_processor_and_no_tokenizer_are_named(copy: Path, store: Store) -> None:
    for file in ("preprocessor_config.json", "tokenizer.json", "tokenizer_config.json"):
        (copy / file).unlink()
    with pytest.raises(ModelError, match=r"has no preprocessor_config\.json"):
        _ = find(copy).processor
    with pytest.raises(ModelError, match="has no tokenizer"):
        find(copy).tokenizer_hashes(store)
