"""Every file under conf/ composes, and becomes the dataclasses of ``lookalike.schemas``."""

from __future__ import annotations

from pathlib import Path

import pytest

from lookalike import schemas
from lookalike.config.composing import compose, conf_folder
from lookalike.config.planning import find_faults, plan

GROUPS = ("dataset", "model", "queries", "index", "search", "tracking")
CONF = conf_folder()


def choices(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def test_there_is_no_file_that_no_test_composes() -> None:
    known = {*GROUPS, "experiment", "hydra"}
    assert {path.relative_to(CONF).parts[0] for path in CONF.rglob("*.yaml")} - {"config.yaml"} <= known


@pytest.mark.parametrize("choice", [f"{group}={name}" for group in GROUPS for name in choices(group)])
def test_choice_becomes_its_dataclass(choice: str) -> None:
    group, _, name = choice.partition("=")
    section = getattr(compose([choice]), group)

    assert type(section) is not getattr(schemas, group.capitalize()) or group in ("search", "tracking")
    if group == "index":
        assert section.family == name
    elif choice == "queries=auto":
        assert section == schemas.CopiesQueries(n="auto"), "it becomes what suits the dataset"
    elif group in ("dataset", "model", "queries"):
        assert section.name == name


@pytest.mark.parametrize("name", choices("experiment"))
def test_experiment_composes(name: str) -> None:
    assert isinstance(compose([f"experiment={name}"]), schemas.Experiment)


def test_the_default_experiment_is_what_runs_when_nothing_is_said() -> None:
    assert compose(["experiment=default"]) == compose([])
    assert find_faults(compose([])) == []


def test_measures_paths_and_the_rest_say_what_the_schemas_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """But for k, which the gallery's size decides."""
    monkeypatch.delenv("LOOKALIKE_HOME", raising=False)
    experiment = compose(["search.k=100"])
    for section in ("search", "measures", "tracking", "paths", "store", "sweep"):
        assert getattr(experiment, section) == type(getattr(experiment, section))(), section


def test_a_family_with_search_settings_has_a_ladder_for_each_of_them() -> None:

    for family in choices("index"):
        index = plan(compose([f"index={family}"])).experiment.index
        assert set(index.ladder) >= set(index.search_settings()) - {"k_factor"} or family == "factory", family
        assert all(index.point.values())
        assert all(index.ladder.values())


def test_comments_come_first() -> None:
    for path in CONF.rglob("*.yaml"):
        assert Path(path).read_text(encoding="utf-8").startswith("#"), path
