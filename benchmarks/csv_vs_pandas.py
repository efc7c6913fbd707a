"""How much faster the original system's CSV shards are read than by pandas and `ast.literal_eval`.

    python benchmarks/csv_vs_pandas.py [--size small|full]

Ours: what `dataset=embeddings` does with a shard, from opening the file to the last block of float32, each
list parsed and checked and every path read. Nothing of the file is held but two numbers and a path a row.

Baseline: the original system's own way: `pandas.read_csv`, then `ast.literal_eval` of each list and one
float32 array of them all. It holds the whole file and is given no more rows than fit.

Both read the same file, which is in the page cache; they take turns, after one reading of ours that does not
count. The result is compared value by value: the ratio is of two ways to the same array. It is the median of
the rounds' ratios of seconds, and the goal is at least 25.

A row has 768 dimensions (``full``: 1,152, as SigLIP-so400m's), random unit vectors written as pandas writes a
column of lists. ``small`` has 1,500 rows, ``full`` 20,000.
"""

from __future__ import annotations

import ast
import time
from pathlib import Path

import numpy as np
import pandas as pd

from harness import chosen_size, conclude, median, rounded, workplace
from lookalike.datasets.formats.csv_shard import FEATURES, PATHS, open_csv
from lookalike.machine.environment import cores

GOAL = 25.0
ROWS = {"tiny": 20, "small": 1_500, "full": 20_000}
DIM = {"tiny": 16, "small": 768, "full": 1_152}
ROUNDS = {"tiny": 1, "small": 5, "full": 3}
BLOCK_ROWS = 1_024


def write_shard(path: Path, rows: int, dim: int) -> None:
    """A shard of the original system, written block by block."""
    generator = np.random.default_rng(0)
    for start in range(0, rows, BLOCK_ROWS):
        count = min(BLOCK_ROWS, rows - start)
        vectors = generator.standard_normal((count, dim)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        names = [f"{row // 1_000:04}/{row % 1_000:03}.jpg" for row in range(start, start + count)]
        frame = pd.DataFrame({PATHS: names, FEATURES: vectors.tolist()})
        frame.to_csv(path, mode="a", header=start == 0, index=False)


def read_by_lookalike(path: Path) -> tuple[list[str], np.ndarray]:
    """Paths and vectors, block by block."""
    opened = open_csv(path)
    blocks = [opened.rows[start : start + BLOCK_ROWS] for start in range(0, len(opened.rows), BLOCK_ROWS)]
    return list(opened.ids or ()), np.concatenate(blocks)


def read_by_pandas(path: Path) -> tuple[list[str], np.ndarray]:
    """Paths and vectors, as the original system read them."""
    frame = pd.read_csv(path)
    lists = frame[FEATURES].apply(ast.literal_eval)
    return frame[PATHS].tolist(), np.array(lists.tolist(), dtype=np.float32)


def main() -> None:
    """Write a shard, read it in turns, compare, conclude."""
    size = chosen_size(__doc__)
    with workplace() as folder:
        shard = folder / "shard_0.csv"
        write_shard(shard, ROWS[size], DIM[size])
        megabytes = shard.stat().st_size / 1e6
        read_by_lookalike(shard)
        own, baseline = [], []
        for number in range(ROUNDS[size]):
            start = time.perf_counter()
            ours = read_by_lookalike(shard)
            middle = time.perf_counter()
            theirs = read_by_pandas(shard)
            own.append(middle - start)
            baseline.append(time.perf_counter() - middle)
            seconds = f"lookalike {own[-1]:.3f} s, pandas {baseline[-1]:.3f} s"
            print(f"  round {number + 1} of {ROUNDS[size]}: {seconds}")
            if ours[0] != theirs[0] or not np.array_equal(ours[1], theirs[1]):
                raise RuntimeError("nothing was measured: the two ways do not give the same vectors")
    conclude(
        "csv_vs_pandas",
        size,
        median([theirs / ours for ours, theirs in zip(own, baseline, strict=True)]),
        GOAL,
        baseline="the speed of pandas.read_csv and ast.literal_eval",
        at_least=True,
        rows=ROWS[size],
        dim=DIM[size],
        megabytes=round(megabytes, 1),
        megabytes_per_second=round(megabytes / median(own), 1),
        cores_used=cores(),
        seconds=rounded(own),
        pandas_seconds=rounded(baseline),
    )


if __name__ == "__main__":
    main()
