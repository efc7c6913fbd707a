"""What a command needs to do once is done once: the calls of the real functions are counted."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl

from lookalike.cli import main
from lookalike.config import faults, planning
from lookalike.evaluate import points
from lookalike.runs import naming
from lookalike.runs.record import Record
from tests.pipeline.command_line import QUICK
from tests.pipeline.inputs import images

ONE_POINT = ("index=ivf_flat", "index.nlist=2", "search.nprobe=1")
TWO_JOBS = ("-m", "index=flat,hnsw")


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Calls by name from now on, wherever in the package the function is used."""
    for name in ("lookalike.run", "lookalike.sweep.blocks", "lookalike.sweep.run"):
        import_module(name)  # or it would keep what it is given here
    calls: Counter[str] = Counter()

    def counting(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def wrapped(*arguments: Any, **options: Any) -> Any:
            calls[function.__name__] += 1
            return function(*arguments, **options)

        return wrapped

    for function in (
        planning.plan,
        points.expand_points,
        faults.known_faults,
        points.point_faults,
        naming.point_id,
    ):
        wrapped = counting(function)
        for module in list(sys.modules.values()):
            if module.__name__.startswith("lookalike") and vars(module).get(function.__name__) is function:
                monkeypatch.setattr(module, function.__name__, wrapped)
    monkeypatch.setattr(Record, "save", counting(Record.save))
    compose = ConfigLoaderImpl.load_configuration
    monkeypatch.setattr(ConfigLoaderImpl, "load_configuration", counting(compose))
    monkeypatch.setattr(Record, "load", classmethod(counting(Record.load.__func__)))  # type: ignore[attr-defined]
    return calls


def run(tmp_path: Path, *overrides: str) -> None:
    home = f"paths.root={tmp_path / 'home'}"
    assert main(["run", home, *QUICK, *images(tmp_path), *overrides]) == 0


def test_one_point(tmp_path: Path, counted: Counter[str]) -> None:
    run(tmp_path, *ONE_POINT)
    assert counted == {
        "load_configuration": 1,
        "plan": 1,
        "expand_points": 1,
        "known_faults": 1,
        "point_faults": 1,
        "point_id": 1,
        "save": 1,
    }


def test_one_point_that_is_tracked(tmp_path: Path, counted: Counter[str]) -> None:
    """The record is written before it is shown, or a kill and a tracker that is away would cost it, and is
    then amended with the ids of its MLflow runs: read again, as another process may have added to it.
    """
    run(tmp_path, *ONE_POINT, "tracking=local")
    assert (counted["save"], counted["load"]) == (1, 1)
    assert (counted["expand_points"], counted["point_id"]) == (1, 1)
    [file] = (tmp_path / "home").glob("outputs/*/*/record.json")
    assert all(point.mlflow_run_id for point in Record.load(file).points)


def test_several_points_of_one_run(tmp_path: Path, counted: Counter[str]) -> None:
    run(tmp_path, "index=ivf_flat", "index.nlist=4", "search.nprobe=[1,2,4]")
    assert (counted["expand_points"], counted["point_id"], counted["save"], counted["load"]) == (1, 3, 1, 0)


def test_a_sweep_of_two(tmp_path: Path, counted: Counter[str]) -> None:
    run(tmp_path, *TWO_JOBS)
    del counted["load_configuration"]  # the sweep's own, not each job's
    assert counted == {
        "plan": 2,
        "expand_points": 2,
        "known_faults": 2,
        "point_faults": 2,
        "point_id": 2,
        "save": 2,
    }


def test_a_sweep_of_two_that_is_tracked(tmp_path: Path, counted: Counter[str]) -> None:
    run(tmp_path, *TWO_JOBS, "tracking=local")
    assert (counted["point_id"], counted["save"], counted["load"]) == (2, 2, 2)


def test_a_sweep_that_is_gone_on_with_reads_what_the_process_before_it_measured(
    tmp_path: Path, counted: Counter[str]
) -> None:
    run(tmp_path, *TWO_JOBS, "sweep.name=mine")
    counted.clear()
    home = f"paths.root={tmp_path / 'home'}"
    pictures = f"dataset.root={tmp_path / 'pictures'}"
    arguments = ["dataset=folder", pictures, "queries.n=3", *TWO_JOBS, "sweep.name=mine"]
    assert main(["run", home, *QUICK, *arguments]) == 0
    assert (counted["point_id"], counted["save"]) == (2, 0)
    assert counted["load"] > 0
