"""How long it takes to index the shards of a gallery apart and merge them, against one go.

The baseline is `build_index` as a run calls it: train on a sample, add shard by shard, write, hash, publish.
Ours is the same with `index.shards_apart=true`: train on the same sample, make an artifact of every shard's
index, read them all again, check that they belong together, merge, write, hash, publish. Both end with the
same file, which is verified. One process does everything; that the parts could be built by as many machines
is what shards apart are for, and is not counted. The ratio is of median wall seconds over alternating rounds,
the goal at most 1.15.

Training is part of both. ``without_training`` is the same ratio of what comes after it (adding, reading,
writing, merging), where shards apart have to write and read everything once more.

    python benchmarks/merge_vs_single.py [--size tiny|small|full]

tiny: 2,000 × 16 and IVF16,Flat; small: 100,000 × 256 and IVF1024,Flat (4·√N lists, as index=ivf_flat
advises); full: 1,000,000 × 768 and IVF1024,Flat (fewer lists, so less training to hide behind; 5 GB of
memory, 13 GB of disk). Ten shards; vectors are those of dataset=synthetic.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path

from harness import alternate, chosen_size, conclude, median, rounded, workplace
from lookalike.datasets import open_dataset
from lookalike.embed.embedder import Embedder
from lookalike.embed.embeddings import Embeddings
from lookalike.embed.models import open_model
from lookalike.index.build import IndexArtifacts, build_index
from lookalike.index.families.ivf_flat import IvfFlatIndex
from lookalike.schemas import PixelsModel, SyntheticDataset
from lookalike.store.store import Store

ROWS = {"tiny": 2_000, "small": 100_000, "full": 1_000_000}
DIM = {"tiny": 16, "small": 256, "full": 768}
NLIST = {"tiny": 16, "small": 1024, "full": 1024}
ROUNDS = {"tiny": 1, "small": 3, "full": 3}
SHARDS = 10
GOAL = 1.15


class Builder:
    """Builds the same index again and again, each time into a new store; the last of each kind stays."""

    def __init__(self, gallery: Embeddings, config: IvfFlatIndex, folder: Path) -> None:
        self.gallery, self.config, self.folder = gallery, config, folder
        self.train_seconds: list[float] = []
        self.built: IndexArtifacts | None = None

    def __call__(self) -> float:
        """Wall seconds of one build."""
        shutil.rmtree(self.folder, ignore_errors=True)
        start = time.perf_counter()
        self.built = build_index(self.config, self.gallery, Store(self.folder))
        seconds = time.perf_counter() - start
        self.train_seconds.append(self.built.train_seconds)
        return seconds

    @property
    def sha256(self) -> str:
        """Hash of the index file that was built last."""
        if self.built is None or self.built.index is None:
            raise RuntimeError("nothing was built")
        return str(self.built.index.manifest["files"]["index.faiss"]["sha256"])


def main() -> None:
    """Embed, warm up, alternate, compare, conclude."""
    size = chosen_size(__doc__)
    with workplace() as folder:
        gallery = embedded(folder, ROWS[size], DIM[size])
        config = IvfFlatIndex(nlist=NLIST[size])
        apart = Builder(gallery, replace(config, shards_apart=True), folder / "apart")
        one_go = Builder(gallery, config, folder / "one go")
        if size != "full":
            one_go()  # files are in the page cache now
            one_go.train_seconds.clear()
        ours, theirs = alternate(ROUNDS[size], apart, one_go)
        if apart.sha256 != one_go.sha256:
            raise RuntimeError("the merged index is not the one built in one go")
    after = [
        median([whole - train for whole, train in zip(seconds, builder.train_seconds, strict=True)])
        for seconds, builder in ((ours, apart), (theirs, one_go))
    ]
    conclude(
        "merge_vs_single",
        size,
        median(ours) / median(theirs),
        GOAL,
        "one go",
        without_training=round(after[0] / after[1], 4),
        samples={"apart": rounded(ours), "one go": rounded(theirs)},
        n=ROWS[size],
        d=DIM[size],
        nlist=NLIST[size],
        shards=SHARDS,
    )


def embedded(folder: Path, rows: int, dim: int) -> Embeddings:
    """A synthetic gallery in ten shards, in a store of its own."""
    dataset = SyntheticDataset(n=rows, dim=dim, shard_size=-(-rows // SHARDS))
    model = PixelsModel()  # not used: the vectors are ready
    embedder = Embedder.of(open_model(model), model, Store(folder / "embeddings"))
    return embedder.embed(open_dataset(dataset))


if __name__ == "__main__":
    main()
