"""What was interrupted goes on from its blocks, with the batch size that it had."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lookalike.embed.blocks import BLOCK_ROWS, Block
from lookalike.embed.embedder import Embedder
from lookalike.embed.embeddings import Embeddings
from lookalike.store.store import Store
from tests.embed.grey import Grey, GreyEncoder, embed, grey_images


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
    assert model.images == len(values) - BLOCK_ROWS == len(values) - resumed.artifacts[0].facts["resumed"]
    assert resumed.artifacts[0].manifest["files"] == whole.artifacts[0].manifest["files"]


def test_a_cut_off_block_is_embedded_again(tmp_path: Path) -> None:
    path = tmp_path / "block.npz"
    Block(np.ones((4, 3), np.float32), [0, 1, 2, 3], [(4, "truncated")]).save(path)
    assert Block.load(path).rows == [0, 1, 2, 3]
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ValueError, match="damaged"):
        Block.load(path)


def test_no_flipped_byte_of_a_block_goes_unnoticed(tmp_path: Path) -> None:
    path = tmp_path / "block.npz"
    vectors = np.random.default_rng(0).random((4, 3), np.float32)
    Block(vectors, [0, 1, 2, 3], [(4, "truncated")]).save(path)
    content = path.read_bytes()
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :])
        with suppress(ValueError):  # the archive's dates and the like may be anything
            block = Block.load(path)
            np.testing.assert_array_equal(block.vectors, vectors)
            assert (block.rows, block.bad) == ([0, 1, 2, 3], [(4, "truncated")])


def test_the_probed_batch_size_is_kept_beside_the_embeddings(store: Store) -> None:
    assert embed(store, grey_images([1, 2])).artifacts[0].facts["batch_size"] == 7
    assert embed(store, grey_images([5]), batch_size=2).artifacts[0].facts["batch_size"] == 2


class Probed(Grey):
    """Finds another batch size each time that it is asked."""

    def __init__(self, *sizes: int, **options: Any) -> None:
        super().__init__(**options)
        self.sizes = list(sizes)

    def load(self) -> GreyEncoder:
        encoder = GreyEncoder(self)
        encoder.pick_batch_size = lambda sample: self.sizes.pop(0)  # type: ignore[method-assign]
        return encoder


def batch_sizes(embeddings: Embeddings) -> list[int]:
    return [artifact.facts["batch_size"] for artifact in embeddings.artifacts]


def test_what_was_interrupted_goes_on_with_the_batch_size_that_it_had_found(store: Store) -> None:
    images = grey_images(list(range(50)))
    with pytest.raises(KeyboardInterrupt):
        embed(store, images, Probed(5, fail_after=30), workers=1, block_rows=10)
    resumed = embed(store, images, Probed(), workers=1, block_rows=10)
    assert batch_sizes(resumed) == [5]
    assert resumed.artifacts[0].facts["resumed"] > 0


@pytest.mark.parametrize("note", ["", "[", "null", '"many"'])
def test_a_note_of_the_batch_size_that_says_nothing_is_probed_again(store: Store, note: str) -> None:
    images = grey_images(list(range(50)))
    with pytest.raises(KeyboardInterrupt):
        embed(store, images, Probed(5, fail_after=30), workers=1, block_rows=10)
    [path] = store.root.glob("scratch/*/batch_size.json")
    path.write_text(note)
    assert batch_sizes(embed(store, images, Probed(4), workers=1, block_rows=10)) == [4]


def test_all_shards_and_later_runs_share_one_probe(store: Store) -> None:
    first = embed(store, grey_images(list(range(9)), shard_size=3), Probed(5), workers=1)
    assert batch_sizes(first) == [5, 5, 5]
    assert batch_sizes(embed(store, grey_images([77]), Probed(), workers=1)) == [5]


def test_a_configured_batch_size_is_nobody_elses(store: Store) -> None:
    embed(store, grey_images([1]), batch_size=2)
    assert batch_sizes(embed(store, grey_images([2]), Probed(6), workers=1)) == [6]


def test_chosen_shards_are_the_artifacts_of_the_whole(store: Store) -> None:
    images = grey_images(list(range(25)), bad=[13], max_bad_fraction=0.05, shard_size=10)
    model = Grey()
    chosen = Embedder(model, store).embed_shards(images, [2, 1])
    assert model.images == 5 + 9
    assert [row for row, _ in chosen.bad] == [13]
    whole = embed(store, images)
    assert [artifact.key for artifact in chosen.artifacts] == [whole.keys[2], whole.keys[1]]
    assert [artifact.reused for artifact in whole.artifacts] == [False, True, True]
