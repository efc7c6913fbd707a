"""Made-up but plausible records, for tests of what reads them."""

from __future__ import annotations

from typing import Any

from lookalike.runs.by_class import ByClass, ClassRecord, Confusion
from lookalike.runs.record import PointRecord, Record

CUTOFFS = (1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)


def make_point(
    family: str = "ivf_flat",
    index_settings: dict[str, Any] | None = None,
    search_settings: dict[str, int] | None = None,
    recall: float = 0.95,
    p50_ms: float = 0.1,
    k: int = 100,
    **changes: Any,
) -> PointRecord:
    """An operating point whose knn_recall is ``recall`` at k and falls off gently towards it."""
    index_settings = {"nlist": 64} if index_settings is None else index_settings
    search_settings = {"nprobe": 8} if search_settings is None else search_settings
    shown = " ".join(f"{name}={value}" for name, value in (index_settings | search_settings).items())
    cutoffs = [c for c in CUTOFFS if c <= k]

    def curve(first: float, last: float) -> dict[str, float]:
        return {str(c): first + (last - first) * c / k for c in cutoffs}

    curves = {
        "knn_recall": {str(c): 1 - (1 - recall) * c / k for c in cutoffs},
        "nn_recall": curve(0.9 * recall, recall),
        "relevant_recall": curve(0.62 * recall, 0.9 * recall),
        "hit_rate": curve(0.62 * recall, 0.9 * recall),
        "map": curve(0.62 * recall, 0.7 * recall),
        "mrr": curve(0.62 * recall, 0.66 * recall),
        "precision": curve(0.62 * recall, 0.02 * recall),
        "ndcg": curve(0.62 * recall, 0.75 * recall),
        "r_precision": {str(k): 0.6 * recall},
        "map_at_r": {str(k): 0.55 * recall},
    }
    metrics = {
        f"{m}_at_{c}": by_k[str(c)] for m, by_k in curves.items() for c in (1, 10, 100) if str(c) in by_k
    }
    for measure, mean in (("knn_recall", recall), ("relevant_recall", 0.9 * recall)):
        metrics |= {f"{measure}_at_{k}_share_{least}": mean ** (3 * least) for least in (0.5, 0.8, 0.9)}
        metrics |= {f"{measure}_at_{k}_p05": 0.7 * mean, f"{measure}_at_{k}_p01": 0.4 * mean}
    metrics |= {
        "latency_single_p50_ms": p50_ms,
        "latency_single_p95_ms": 1.4 * p50_ms,
        "latency_single_p99_ms": 2.1 * p50_ms,
        "qps_single": 950 / p50_ms,
        "qps_batch": 1600 / p50_ms,
        "train_seconds": 0.4,
        "add_seconds": 0.11,
        "build_seconds": 0.51,
        "save_seconds": 0.02,
        "load_seconds": 0.01,
        "index_bytes": 20_861_211,
        "serving_memory_bytes": 24_117_248,
    }
    values: dict[str, Any] = {
        "trial_key": f"key of {family} {shown} k={k}",
        "label": f"{family} {shown}".strip(),
        "settings": {"k": k, **search_settings},
        "index_settings": index_settings,
        "metrics": metrics,
        "curves": curves,
        "intervals": {
            m: {c: [max(0.0, v - 0.006), min(1.0, v + 0.006)] for c, v in by_k.items()}
            for m, by_k in curves.items()
        },
        "by_edit": {
            "crop": {"hit_rate": curve(0.5 * recall, 0.8 * recall)},
            "blur": {"hit_rate": curve(0.7 * recall, 0.95 * recall)},
        },
        "latency": {
            "single": {
                "threads": 1,
                "samples": 2000,
                "p50_ms": p50_ms,
                "p95_ms": 1.4 * p50_ms,
                "p50_ms_interval": [0.99 * p50_ms, 1.01 * p50_ms],
                "p95_ms_interval": [1.33 * p50_ms, 1.47 * p50_ms],
                "turn_p50_ms": [1.004 * p50_ms, 0.997 * p50_ms, 0.999 * p50_ms],
                "turn_p95_ms": [1.38 * p50_ms, 1.43 * p50_ms, 1.39 * p50_ms],
            },
            "batch": {"threads": 2, "samples": 40, "queries_per_call": 1024},
        },
        "neighbours": "points/made-up.npz",
    }
    return PointRecord(**(values | changes))


def make_by_class(*names: str) -> ByClass:
    """Results of classes called ``names``, each worse than the next, and taken for the last."""
    last = names[-1]
    return ByClass(
        classes=len(names),
        not_right_first=3 * len(names),
        worst=[
            ClassRecord(name, 10, 12, place / len(names), {"precision@10": 0.4}, [Confusion(name, last, 3)])
            for place, name in enumerate(names)
        ],
        confusions=[Confusion(name, last, 3) for name in names],
        table="points/made-up.classes.csv",
        confusions_table="points/made-up.confusions.csv",
    )


