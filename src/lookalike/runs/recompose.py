"""From the plain config that a record holds back to the dataclasses that the run was composed of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

import lookalike.index.families  # noqa: F401 — where the classes of indexes are
from lookalike import schemas
from lookalike.errors import UserError
from lookalike.runs.record import Record
from lookalike.schemas import Experiment
from lookalike.schemas.fields import choices_of

CHOICES: dict[str, tuple[type[Any], str]] = {
    "dataset": (schemas.Dataset, "name"),
    "model": (schemas.Model, "name"),
    "queries": (schemas.Queries, "name"),
    "index": (schemas.Index, "family"),
}
"""Groups whose config can be of several classes, and the field that says of which."""
PARTS: dict[str, type[Any]] = {
    "search": schemas.Search,
    "measures": schemas.Measures,
    "tracking": schemas.Tracking,
    "paths": schemas.Paths,
    "store": schemas.StoreOptions,
    "sweep": schemas.Sweep,
}


def experiment_of(record: Record) -> Experiment:
    """The experiment that ``record`` measured: what ``dataclasses.asdict`` made its config of.

    Raises UserError when the config is of no version of the schemas that this Lookalike knows.
    """
    config = record.config
    try:
        parts: dict[str, Any] = {group: _chosen(group, config[group]) for group in CHOICES}
        parts |= {part: schema(**config[part]) for part, schema in PARTS.items() if part in config}
        return Experiment(**parts, name=config.get("name"))
    except (KeyError, TypeError, LookupError) as fault:
        raise UserError(
            f"the run's config cannot be composed again ({fault}); it was written by another version of "
            "Lookalike: run the experiment again"
        ) from None


def _chosen(group: str, values: Mapping[str, Any]) -> Any:
    """Return ``values`` as the class that has these fields; of several, the one that is called so.

    Fields that an older record does not have yet take their defaults, at which they do nothing. A config of
    the user's own name is of the class with the fewest others.
    """
    base, telling = CHOICES[group]
    others = {
        schema: len(names - set(values))
        for schema in choices_of(base).values()
        if (names := {field.name for field in fields(schema)}) >= set(values)
    }
    named = [schema for schema in others if _default(schema, telling) == values.get(telling)]
    fewest = [schema for schema, count in others.items() if count == min(others.values())]
    for schema in (*sorted(named, key=lambda schema: others[schema]), *(fewest if len(fewest) == 1 else ())):
        return schema(**values)
    raise LookupError(f"{group}: {values.get(telling)}")


def _default(schema: type[Any], name: str) -> Any:
    """The field's default value; None where it has none: such a class is a base of others."""
    value = next(field.default for field in fields(schema) if field.name == name)
    return None if value is MISSING else value
