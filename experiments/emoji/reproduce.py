"""Run the study again: six operating points on the default data, then the figures that the README shows.

    python experiments/emoji/reproduce.py [--root FOLDER]

Everything is written under FOLDER (default: the working directory); results and figures replace those
here, and the table in the README.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from lookalike.config.composing import compose
from lookalike.config.faults import decide
from lookalike.report.losses import lost_queries
from lookalike.report.missed import MissedQuery, contact_sheet
from lookalike.run import prepare
from lookalike.runs.record import Record
from lookalike.runs.session import Session
from lookalike.runs.stages import StageLog

HERE = Path(__file__).parent
BLOCKS = '["index=brute_force,flat", "index=ivf_flat search.nprobe=[1,8,32]", "index=hnsw"]'
MARKS = ("<!-- experiments/emoji/comparison.md -->", "<!-- end -->")
TOO_FAST = "ivf_flat nlist=64 nprobe=1"
SHOWN = 6
MISSED = {"crop": 4, "blur": 2, "rotate": 3}
"""Edit -> how many of the shown exact neighbours are missed: all or nothing would show less."""


def main() -> None:
    """Sweep, copy, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path())
    root = parser.parse_args().root.resolve()
    sweep(root)
    folder = max((root / "multirun").glob("*/*"))
    for name in ("comparison.csv", "comparison.md", "pareto.png"):
        shutil.copy(folder / name, HERE / name)
    quote_table()
    draw_contact_sheet(root, folder)


def sweep(root: Path) -> None:
    """Measure the six points under ``root``."""
    command = [sys.executable, "-m", "lookalike", "run", "-m", "sweep.name=emoji", f"paths.root={root}"]
    subprocess.run([*command, "search.seconds=3", f"hydra.sweeper.blocks={BLOCKS}"], check=True)


def quote_table() -> None:
    """Put the table into the README, between its marks."""
    readme = HERE.parents[1] / "README.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    quoted = (HERE / "comparison.md").read_text(encoding="utf-8").partition("\n")[2].strip()
    readme.write_text(f"{before}{MARKS[0]}\n\n{quoted}\n\n{MARKS[1]}{after}", encoding="utf-8")


def draw_contact_sheet(root: Path, folder: Path) -> None:
    """Queries that exact search answers with the original and the too-fast index does not, one an edit."""
    runs = {path.parent: Record.load(path) for path in folder.glob("*/record.json")}
    run_folder, point = next(
        (path, point) for path, record in runs.items() for point in record.points if point.label == TOO_FAST
    )
    experiment = decide(compose([*runs[run_folder].overrides, f"paths.root={root}"]))
    session = Session(experiment)
    ready = prepare(experiment, session, StageLog(session))
    relevance, exact = ready.relevance, ready.exact
    edits = np.array(ready.asked.edits)
    chosen = []
    for edit, missed in MISSED.items():
        solvable = [q for q in np.flatnonzero(edits == edit) if exact.rows[q, 0] in relevance.relevant(q)]
        queries = lost_queries(ready, run_folder, point, solvable)
        chosen.append(next(query for query in reversed(queries) if missed_among_shown(query) == missed))
    contact_sheet(chosen, ready.plan.gallery, HERE / "contact_sheet.png", shown=SHOWN)


def missed_among_shown(query: MissedQuery) -> int:
    """How many of the exact neighbours that the sheet shows the index did not return."""
    return sum(row in query.missed for row in query.exact[:SHOWN])


if __name__ == "__main__":
    main()