def quarters(easiest: float, hardest: float, reach: float = 0.02) -> list[dict[str, float]]:
    """An entry of ``by_difficulty``: four quarters of 350 queries each, with intervals of ± ``reach``."""
    means = [easiest + (hardest - easiest) * part / 3 for part in range(4)]
    return [
        {
            "low": 10 * part,
            "high": 10 * part + 10,
            "queries": 350,
            "mean": mean,
            "mean_low": mean - reach,
            "mean_high": mean + reach,
        }
        for part, mean in enumerate(means)
    ]


def make_record(points: list[PointRecord] | None = None, **changes: Any) -> Record:
    """A finished run of the default experiment with ``points`` (one by default)."""
    points = [make_point()] if points is None else points
    family = points[0].label.split()[0] if points else "ivf_flat"
    values: dict[str, Any] = {
        "name": f"twemoji efficientnet_lite0 {family}",
        "started": "2026-11-22T12:00:00.250000+00:00",
        "finished": "2026-11-22T12:00:03.750000+00:00",
        "status": "finished",
        "config": {
            "dataset": {"name": "twemoji"},
            "model": {"name": "efficientnet_lite0", "dtype": "float32"},
            "queries": {"name": "copies", "n": 200},
            "index": {"family": family, "metric": "l2"},
            "search": {"k": 100, "batch_size": 1024, "single_threads": 1, "threads": None},
            "sweep": {"name": None},
        },
        "overrides": [],
        "environment": {
            "cpu": "Imaginary CPU 9000",
            "cores": 2,
            "memory_bytes": 8 << 30,
            "hostname": "workstation",
            "python": "3.11.9",
            "versions": {"faiss": "1.15.1", "numpy": "2.3.1"},
            "git_commit": "0123456789abcdef0123456789abcdef01234567",
        },
        "data": {
            "dataset": "twemoji",
            "gallery_size": 4009,
            "queries": "copies",
            "query_count": 1400,
            "protocol": "copies",
            "protocol_description": "200 originals × 7 edits",
            "dim": 1280,
            "duplicates": 12,
            "bad_images": [],
            "gallery_key": "f00dfeed" * 4,
        },
        "model": {"name": "efficientnet_lite0", "recipe": {"dtype": "float32", "normalize": True}},
        "stages": [
            {"stage": "embeddings", "outcome": "reused", "reason": "", "seconds": 0.01, "key": "e" * 32},
            {"stage": "exact", "outcome": "reused", "reason": "", "seconds": 0.01, "key": "a" * 32},
            {
                "stage": "index",
                "outcome": "built",
                "reason": "nlist 32 → 64",
                "seconds": 0.5,
                "key": "d" * 32,
            },
        ],
        "index": {
            "family": family,
            "factory": "IVF64,Flat",
            "path": "store/index/" + "d" * 32 + "/index.faiss",
            "sha256": "c" * 64,
            "index_bytes": 20_861_211,
            "key": "d" * 32,
            "metric": "l2",
        },
        "timing": {"drift": 0.01, "other_cpu_share": 0.02, "flags": []},
        "points": points,
    }
    return Record(**(values | changes))


def make_ladder(family: str, name: str | None, values: list[int], slowness: float = 1.0) -> list[PointRecord]:
    """Operating points of one family, from fast to exact, along one search setting."""
    index_settings = {"hnsw": {"hnsw_m": 32}, "flat": {}, "brute_force": {}}.get(family, {"nlist": 64})
    points = []
    for step, value in enumerate(values, start=1):
        recall = min(1.0, 1 - 0.55 * 0.45**step / slowness) if name else 1.0
        p50_ms = slowness * (0.03 * 1.7**step if name else 0.6)
        search_settings = {name: value} if name else {}
        points.append(make_point(family, index_settings, search_settings, recall, p50_ms))
    return points


def make_sweep() -> list[Record]:
    """Six operating points of four families: what ``index=flat,ivf_flat,hnsw,ivf_pq`` might end with."""
    ivf = make_ladder("ivf_flat", "nprobe", [1, 8, 32])
    hnsw = make_ladder("hnsw", "ef_search", [64], slowness=1.2)
    pq = [make_point("ivf_pq", {"nlist": 64, "pq_m": 64}, {"nprobe": 8}, recall=0.61, p50_ms=0.07)]
    flat = make_ladder("flat", None, [0])
    records = []
    for minute, points in enumerate([flat, ivf, hnsw, pq]):
        started, finished = (f"2026-11-22T12:0{minute}:{seconds}+00:00" for seconds in ("00", "03.5"))
        overrides = [f"index={points[0].label.split()[0]}"]
        records.append(make_record(points, started=started, finished=finished, overrides=overrides))
    return records
