"""What every stage makes of a tiny input, coarsely, beside the version of the code that made it.

When code changes what a stage produces, its line here fails: raise the stage's version, so that no store
reuses what the old code made, and pin the new digest.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from PIL import Image

from lookalike.datasets.duplicates import DUPLICATES_VERSION
from lookalike.embed.embeddings import Embeddings
from lookalike.embed.models import open_model
from lookalike.embed.models.efficientnet_lite0 import Lite0Encoder
from lookalike.embed.shards import EMBEDDINGS_VERSION
from lookalike.evaluate.exact import EXACT_VERSION
from lookalike.index.build import INDEX_VERSION, TRAINED_VERSION, build_index
from lookalike.index.families.flat import FlatIndex
from lookalike.index.families.ivf_flat import IvfFlatIndex
from lookalike.index.serving import SERVING_VERSION, serving_memory
from lookalike.queries.edits import EDITS, EDITS_VERSION
from lookalike.runs.preparation import Prepared, prepare
from lookalike.runs.session import Session, StageLog
from lookalike.schemas import EfficientNetLite0Model
from tests.pipeline.conftest import small_experiment


def digest(values: Any, step: float = 0.01) -> str:
    """Of numbers rounded so coarsely that no processor's arithmetic shows."""
    rounded = np.round(np.asarray(values, np.float64) / step).astype(np.int64)
    return hashlib.sha256(rounded.tobytes()).hexdigest()[:12]


@pytest.fixture
def session(tmp_path: Path, pictures: Path) -> Session:
    return Session(small_experiment(tmp_path, pictures))


@pytest.fixture
def ready(tmp_path: Path, pictures: Path, session: Session) -> Prepared:
    return prepare(small_experiment(tmp_path, pictures), session, StageLog(session))


def test_embeddings(ready: Prepared) -> None:
    assert (EMBEDDINGS_VERSION, digest(ready.gallery.matrix[:4, :16])) == (2, "6f3261f0b644")


def test_embeddings_of_the_default_model() -> None:
    encoder = open_model(EfficientNetLite0Model()).load()
    assert isinstance(encoder, Lite0Encoder)
    picture = Image.radial_gradient("L").convert("RGB")
    features = encoder.encode_images([encoder.preprocess(picture)])
    assert (EMBEDDINGS_VERSION, digest(features[0, :16], 0.05)) == (2, "afc181e0515f")


@pytest.mark.parametrize(
    ("edit", "pinned"),
    [
        ("crop", "243bd9a83d68"),
        ("resize", "91071ff35bb3"),
        ("rotate", "b80d5700f4d7"),
        ("jpeg", "fd7f4127006a"),
        ("blur", "a204c60e7441"),
        ("colour", "1af25f2af133"),
        ("overlay", "453e82c29af8"),
    ],
)
def test_edits(edit: str, pinned: str) -> None:
    tiles = np.random.default_rng(1).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    picture = Image.fromarray(tiles).resize((96, 96), Image.Resampling.NEAREST)
    edited = EDITS[edit](picture, np.random.default_rng(3))
    small = np.asarray(edited.resize((16, 16), Image.Resampling.BOX))
    assert (EDITS_VERSION, digest([*edited.size, *small.ravel()], 12)) == (1, pinned)


def test_exact_neighbours(ready: Prepared) -> None:
    assert (EXACT_VERSION, digest(ready.exact.rows[:5, :5], 1)) == (1, "42b9d6cad93e")


def test_duplicates(ready: Prepared) -> None:
    assert ready.duplicates is not None
    assert (DUPLICATES_VERSION, digest(ready.duplicates, 1)) == (2, "c8160ed51966")


def test_trained_quantiser_and_index(session: Session) -> None:
    generator = np.random.default_rng(2)
    centres = 5 * np.eye(4, 8)
    vectors = centres[generator.integers(4, size=200)] + 0.01 * generator.standard_normal((200, 8))
    gallery = Embeddings.from_array(vectors)
    built = build_index(IvfFlatIndex(nlist=4), gallery, session.store)
    assert built.trained is not None and built.index is not None
    trained = faiss.read_index(str(built.trained.file("trained.faiss")))
    centroids = np.sort(trained.quantizer.reconstruct_n(0, 4), axis=0)
    filled = faiss.read_index(str(built.index.file("index.faiss")))
    _, rows = filled.search(gallery.matrix[:5], 5)
    assert (TRAINED_VERSION, digest(centroids, 0.5)) == (1, "20c2a8fb602f")
    assert (INDEX_VERSION, digest(rows, 1)) == (1, "ca65b841c722")


def test_serving(ready: Prepared, session: Session) -> None:
    built = build_index(FlatIndex(), ready.gallery, session.store)
    facts = serving_memory(FlatIndex(), built, ready.gallery, session.store).facts
    assert (SERVING_VERSION, sorted(facts)) == (
        1,
        ["anonymous_bytes", "file_backed_bytes", "serving_memory_bytes"],
    )
