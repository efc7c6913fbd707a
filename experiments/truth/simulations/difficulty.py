"""Do the numbers of difficulty tell hard queries, and queries from elsewhere?

Local intrinsic dimension: queries and 6,000 vectors spread evenly in cubes whose dimension is known. Loss:
100 neighbours of 400 queries, by quarter of the queries' dimension, in mixtures of 60 clusters of 3 to 24
dimensions which overlap or lie apart, and in the images of the default experiment (its model, queries and
all). Queries from elsewhere: the gallery's own kind, moved aside by a multiple of the distance to their 10th
neighbour.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import faiss
import numpy as np
import pandas as pd

import lookalike
from lookalike.embed.embeddings import Embeddings
from lookalike.evaluate.difficulty import (
    Difficulty,
    by_quarter,
    intrinsic_dimension,
    query_difficulty,
    ratio_of_medians,
)
from lookalike.evaluate.exact import nearest_vectors
from lookalike.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.figure import Figure

SIZE, SMALL = 30, 1
DIMENSIONS, NEIGHBOURS = (2, 4, 8, 16, 32), (20, 50, 100)
SHIFTS = (0.0, 0.25, 0.5, 1.0, 2.0)
GALLERY, QUERIES, WIDTH, K = 6_000, 400, 48, 100
INDEXES = {"IVF": "IVF150,Flat", "HNSW": "HNSW16,Flat"}
IMAGES = "images"
GALLERIES = {"overlapping": 0.6, "apart": 2.0}
"""How far the clusters' centres lie from each other, in standard deviations of a cluster."""


def simulate(seed: int, size: int) -> pd.DataFrame:
    """A line for each part, setting and place on its axis: mean value over the trials, and its spread."""
    rng = np.random.default_rng(seed)
    trials = [line for _ in range(size) for line in _trial(rng)]
    frame = pd.DataFrame([*trials, *_real_images(size)])
    grouped = frame.groupby(["part", "setting", "place"], sort=False)["value"]
    table = grouped.agg(value="mean", spread=lambda values: values.std(ddof=0), trials="count")
    return table.reset_index()


