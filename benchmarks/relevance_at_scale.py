"""What leave-one-out over a whole gallery costs beyond the search: relevance, all measures, results by class.

Every image is a query, once with all images in 10 classes and once with 10 images a class; the neighbours,
100 for each, are there already. The baseline does by hand what a careful numpy user would: labels compared
with labels block by block, cumulative sums, a bootstrap (our intervals need none), and for each class its
share of right first results and what the others are. Ours counts ties, repeated and missing rows as well. The
ratio is our seconds / the baseline's, the larger of the two cases; the goal is at most 2. Each is done in a
fresh process; the peak of its memory holds the found neighbours (1.2 GB of the full size) and the exact ones
as far as they are mapped.

    python benchmarks/relevance_at_scale.py [--size tiny|small|full]

tiny: 2,000 images; small: 50,000; full: 1,000,000 (2 GB of disk).
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness import chosen_size, conclude, workplace
from lookalike.machine.environment import MemoryMeter

IMAGES = {"tiny": 2_000, "small": 50_000, "full": 1_000_000}
RESAMPLES = {"tiny": 50, "small": 1_000, "full": 1_000}
K = 100
CUTOFFS = [1, *range(10, K + 1, 10)]
TOLERANCE = 1e-5
GOAL = 2.0
AT_ONCE = 20_000
"""Queries that the baseline looks at together."""


def main() -> None:
    size = chosen_size(__doc__)
    images = IMAGES[size]
    cases = {"10 classes": 10, f"{images // 10:,} classes": images // 10}
    measured: dict[str, dict[str, Any]] = {}
    with workplace() as folder:
        apart(make_neighbours, folder, images)
        for case, classes in cases.items():
            ours = apart(lookalike_measures, folder, classes, RESAMPLES[size])
            theirs = apart(numpy_measures, folder, classes, RESAMPLES[size])
            if ours.pop("worst") != theirs.pop("worst"):
                raise RuntimeError(f"{case}: the worst class is another by hand")
            for name, mean in theirs.pop("means").items():
                if abs(ours["means"][name] - mean) > 1e-9:
                    raise RuntimeError(f"{case}: {name} is {ours['means'][name]} here and {mean} by hand")
            del ours["means"]
            measured[case] = {"lookalike": ours, "numpy": theirs}
            said = [
                f"{who} {told['seconds']:.1f} s, {told['peak_rss_bytes'] / 1e9:.2f} GB"
                for who, told in measured[case].items()
            ]
            print(f"  {images:,} images in {case}: {'; '.join(said)}", flush=True)
    conclude(
        "relevance_at_scale",
        size,
        max(case["lookalike"]["seconds"] / case["numpy"]["seconds"] for case in measured.values()),
        GOAL,
        baseline="the seconds of plain numpy",
        images=images,
        k=K,
        resamples=RESAMPLES[size],
        cases=measured,
    )


def apart(work: Callable[..., Any], *arguments: Any) -> Any:
    """What ``work`` returns, from a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, arguments)


