"""A preempted embedding goes on from its last block, however the scheduler takes its node away."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lookalike.embed.blocks import BLOCK_ROWS
from tests.slurm.conftest import Site, eventually, submitted, suspend, wake

IMAGES = 8 * BLOCK_ROWS + 200
"""More than a job gets through in the seconds that SLURM leaves it to end."""


@pytest.fixture
def pictures(site: Site) -> Path:
    """Nine blocks of pictures, large enough that a block takes a moment."""
    folder = site.home / "pictures"
    folder.mkdir()
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((480, 360)).save(file, "JPEG", quality=90)
    (folder / "00000.jpg").write_bytes(file.getvalue())
    for number in range(1, IMAGES):
        (folder / f"{number:05}.jpg").hardlink_to(folder / "00000.jpg")
    return folder


@pytest.mark.parametrize("by", ["its node is taken away", "it is warned"])
def test_an_embedding_goes_on_from_its_last_block(site: Site, pictures: Path, by: str) -> None:
    sweep = site.start(
        site.sweep(
            "dataset=folder",
            f"dataset.root={pictures}",
            "model=pixels",
            "model.workers=1",
            "queries=in_gallery",
            "index=flat",
            "sweep.name=preempted",
        )
    )
    owner = eventually("a finished block", lambda: embedder_with_a_block(site))
    assert isinstance(owner, dict)
    suspend(owner["pid"])
    assert not site.artifacts("embeddings"), "it was suspended too late to be preempted"
    if by == "it is warned":  # as before its time is over, and by many a site before preemption
        site.cluster.call("scancel", "--signal=USR2", owner["job"])
        wake(owner["pid"])
    else:
        site.cluster.call("scontrol", "requeue", owner["job"])
    site.cluster.start_again(owner["job"])
    _, said = sweep.communicate(timeout=300)

    assert sweep.returncode == 0, said
    job = submitted(said)["build"]
    assert int(site.cluster.field(job, "Restarts")) == 1
    gallery = max(site.artifacts("embeddings"), key=vectors)
    facts = manifest(gallery)["facts"]
    assert facts["resumed"] >= BLOCK_ROWS
    assert facts["vectors"] == IMAGES
    [record] = (site.home / "multirun" / "preempted").glob("*/record.json")
    assert json.loads(record.read_bytes())["status"] == "finished"


def embedder_with_a_block(site: Site) -> dict[str, Any] | None:
    """The owner of a lease whose workbench holds a block."""
    for block in (site.store / "scratch").glob("*.workbench/block-*.npz"):
        lease = site.store / "leases" / block.parent.name.partition(".")[0]
        if lease.exists():
            owner: dict[str, Any] = json.loads(lease.read_bytes())["owner"]
            return owner
    return None


def manifest(artifact: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((artifact / "manifest.json").read_bytes())
    return content


def vectors(artifact: Path) -> int:
    return int(manifest(artifact)["facts"]["vectors"])
