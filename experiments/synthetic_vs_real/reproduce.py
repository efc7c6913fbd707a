"""Run the study again: is an index's recall over made-up vectors what it is over a network's?

    python experiments/synthetic_vs_real/reproduce.py [--root FOLDER] [--n 20000]

The real vectors are those of EfficientNet-Lite0 over ``n`` seeded crops of emoji (about five minutes on two
cores); kept under FOLDER, they are not made again. Results, figure and the README's table are replaced here.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image

import lookalike
from lookalike.datasets import open_dataset
from lookalike.datasets.sets import ImageSet
from lookalike.embed.embedder import Embedder
from lookalike.embed.models import open_model
from lookalike.progress import RichProgress
from lookalike.runs.record import Record
from lookalike.schemas import EfficientNetLite0Model, TwemojiDataset
from lookalike.store.store import Store

matplotlib.use("Agg")

HERE = Path(__file__).parent
MARKS = ("<!-- results.csv -->", "<!-- end -->")
QUERIES = 1000
KS = (10, 100)
SHARES = (0.3, 1.0)
"""Of an emoji's area that a crop keeps: at least, at most."""
NAMES = {"real": "lite0 over crops of emoji", "synthetic": "dataset=synthetic"}


def main() -> None:
    """Embed, search both, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path())
    parser.add_argument("--n", type=int, default=20_000)
    options = parser.parse_args()
    root = options.root.resolve()
    vectors = embed_crops(root, options.n)
    rows, dim = vectors.shape
    file = root / "crops.npy"
    np.save(file, vectors)
    records = {
        "real": search(root, ["dataset=embeddings", f"dataset.root={file}", "dataset.normalize=true"], rows),
        "synthetic": search(root, ["dataset=synthetic", f"dataset.n={rows}", f"dataset.dim={dim}"], rows),
    }
    results = list(rows_of(records))
    with (HERE / "results.csv").open("w", encoding="utf-8", newline="") as table:
        writer = csv.DictWriter(table, list(results[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(results)
    draw(results, HERE / "recall.png")
    quote(results, f"{rows - QUERIES:,} × {dim} vectors and {QUERIES:,} queries held out of them")


def embed_crops(root: Path, n: int) -> np.ndarray:
    """float32 (about ``n``, 1280): equally many crops of each emoji."""
    emoji = open_dataset(replace(TwemojiDataset(), limit=min(n, 4009)))
    assert isinstance(emoji, ImageSet)
    each = -(-n // len(emoji))

    def crop(row: int) -> Image.Image:
        image, random = emoji.load(row // each), np.random.default_rng([row, 0])
        side = round(image.width * float(random.uniform(*SHARES)) ** 0.5)
        left, top = random.integers(image.width - side + 1, size=2).tolist()
        return image.crop((left, top, left + side, top + side))

    names = [f"{id_} {number}" for id_ in emoji.ids for number in range(each)]
    prints = [f"{SHARES} {fingerprint} {i}" for fingerprint in emoji.fingerprints for i in range(each)]
    crops = ImageSet(names, prints, names, crop, shard_size=10_000)
    config = EfficientNetLite0Model()
    progress = RichProgress()
    embedder = Embedder.of(open_model(config), config, Store(root / "store", progress=progress), progress)
    return np.array(embedder.embed(crops).matrix)


def search(root: Path, data: list[str], rows: int) -> Record:
    """IVF over one set of vectors, from one list of it to all."""
    nlist = 2 ** round(np.log2(4 * rows**0.5))
    ladder = [2**i for i in range(int(np.log2(nlist)) + 1)]
    experiment = lookalike.compose(
        *data,
        "queries=held_out",
        f"queries.n={QUERIES}",
        "index=ivf_flat",
        f"index.nlist={nlist}",
        f"search.nprobe={ladder}",
        "search.repeats=1",
        "tracking=none",
        root=root,
    )
    return lookalike.run_experiment(experiment)


def rows_of(records: dict[str, Record]) -> Iterator[dict[str, object]]:
    """A line a point: the share of the lists that it visits, and its recalls with their intervals."""
    for name, record in records.items():
        for point in record.points:
            nlist, nprobe = point.index_settings["nlist"], point.settings["nprobe"]
            line: dict[str, object] = {"vectors": name, "nlist": nlist, "nprobe": nprobe}
            for k in KS:
                low, high = point.intervals["knn_recall"][str(k)]
                line |= {f"knn_recall_at_{k}": round(point.curves["knn_recall"][str(k)], 4)}
                line |= {f"low_at_{k}": round(low, 4), f"high_at_{k}": round(high, 4)}
            yield line


def draw(results: list[dict[str, object]], path: Path) -> None:
    """Recall against the lists that are visited, a panel for each k."""
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, len(KS), figsize=(9, 3.6), sharey=True, layout="constrained")
    for panel, k in zip(panels, KS, strict=True):
        for name, title in NAMES.items():
            lines = [line for line in results if line["vectors"] == name]
            nprobe = [line["nprobe"] for line in lines]
            panel.plot(nprobe, [line[f"knn_recall_at_{k}"] for line in lines], marker="o", label=title)
            panel.fill_between(
                nprobe,
                [line[f"low_at_{k}"] for line in lines],
                [line[f"high_at_{k}"] for line in lines],
                alpha=0.2,
            )
        panel.set(xscale="log", xlabel=f"lists visited of {results[0]['nlist']}", title=f"knn_recall@{k}")
        panel.grid(alpha=0.3)
    panels[0].legend()
    figure.savefig(path, dpi=150)


def quote(results: list[dict[str, object]], data: str) -> None:
    """Put the table into the README, between its marks."""
    by_name = {name: [line for line in results if line["vectors"] == name] for name in NAMES}
    lines = [
        f"{data}, nlist {results[0]['nlist']}.",
        "",
        "| nprobe | " + " | ".join(f"@{k} {name}" for k in KS for name in NAMES) + " |",
        "| ---: |" + " ---: |" * (len(KS) * len(NAMES)),
    ]
    for pair in zip(*by_name.values(), strict=True):
        cells = [f"{one[f'knn_recall_at_{k}']:.3f}" for k in KS for one in pair]
        lines.append(f"| {pair[0]['nprobe']} | " + " | ".join(cells) + " |")
    readme = HERE / "README.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    table = "\n".join(lines)
    readme.write_text(f"{before}{MARKS[0]}\n\n{table}\n\n{MARKS[1]}{after}", encoding="utf-8")
    print(json.dumps({"vectors": data, "points": len(results)}))


if __name__ == "__main__":
    main()
