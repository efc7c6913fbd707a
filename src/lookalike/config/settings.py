"""What settings there are: each field of each schema by its dotted name, its type, what its value may be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, get_args, get_type_hints

from lookalike import schemas
from lookalike.index.families import families
from lookalike.schemas.fields import RULE, Rule, choices_of


def schemas_by_group() -> dict[str, dict[str, type[Any]]]:
    """Return group -> name -> dataclass: what a config of that group inherits.

    They are registered as ``/schema/<group>/<name>@_here_``, so that ``index=`` offers the configs of
    ``conf/index`` and nothing else.
    """
    bases = {
        "dataset": schemas.Dataset,
        "model": schemas.Model,
        "queries": schemas.Queries,
    }
    chosen = {group: choices_of(base) for group, base in bases.items()}
    chosen["index"] = dict(families())
    return chosen | {"search": {"default": schemas.Search}, "tracking": {"default": schemas.Tracking}}


@cache
def settings() -> Mapping[str, Any]:
    """Every setting by its dotted name and its type, whichever choice of a group has it."""
    return dict(_settings_of(schemas.Experiment, ""))


@cache
def text_settings() -> frozenset[str]:
    """Names of the settings that are text, or lists of text; those of all choices of a group."""
    return frozenset(name for name, kind in settings().items() if kind in (str, list[str]))


@cache
def identities() -> Mapping[str, str]:
    """``dataset.name`` -> ``dataset``: the settings that say which config was chosen, by its group.

    They are what the base class of a group has no default for.
    """
    hints = get_type_hints(schemas.Experiment)
    return {
        f"{group}.{field.name}": group
        for group, kind in hints.items()
        if is_dataclass(kind)
        for field in fields(kind)
        if field.default is MISSING and field.default_factory is MISSING
    }


def rule_of(setting: str) -> Rule | None:
    """Return what the value of a setting may be, by the first choice of its group that has it; None: any."""
    section, _, name = setting.partition(".")
    schema = get_type_hints(schemas.Experiment).get(section)
    for each in (schema, *schemas_by_group().get(section, {}).values()):
        for one in fields(each) if is_dataclass(each) else ():
            if one.name == name and RULE in one.metadata:
                rule: Rule = one.metadata[RULE]
                return rule
    return None


def _settings_of(schema: Any, path: str) -> Iterator[tuple[str, Any]]:
    hints = get_type_hints(schema)
    for name, hint in ((each.name, hints[each.name]) for each in fields(schema)):
        kind = next(iter(get_args(hint)), hint) if isinstance(hint, UnionType) else hint
        if is_dataclass(kind):
            for each in (kind, *schemas_by_group().get(name, {}).values()):
                yield from _settings_of(each, f"{path}{name}.")
        else:
            yield path + name, kind
