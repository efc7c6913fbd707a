"""Captions asked of imported embeddings: by the text tower of the model that the user names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lookalike.cli import main
from lookalike.embed.models import open_model
from lookalike.schemas import TransformersModel
from tests.checkpoints import make_tiny_clip, make_tiny_siglip
from tests.pipeline.command_line import Ended, records

Run = Callable[..., Ended]
CAPTIONS = ["a photo of a cat", "a red house", "two small dogs", "a blue house", None, "a red house"]
OTHERS = 30


@pytest.fixture(scope="module")
def siglip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_siglip(tmp_path_factory.mktemp("siglip"))


@pytest.fixture
def world(tmp_path: Path, siglip: Path) -> Path:
    """Vectors that lie where their captions do, in clip-retrieval's layout, among others without captions."""
    encoder = open_model(TransformersModel(name_or_path=str(siglip))).load()
    near = encoder.encode_texts([caption or "dog" for caption in CAPTIONS])
    far = np.random.default_rng(0).standard_normal((OTHERS, near.shape[1])).astype(np.float32)
    for folder in ("img_emb", "metadata"):
        (tmp_path / folder).mkdir()
    np.save(tmp_path / "img_emb/img_emb_0.npy", np.concatenate([near, far]))
    names = [f"{row}.jpg" for row in range(len(CAPTIONS) + OTHERS)]
    table = {"image_path": names, "caption": [*CAPTIONS, *[None] * OTHERS]}
    pq.write_table(pa.table(table), tmp_path / "metadata/metadata_0.parquet")
    return tmp_path


@pytest.fixture
def run(world: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    def perform(*overrides: str) -> Ended:
        capfd.readouterr()
        code = main(
            [
                "run",
                f"paths.root={world / 'home'}",
                "dataset=embeddings",
                f"dataset.root={world}",
                "dataset.normalize=true",  # as the captions are
                "queries=captions",
                "index=flat",
                "index.threads=1",
                "search.k=5",
                "search.modes=[batch]",
                "search.repeats=1",
                "tracking=none",
                *overrides,
            ]
        )
        return Ended(code, *capfd.readouterr())

    return perform


def test_captions_find_the_vectors_of_their_images(run: Run, world: Path, siglip: Path) -> None:
    ended = run("dataset.caption_column=caption", "model=transformers", f"model.name_or_path={siglip}")
    assert ended.code == 0, ended.err
    [record] = records(world / "home")
    assert record["data"]["query_count"] == sum(caption is not None for caption in CAPTIONS)
    [point] = record["points"]
    assert point["curves"]["hit_rate"]["1"] == 1, "a caption lies where its vector does"


def test_a_model_of_other_dimensions_is_found_out(run: Run, tmp_path_factory: pytest.TempPathFactory) -> None:
    clip = make_tiny_clip(tmp_path_factory.mktemp("clip"))
    ended = run("dataset.caption_column=caption", "model=transformers", f"model.name_or_path={clip}")
    assert (
        "queries have 24 dimensions and the gallery has 32; embed both with the same model" in ended.refusal()
    )


def test_the_model_has_to_be_named(run: Run) -> None:
    ended = run("dataset.caption_column=caption")
    assert "model=efficientnet_lite0 has no text tower" in ended.refusal()


def test_without_a_column_of_captions_nothing_starts(run: Run, siglip: Path, world: Path) -> None:
    ended = run("model=transformers", f"model.name_or_path={siglip}")
    assert "queries=captions needs dataset.caption_column" in ended.refusal()
    assert records(world / "home") == []
