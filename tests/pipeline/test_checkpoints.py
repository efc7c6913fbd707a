"""A transformers checkpoint through a whole run: images, captions, precision, what embeds again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import checkpoints
from lookalike.evaluate.measures import VS_EXACT, VS_RELEVANCE
from lookalike.index.families.flat import FlatIndex
from lookalike.schemas import CaptionsQueries, FolderDataset, HeldOutQueries, TransformersModel
from tests.pipeline.conftest import RunOf, outcomes


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoints.make_tiny_siglip(tmp_path_factory.mktemp("checkpoints") / "siglip")


@pytest.fixture
def checkpoint(pristine: Path, tmp_path: Path) -> Path:
    """A checkpoint of this test's own, to be changed as it likes."""
    return Path(shutil.copytree(pristine, tmp_path / "siglip"))


def siglip(folder: Path, **changes: object) -> TransformersModel:
    return TransformersModel(name="siglip_base", name_or_path=str(folder), **changes)  # type: ignore[arg-type]


def test_captions_find_images_through_the_text_tower(run_of: RunOf, pictures: Path, checkpoint: Path) -> None:
    table = pictures / "captions.csv"
    lines = [f"{path.relative_to(pictures)},picture {path.stem}" for path in sorted(pictures.rglob("*.png"))]
    table.write_text("\n".join(["path,caption", *lines]))
    record = run_of(
        dataset=FolderDataset(root=str(pictures), table="captions.csv", captions="caption"),
        model=siglip(checkpoint),
        queries=CaptionsQueries(n=20),
        index=FlatIndex(),
    )
    assert record.data["query_count"] == 20
    assert set(record.points[0].curves) == {*VS_EXACT, *VS_RELEVANCE}
    assert record.points[0].curves["knn_recall"]["10"] == 1


def test_what_shapes_an_embedding_makes_it_embed_again(run_of: RunOf, checkpoint: Path) -> None:
    def embeddings(**changes: object) -> str:
        return outcomes(run_of(model=siglip(checkpoint, **changes), queries=HeldOutQueries(n=10)))[
            "embeddings"
        ]

    assert embeddings() == "built"
    assert embeddings(batch_size=5, workers=1) == "reused"
    assert embeddings(dtype="bfloat16") == "built"
    assert embeddings(pooling="mean") == "built"

    preprocessing = checkpoint / "preprocessor_config.json"
    settings = json.loads(preprocessing.read_text())
    preprocessing.write_text(json.dumps(settings | {"image_mean": [0.1, 0.2, 0.3]}))
    assert embeddings() == "built"

    weights = checkpoint / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert embeddings() == "built"
    assert embeddings() == "reused"


def test_a_lower_precision_reports_what_it_keeps(run_of: RunOf, checkpoint: Path) -> None:
    record = run_of(model=siglip(checkpoint, dtype="bfloat16"), queries=HeldOutQueries(n=10))
    assert 0.3 < record.extras["kept_top10"] <= 1
    assert record.extras["kept_top10_sample"] == 70
    assert "kept_top10" not in run_of(model=siglip(checkpoint), queries=HeldOutQueries(n=10)).extras