def make_neighbours(folder: Path, images: int) -> None:
    """Found and exact neighbours of every image, the image itself first; one in ten was not found."""
    rng = np.random.default_rng(0)
    shape = (images, K + 2)
    exact, found = (
        np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.int64, shape)
        for name in ("exact", "found")
    )
    scores = np.lib.format.open_memmap(folder / "scores.npy", "w+", np.float32, shape)
    steps = np.cumsum(rng.integers(1, max(2, images // (K + 2) // 2), K + 1))
    for first in range(0, images, AT_ONCE):
        part = slice(first, min(first + AT_ONCE, images))
        own = np.arange(part.start, part.stop)[:, None]
        exact[part] = (own + np.concatenate([[0], steps])) % images
        scores[part] = np.linspace(0, 1, K + 2, dtype=np.float32)
        lost = rng.random((len(own), K + 2)) < 0.1
        lost[:, 0] = False
        order = np.argsort(lost, axis=1, kind="stable")
        found[part] = np.where(
            np.take_along_axis(lost, order, axis=1), -1, np.take_along_axis(exact[part], order, axis=1)
        )
    np.save(folder / "labels.npy", rng.permutation(images))


def labels_of(folder: Path, classes: int) -> npt.NDArray[np.int64]:
    labels: npt.NDArray[np.int64] = np.load(folder / "labels.npy") % classes
    return labels


def found_scores(found: npt.NDArray[np.int64], exact: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """The distances of the found rows: each where it stands among the exact ones, infinity when missing."""
    scores = np.full(found.shape, np.inf, np.float32)
    distances = np.linspace(0, 1, found.shape[1], dtype=np.float32)
    for first in range(0, len(found), AT_ONCE):
        part = slice(first, first + AT_ONCE)
        steps = (exact[0] - exact[0, 0])[None, :]
        place = np.searchsorted(steps[0], (found[part] - exact[part, :1]) % len(found))
        scores[part] = np.where(found[part] < 0, np.inf, distances[np.minimum(place, found.shape[1] - 1)])
    return scores


def lookalike_measures(folder: Path, classes: int, resamples: int) -> dict[str, Any]:
    """Seconds, peak memory and means of the plan, its relevance and the evaluation of one point."""
    from lookalike.datasets.sets import VectorSet
    from lookalike.evaluate.classes import NumberedClasses
    from lookalike.evaluate.evaluation import Reference, evaluate
    from lookalike.evaluate.exact import Neighbours
    from lookalike.queries import plan_queries
    from lookalike.queries.relevance import resolve_relevance
    from lookalike.schemas import LabelsQueries, Measures

    with MemoryMeter() as memory:
        labels = labels_of(folder, classes)
        names = [f"class {label}" for label in range(classes)]
        gallery = VectorSet(
            ids=[f"{row % 1_000:04}/{row:07}.jpg" for row in range(len(labels))],
            arrays=[np.zeros((len(labels), 1), np.float32)],
            files=["made up"],
            file_fingerprints=["made up"],
            labels=[names[label] for label in labels.tolist()],
        )
        exact = Neighbours(
            np.load(folder / "exact.npy", mmap_mode="r"), np.load(folder / "scores.npy", mmap_mode="r")
        )
        found = np.load(folder / "found.npy")
        scores = found_scores(found, exact.rows)
        start = time.perf_counter()
        plan = plan_queries(LabelsQueries(n=None), gallery)
        relevance = resolve_relevance(plan, gallery.ids, plan.queries.ids, None, "relevant")
        assert plan.classes is not None
        classes = NumberedClasses.of(plan.classes, np.arange(len(gallery)))
        evaluation = evaluate(
            Neighbours(found, scores),
            Reference(exact, relevance, plan.sources, classes=classes),
            k=K,
            metric="l2",
            measures=Measures(cutoffs=CUTOFFS, tie_tolerance=TOLERANCE, bootstrap=resamples),
        )
        seconds = time.perf_counter() - start
    means = {f"{name}@{k}": mean for name, curve in evaluation.curves.items() for k, mean in curve.items()}
    by_class = evaluation.by_class
    assert by_class is not None
    worst = [int(by_class.right_first[0]), int(by_class.queries[0]), int(by_class.confusions[2].sum())]
    return {
        "seconds": round(seconds, 2),
        "means": means,
        "worst": worst,
        "peak_rss_bytes": memory.peak_rss_bytes,
    }


def numpy_measures(folder: Path, classes: int, resamples: int) -> dict[str, Any]:
    """The same by hand."""
    with MemoryMeter() as memory:
        labels = labels_of(folder, classes)
        exact = np.load(folder / "exact.npy", mmap_mode="r")
        exact_scores = np.load(folder / "scores.npy", mmap_mode="r")
        found = np.load(folder / "found.npy")
        scores = found_scores(found, exact)
        start = time.perf_counter()
        values = by_hand(labels, found, scores, exact_scores)
        values = {name: value for name, value in values.items() if not np.isnan(value).all()}
        worst = worst_class_by_hand(labels, found[:, 1])
        table = np.stack(list(values.values()), axis=1)
        kept = np.nan_to_num(table)
        counted, of_table = [], []
        for column in table.T:  # columns that count the same queries share one column of numbers
            counts = (~np.isnan(column)).astype(np.float64)
            place = next((at for at, known in enumerate(counted) if np.array_equal(known, counts)), None)
            of_table.append(len(counted) if place is None else place)
            counted += [counts] if place is None else []
        rng = np.random.default_rng(0)
        resampled = np.empty((resamples, table.shape[1]))
        for first in range(0, resamples, 16):
            part = resampled[first : first + 16]
            drawn = rng.integers(0, len(labels), (len(part), len(labels)))
            weights = np.stack([np.bincount(one, minlength=len(labels)) for one in drawn]).astype(np.float64)
            counts = (weights @ np.stack(counted, axis=1))[:, of_table]
            part[:] = weights @ kept / counts
        np.quantile(resampled, [0.025, 0.975], axis=0)
        seconds = time.perf_counter() - start
    means = {name: float(np.nanmean(value)) for name, value in values.items()}
    return {
        "seconds": round(seconds, 2),
        "means": means,
        "worst": worst,
        "peak_rss_bytes": memory.peak_rss_bytes,
    }


def worst_class_by_hand(labels: npt.NDArray[np.int64], first: npt.NDArray[np.int64]) -> list[int]:
    """Right first results and queries of the class with the fewest, and how many are confused in all."""
    right = (labels[first] == labels) & (first >= 0)
    queries, found = np.bincount(labels), np.bincount(labels, right)
    wrong = ~right & (queries[labels] > 1)
    other = np.where(first[wrong] < 0, -1, labels[first[wrong]])
    _, counts = np.unique(np.stack([labels[wrong], other], axis=1), axis=0, return_counts=True)
    asked = np.flatnonzero(queries > 1)
    worst = asked[np.lexsort((-queries[asked], found[asked] / queries[asked]))[0]]
    return [int(found[worst]), int(queries[worst]), int(counts.sum())]


def by_hand(
    labels: npt.NDArray[np.int64],
    found: npt.NDArray[np.int64],
    scores: npt.NDArray[np.float32],
    exact_scores: npt.NDArray[np.float32],
) -> dict[str, npt.NDArray[np.float64]]:
    """One value a query for each measure and cut-off: the query itself comes first in every answer."""
    names = ("knn_recall", "nn_recall", "relevant_recall", "hit_rate", "map", "mrr", "precision", "ndcg")
    values = {f"{name}@{k}": np.empty(len(labels)) for name in names for k in CUTOFFS}
    values |= {f"{name}@{K}": np.empty(len(labels)) for name in ("r_precision", "map_at_r")}
    discounts = 1 / np.log2(np.arange(2, K + 2))
    best = np.concatenate([[np.nan], discounts.cumsum()])
    relevant = np.bincount(labels)[labels] - 1
    ranks = np.arange(1, K + 1)
    for first in range(0, len(labels), AT_ONCE):
        part = slice(first, first + AT_ONCE)
        rows, distances = found[part, 1 : K + 1], scores[part, 1 : K + 1]
        exact = exact_scores[part, 1 : K + 1]
        hits = (labels[rows] == labels[part, None]) & (rows >= 0)
        of_query = relevant[part].astype(np.float64)
        of_query[of_query == 0] = np.nan
        counts = hits.cumsum(axis=1)
        precision = (counts / ranks * hits).cumsum(axis=1)
        gained = (hits * discounts).cumsum(axis=1)
        rank = np.where(hits.any(axis=1), hits.argmax(axis=1) + 1.0, np.inf)
        known = np.isfinite(of_query) & (of_query <= K)
        at_r = np.where(known, np.nan_to_num(of_query) - 1, 0).astype(np.int64)[:, None]
        of_known = np.where(known, of_query, np.nan)
        values[f"r_precision@{K}"][part] = np.take_along_axis(counts, at_r, axis=1)[:, 0] / of_known
        values[f"map_at_r@{K}"][part] = np.take_along_axis(precision, at_r, axis=1)[:, 0] / of_known
        for k in CUTOFFS:
            limit = exact[:, k - 1 : k] * (1 + TOLERANCE)
            values[f"knn_recall@{k}"][part] = (distances[:, :k] <= limit).sum(axis=1) / k
            values[f"nn_recall@{k}"][part] = (distances[:, :k] <= exact[:, :1] * (1 + TOLERANCE)).any(axis=1)
            values[f"relevant_recall@{k}"][part] = counts[:, k - 1] / of_query
            values[f"hit_rate@{k}"][part] = np.where(np.isnan(of_query), np.nan, counts[:, k - 1] > 0)
            values[f"map@{k}"][part] = precision[:, k - 1] / np.minimum(of_query, k)
            values[f"mrr@{k}"][part] = np.where(np.isnan(of_query), np.nan, np.where(rank <= k, 1 / rank, 0))
            values[f"precision@{k}"][part] = np.where(np.isnan(of_query), np.nan, counts[:, k - 1] / k)
            values[f"ndcg@{k}"][part] = (
                gained[:, k - 1] / best[np.minimum(np.nan_to_num(of_query), k).astype(int)]
            )
    return values


if __name__ == "__main__":
    main()
