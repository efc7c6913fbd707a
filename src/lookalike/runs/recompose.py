"""An experiment as the plain values that records and ledgers keep, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import lookalike.index.families  # noqa: F401 — where the classes of indexes are
from lookalike import schemas
from lookalike.errors import UserError
from lookalike.schemas import Experiment
from lookalike.schemas.fields import choices_of

CHOICES: dict[str, type[Any]] = {
    "dataset": schemas.Dataset,
    "model": schemas.Model,
    "queries": schemas.Queries,
    "index": schemas.Index,
}
"""Groups whose config is of one of several classes."""
PARTS: dict[str, type[Any]] = {
    "search": schemas.Search,
    "measures": schemas.Measures,
    "report": schemas.Report,
    "tracking": schemas.Tracking,
    "paths": schemas.Paths,
    "store": schemas.StoreOptions,
    "sweep": schemas.Sweep,
}
SCHEMAS = "schemas"
"""Key of the classes' names: a config's own name may be any."""


def config_of(experiment: Experiment) -> dict[str, Any]:
    """Return ``experiment`` as plain values, with the schema that each of its choices is of."""
    return asdict(experiment) | {
        SCHEMAS: {
            group: next(name for name, schema in choices_of(base).items() if type(chosen) is schema)
            for group, base in CHOICES.items()
            if (chosen := getattr(experiment, group)) is not None
        }
    }


def experiment_of(config: Mapping[str, Any]) -> Experiment:
    """Return the experiment that :func:`config_of` made ``config`` of.

    Raises UserError when the config is of no version of the schemas that this Lookalike knows.
    """
    try:
        parts = {group: _chosen(group, config[group], config.get(SCHEMAS, {})) for group in CHOICES}
        parts |= {part: schema(**config[part]) for part, schema in PARTS.items() if part in config}
        return Experiment(**parts, name=config.get("name"))
    except (KeyError, TypeError, LookupError) as fault:
        raise UserError(
            f"the run's config cannot be composed again ({fault}); it was written by another version of "
            "Lookalike: run the experiment again"
        ) from None


def _chosen(group: str, values: Mapping[str, Any], kept: Mapping[str, str]) -> Any:
    """``values`` as the class that was kept with them; fields that came later take their defaults."""
    choices = choices_of(CHOICES[group])
    schema = choices[kept[group]] if group in kept else _class_in_older_record(group, values)
    if unknown := set(values) - {field.name for field in fields(schema)}:
        raise LookupError(f"{group}: {min(unknown)}")
    return schema(**values)


def _class_in_older_record(group: str, values: Mapping[str, Any]) -> Any:
    """The class of a config from before classes were kept: the one it is called, else by its fields."""
    choices = choices_of(CHOICES[group])
    called = values.get("family" if group == "index" else "name")
    others = {
        schema: len(names - set(values))
        for schema in choices.values()
        if (names := {field.name for field in fields(schema)}) >= set(values)
    }
    if choices.get(str(called)) in others:
        return choices[str(called)]
    fewest = [schema for schema, count in others.items() if count == min(others.values())]
    if len(fewest) != 1:
        raise LookupError(f"{group}: {called}")
    return fewest[0]
