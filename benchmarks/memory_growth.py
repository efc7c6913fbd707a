"""Whether memory stays bounded by shard and block when the gallery grows.

Embedding and exact neighbours are each done in a fresh process over galleries of one, two and four times as
many rows, in shards of the same size; the kernel's count of the process's anonymous memory (what cannot be
dropped, unlike pages of files) is sampled every 20 ms. The ratio is the larger of the two stages' growth: the
peak of the largest gallery over that of the smallest. The goal is at most 1.1.

Images are painted when they are loaded and have their row number for a name, so that it is the stages'
memory that is seen: the listing of a folder keeps a path, a place and a fingerprint an image, and does grow.
Images go through the model `pixels`; exact neighbours are those of 200 queries among vectors of
dataset=synthetic.

    python benchmarks/memory_growth.py [--size tiny|small|full]

tiny: up to 4,000 rows; small: 10,000, 20,000 and 40,000; full: 50,000, 100,000 and 200,000.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from harness import bare, chosen_size, conclude, workplace

ROWS = {"tiny": (1_000, 2_000, 4_000), "small": (10_000, 20_000, 40_000), "full": (50_000, 100_000, 200_000)}
STAGES = ("embedding", "exact")
SHARDS = 5
"""Of the smallest gallery: as soon as there is another shard, looking for rows there takes memory as well."""
GOAL = 1.1


def main() -> None:
    size = chosen_size(__doc__)
    peaks: dict[str, list[int]] = {}
    with workplace() as folder:
        for stage in STAGES:
            shard_size = ROWS[size][0] // SHARDS
            peaks[stage] = [peak_of(stage, rows, shard_size, folder) for rows in ROWS[size]]
            pairs = zip(ROWS[size], peaks[stage], strict=True)
            shown = ", ".join(f"{rows:,} rows {peak / 1e6:.0f} MB" for rows, peak in pairs)
            print(f"  {stage}: {shown}")
    growth = {stage: round(found[-1] / found[0], 4) for stage, found in peaks.items()}
    conclude(
        "memory_growth",
        size,
        max(growth.values()),
        GOAL,
        baseline="the peak of a quarter of the rows",
        rows=list(ROWS[size]),
        growth=growth,
        peak_anonymous_bytes=peaks,
    )


def peak_of(stage: str, rows: int, shard_size: int, folder: Path) -> int:
    """Peak anonymous bytes of a fresh process that performs one stage over ``rows`` rows."""
    command = bare("memory_of_stage.py", stage, str(rows), str(shard_size), str(folder / f"{stage}-{rows}"))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    return int(json.loads(done.stdout)["peak_anonymous_bytes"])


if __name__ == "__main__":
    main()
