"""A record's config becomes the very experiment that it was made of."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from lookalike import schemas
from lookalike.config.settings import schemas_by_group
from lookalike.errors import UserError
from lookalike.index.families.ivf_flat import IvfFlatIndex
from lookalike.runs.recompose import config_of, experiment_of
from lookalike.schemas import Experiment

CHOICES = [
    (group, schema)
    for group in ("dataset", "model", "queries", "index")
    for schema in schemas_by_group()[group].values()
]


def experiment(**parts: Any) -> Experiment:
    default: dict[str, Any] = {
        "dataset": schemas.TwemojiDataset(limit=5),
        "model": schemas.PixelsModel(side=3),
        "queries": schemas.CopiesQueries(n=2),
        "index": IvfFlatIndex(nlist=2, point={"nprobe": 1}),
        "search": schemas.Search(k=7, nprobe=[1, 2]),
        "name": "mine",
    }
    return Experiment(**default | parts)


def recorded(made: Experiment) -> dict[str, Any]:
    """As it is read back from the disk."""
    config: dict[str, Any] = json.loads(json.dumps(config_of(made)))
    return config


@pytest.mark.parametrize(("group", "schema"), CHOICES, ids=lambda it: getattr(it, "__name__", it))
def test_every_choice_comes_back_as_it_was(group: str, schema: type[Any]) -> None:
    made = experiment(**{group: schema()})
    again = experiment_of(recorded(made))
    assert again == made
    assert type(getattr(again, group)) is schema


def test_a_config_with_a_name_of_its_own() -> None:
    made = experiment(model=schemas.TransformersModel(name="siglip_base", name_or_path="google/siglip"))
    assert experiment_of(recorded(made)) == made


@pytest.mark.parametrize(("group", "schema"), CHOICES, ids=lambda it: getattr(it, "__name__", it))
def test_a_config_of_ones_own_name_keeps_its_class(group: str, schema: type[Any]) -> None:
    made = experiment(**{group: replace(schema(), **{"family" if group == "index" else "name": "my own"})})
    again = experiment_of(recorded(made))
    assert again == made
    assert type(getattr(again, group)) is schema


def test_records_from_before_classes_were_kept_are_read() -> None:
    made = experiment(model=schemas.TransformersModel(name="siglip_base", name_or_path="google/siglip"))
    config = recorded(made)
    del config["schemas"]
    assert experiment_of(config) == made


def test_a_config_of_another_version_is_refused() -> None:
    record = recorded(experiment())
    record["index"]["colour"] = "blue"
    with pytest.raises(UserError, match=r"index: colour.*run the experiment again"):
        experiment_of(record)
    del record["index"]
    with pytest.raises(UserError, match="run the experiment again"):
        experiment_of(record)
