"""Run the simulations again: how true is what Lookalike measures?

    python experiments/truth/reproduce.py [--only NAME ...] [--root FOLDER]

Each module in ``simulations`` has one question (the first line of its docstring), ``SIZE`` (trials behind the
kept results), ``SMALL`` (those of its test) and four functions: ``simulate(seed, size)`` returns a
pandas.DataFrame, ``draw(frame)`` a matplotlib Figure, ``finding(frame)`` Markdown whose numbers all come from
the frame, ``failures(frame)`` a sentence for each claim that a frame of ``SIZE`` trials does not bear out.
Results, figures and the README's sections are replaced under ``--root``.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import matplotlib
from PIL import Image

if TYPE_CHECKING:
    import pandas as pd

matplotlib.use("Agg")

HERE = Path(__file__).parent
SEED = 0
COLOURS = 128
MARK = "<!-- What follows is written by reproduce.py. -->"
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))


def main() -> None:
    """Simulate, keep, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=names(), default=names(), metavar="NAME")
    parser.add_argument("--root", type=Path, default=HERE, help="where results, figures and README.md go")
    options = parser.parse_args()
    for name in options.only:
        start = time.perf_counter()
        simulation = module(name)
        keep(name, simulation.simulate(SEED, simulation.SIZE), options.root)
        print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
    (options.root / "README.md").write_text(readme(options.root), encoding="utf-8")


def names() -> list[str]:
    """Return the names of all simulations, sorted."""
    return sorted(path.stem for path in (HERE / "simulations").glob("[!_]*.py"))


def module(name: str) -> ModuleType:
    """Return the simulation of that name."""
    return importlib.import_module(f"simulations.{name}")


def keep(name: str, frame: pd.DataFrame, root: Path) -> None:
    """Write ``results/NAME.csv``, rounded, and ``figures/NAME.png``, drawn from what was written."""
    for folder in ("results", "figures"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    frame.to_csv(root / "results" / f"{name}.csv", index=False, float_format="%.5g", lineterminator="\n")
    figure = module(name).draw(kept(name, root))
    picture = root / "figures" / f"{name}.png"
    figure.savefig(picture, dpi=100)
    with Image.open(picture) as drawn:  # a palette takes half the bytes
        drawn.convert("RGB").quantize(COLOURS).save(picture, optimize=True)


def kept(name: str, root: Path = HERE) -> pd.DataFrame:
    """Return the results that were kept of a simulation."""
    import pandas as pd

    return pd.read_csv(root / "results" / f"{name}.csv")


def readme(root: Path = HERE) -> str:
    """Return README.md: what was written by hand, and a section for each simulation that has results."""
    introduction, _, _ = (HERE / "README.md").read_text(encoding="utf-8").partition(MARK)
    done = [name for name in names() if (root / "results" / f"{name}.csv").is_file()]
    return f"{introduction}{MARK}\n\n" + "\n".join(section(name, root) for name in done)


def section(name: str, root: Path = HERE) -> str:
    """Return a simulation's part of README.md: question, command, what was found, figure."""
    simulation = module(name)
    question, _, how = (simulation.__doc__ or "").strip().partition("\n")
    return "\n\n".join(
        [
            f"## {question}",
            *([how.strip()] if how.strip() else []),
            f"    python experiments/truth/reproduce.py --only {name}",
            simulation.finding(kept(name, root)).strip(),
            f"![{question}](figures/{name}.png)",
            f"Values: [results/{name}.csv](results/{name}.csv)\n",
        ]
    )


if __name__ == "__main__":
    main()
