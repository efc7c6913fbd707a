"""Each simulation of experiments/truth runs, and its README says what its results say."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

TRUTH = Path(__file__).parents[2] / "experiments" / "truth"


def reproduce() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reproduce_truth", TRUTH / "reproduce.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


truth = reproduce()


@pytest.mark.parametrize("name", truth.names())
def test_a_simulation_in_small(name: str, tmp_path: Path) -> None:
    """It makes the columns that were kept, a figure, and words."""
    simulation = truth.module(name)
    frame = simulation.simulate(1, simulation.SMALL)
    assert list(frame.columns) == list(truth.kept(name).columns)
    truth.keep(name, frame, tmp_path)
    assert (tmp_path / "figures" / f"{name}.png").stat().st_size > 5_000
    assert f"## {simulation.__doc__.strip().splitlines()[0]}" in truth.section(name, tmp_path)


def test_the_readme_says_what_the_results_say() -> None:
    assert (TRUTH / "README.md").read_text(encoding="utf-8") == truth.readme()


def test_every_simulation_was_kept_and_is_small() -> None:
    for folder, ending in (("results", "csv"), ("figures", "png")):
        files = {path.stem: path.stat().st_size for path in (TRUTH / folder).glob(f"*.{ending}")}
        assert sorted(files) == truth.names()
        assert max(files.values()) <= 150_000


@pytest.mark.parametrize("name", truth.names())
def test_the_kept_results_bear_the_claims_out(name: str) -> None:
    assert truth.module(name).failures(truth.kept(name)) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", truth.names())
def test_another_seed_bears_the_claims_out(name: str) -> None:
    simulation = truth.module(name)
    assert simulation.failures(simulation.simulate(2, simulation.SIZE)) == []