def _trial(rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    yield from _dimensions(rng)
    for name, apart in GALLERIES.items():
        points = mixture(rng, apart)
        yield from _losses(name, points[QUERIES:], points[:QUERIES])
    points = mixture(rng, GALLERIES["overlapping"])
    yield from _ratios(rng, points[QUERIES:], points[:QUERIES])


def _dimensions(rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    for dimension in DIMENSIONS:
        points = rng.random((GALLERY + 200, dimension)).astype(np.float32)
        found = nearest_vectors(Embeddings.from_array(points[200:]), points[:200], "l2", max(NEIGHBOURS))
        distances = np.sqrt(found.scores.astype(np.float64))
        for neighbours in NEIGHBOURS:
            estimate = intrinsic_dimension(distances[:, :neighbours]).mean()
            yield {"part": "dimension", "setting": neighbours, "place": dimension, "value": estimate}


def mixture(rng: np.random.Generator, apart: float) -> np.ndarray:
    """Unit vectors, shuffled: clusters of several dimensions, with centres ``apart`` from each other."""
    sizes = np.full(60, (GALLERY + QUERIES) // 60 + 1)
    parts = []
    for size in sizes:
        inside = int(rng.choice([3, 6, 12, 24]))
        spread = rng.normal(size=(size, inside)) @ rng.normal(size=(inside, WIDTH)) / np.sqrt(inside)
        parts.append(apart * rng.normal(size=WIDTH) + spread)
    points = rng.permutation(np.concatenate(parts))[: GALLERY + QUERIES]
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


def _losses(name: str, gallery: np.ndarray, queries: np.ndarray) -> Iterator[dict[str, Any]]:
    difficulty = _difficulty(gallery, queries)
    exact = nearest_vectors(Embeddings.from_array(gallery), queries, "l2", K).rows
    sources = [str(query) for query in range(len(queries))]
    for index, factory in INDEXES.items():
        searched = faiss.index_factory(gallery.shape[1], factory)
        searched.train(gallery)
        searched.add(gallery)
        faiss.ParameterSpace().set_index_parameters(searched, "nprobe=4" if index == "IVF" else "efSearch=64")
        _, found = searched.search(queries, K)
        recall = np.array([np.isin(rows, answer).mean() for rows, answer in zip(found, exact, strict=True)])
        for place, quarter in enumerate(
            by_quarter(difficulty.lid, recall, sources, hardest="high", confidence=None), start=1
        ):
            yield {"part": "recall", "setting": f"{index}, {name}", "place": place, "value": quarter.mean}


def _ratios(rng: np.random.Generator, gallery: np.ndarray, queries: np.ndarray) -> Iterator[dict[str, Any]]:
    near = np.median(_difficulty(gallery, queries).distances)
    aside = rng.normal(size=WIDTH)
    aside /= np.linalg.norm(aside)
    for shift in SHIFTS:
        moved = queries + shift * near * aside
        moved /= np.linalg.norm(moved, axis=1, keepdims=True)
        found = ratio_of_medians(
            _difficulty(gallery, moved.astype(np.float32)), [str(query) for query in range(len(queries))]
        )
        assert found is not None
        middle, low, high = found
        for setting, value in (("ratio", middle), ("holds 1", low <= 1 <= high), ("above 1.1", low > 1.1)):
            yield {"part": "ratio", "setting": setting, "place": shift, "value": float(value)}


def _difficulty(gallery: np.ndarray, queries: np.ndarray) -> Difficulty:
    vectors, asked = (
        Embeddings.from_array(gallery, key="gallery"),
        Embeddings.from_array(queries, key="queries"),
    )
    exact = nearest_vectors(vectors, queries, "l2", K)
    with tempfile.TemporaryDirectory() as folder:
        return query_difficulty(vectors, asked, exact, "l2", Store(Path(folder)))


def _real_images(size: int) -> Iterator[dict[str, Any]]:
    """The default experiment with two indexes; not for a single trial, because embedding takes a minute."""
    if size == SMALL:
        return
    with tempfile.TemporaryDirectory() as folder:
        root = os.environ.get("LOOKALIKE_HOME", folder)  # where embeddings may be found again
        for index, overrides in {
            "IVF": ["index=ivf_flat"],
            "HNSW": ["index=hnsw", "search.ef_search=32"],
        }.items():
            experiment = lookalike.compose(
                *overrides, "search.seconds=0.01", "search.modes=[batch]", "tracking=none", root=root
            )
            [point] = lookalike.run_experiment(experiment, quiet=True).points
            for place, quarter in enumerate(point.by_difficulty["lid"], start=1):
                setting = f"{index}, {IMAGES}"
                yield {"part": "recall", "setting": setting, "place": place, "value": quarter["mean"]}


def finding(frame: pd.DataFrame) -> str:
    """In words and tables."""
    dimension, recall, ratio = (_table(frame, part) for part in ("dimension", "recall", "ratio"))
    hundred = dimension.loc[str(max(NEIGHBOURS))]
    losses = {name: row.iloc[0] - row.iloc[-1] for name, row in recall.iterrows()}
    hard = [f"{name} (by {loss:.3f})" for name, loss in losses.items() if loss > 0]
    easy = [f"{name} (by {-loss:.3f})" for name, loss in losses.items() if loss < 0]
    lines = [
        "The dimension is right where it is low, and too low where neighbours are far: of a cube of "
        + ", ".join(f"{dim:g} dimensions {value:.1f}" for dim, value in hundred.items())
        + f" ({max(NEIGHBOURS)} neighbours; the cube has an edge, and {GALLERY:,} vectors do not fill it). "
        "It orders queries; it is no number to quote alone.",
        "",
        *_markdown("neighbours", dimension, "{:.1f}"),
        "",
        f"From the quarter of the lowest dimension to that of the highest recall falls with {'; '.join(hard)}"
        + (
            f"; it rises with {'; '.join(easy)}: what is hard for one index need not be for another"
            if easy
            else ""
        )
        + ". The report says of each point which it is.",
        "",
        *_markdown("quarter", recall, "{:.3f}"),
        "",
        f"Queries of the gallery's kind lie {ratio.loc['ratio', 0.0]:.2f} × as far as the gallery itself; "
        f"the interval holds 1 in {ratio.loc['holds 1', 0.0]:.0%} of the trials. Moved aside by the distance "
        f"to their 10th neighbour, {ratio.loc['ratio', 1.0]:.2f} × as far, all of the interval is above 1.1 "
        f"in {ratio.loc['above 1.1', 1.0]:.0%} of the trials.",
        "",
        *_markdown("moved by", ratio, "{:.2f}"),
    ]
    return "\n".join(lines)


def failures(frame: pd.DataFrame) -> list[str]:
    """What does not order as it should, and queries of the gallery that are taken for others."""
    dimension, recall, ratio = (_table(frame, part) for part in ("dimension", "recall", "ratio"))
    said = []
    for neighbours, row in dimension.iterrows():
        if not row.is_monotonic_increasing or abs(row[2.0] / 2 - 1) > 0.1:
            said.append(f"the dimension from {neighbours} neighbours is wrong")
    for name in ("IVF, overlapping", "HNSW, overlapping", f"IVF, {IMAGES}", f"HNSW, {IMAGES}"):
        if name in recall.index and recall.loc[name].iloc[-1] >= recall.loc[name].iloc[0]:
            said.append(f"{name}: hard queries lose no more than easy ones")
    if ratio.loc["holds 1", 0.0] < 0.9:
        said.append("queries of the gallery's kind are taken for others")
    if (
        ratio.loc["holds 1", 1.0] > 0
        or ratio.loc["above 1.1", 2.0] < 1
        or not ratio.loc["ratio"].is_monotonic_increasing
    ):
        said.append("queries from elsewhere are not seen")
    return said


def draw(frame: pd.DataFrame) -> Figure:
    """The three parts side by side."""
    from matplotlib import pyplot as plt
    from matplotlib.ticker import FixedLocator, NullLocator

    figure, panels = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    for panel, part in zip(panels, ("dimension", "recall", "ratio"), strict=True):
        for setting, row in _table(frame, part).iterrows():
            if part != "ratio" or setting == "ratio":
                panel.plot(row.index, row, marker="o", ms=4, label=setting)
        panel.grid(alpha=0.3)
    panels[0].plot(DIMENSIONS, DIMENSIONS, color="grey", lw=0.8, label="truth")
    panels[0].set(
        xscale="log", yscale="log", xlabel="dimension of the cube", title="local intrinsic dimension"
    )
    panels[0].legend(title="neighbours")
    for axis in (panels[0].xaxis, panels[0].yaxis):
        axis.set_major_locator(FixedLocator(DIMENSIONS))
        axis.set_major_formatter("{x:.0f}")
        axis.set_minor_locator(NullLocator())
    panels[1].set(xlabel="quarter of the queries, by dimension", xticks=range(1, 5), title="recall")
    panels[1].legend(fontsize=7)
    panels[2].axhline(1, color="grey", lw=0.8)
    panels[2].set(xlabel="moved by × the 10th distance", title="times as far as the gallery itself")
    return figure


def _table(frame: pd.DataFrame, part: str) -> pd.DataFrame:
    lines = frame[frame.part == part].assign(setting=lambda lines: lines.setting.astype(str))
    return lines.pivot(index="setting", columns="place", values="value").reindex(lines.setting.unique())


def _markdown(corner: str, table: pd.DataFrame, form: str) -> list[str]:
    return [
        f"| {corner} | " + " | ".join(f"{place:g}" for place in table.columns) + " |",
        "| :--- |" + " ---: |" * len(table.columns),
        *(f"| {name} | " + " | ".join(map(form.format, row)) + " |" for name, row in table.iterrows()),
    ]
