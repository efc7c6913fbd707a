from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import checkpoints
from lookalike.store.store import Store


@pytest.fixture(scope="session")
def siglip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoints.make_tiny_siglip(tmp_path_factory.mktemp("siglip"))


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoints.make_tiny_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="session")
def dinov2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoints.make_tiny_dinov2(tmp_path_factory.mktemp("dinov2"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture(scope="session")
def images() -> list[Image.Image]:
    """Eight coarse random patterns of different sizes and shapes."""
    rng = np.random.default_rng(7)
    patterns = [Image.fromarray(rng.integers(0, 256, (6, 5, 3), dtype=np.uint8)) for _ in range(8)]
    return [pattern.resize((40 + 9 * i, 90 - 7 * i)) for i, pattern in enumerate(patterns)]
