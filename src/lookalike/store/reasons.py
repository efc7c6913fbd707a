"""Why something has to be built: how a recipe differs from its nearest relative in the store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lookalike.store.recipe import Recipe, canonical_json

FIRST_OF_ITS_KIND = "first of its kind"
REUSE_IS_OFF = "reuse is off"

LONGEST_VALUE = 32
"""Characters; longer values (hashes, lists) are not printed."""
MOST_DIFFERENCES = 3


def explain(recipe: Recipe, relatives: Iterable[Mapping[str, Any]]) -> str:
    """Return how ``recipe`` differs from the nearest of ``relatives``, manifests of artifacts of its kind.

    That is the one with most parents in common, among these the one that differs least, the first such:
    "nlist 64 → 128". Where none has a parent in common, what there is was made of other data or by another
    model, and it says "new gallery and queries"; without relatives "first of its kind".
    """
    compared = [(_shared(manifest, recipe), differences(manifest, recipe)) for manifest in relatives]
    if not compared:
        return FIRST_OF_ITS_KIND
    shared, nearest = min(compared, key=lambda pair: (-pair[0], bool(_another_family(pair[1])), len(pair[1])))
    if recipe.parents and not shared:
        first, *others = recipe.parents
        return f"new {first}" + (f" and {others[0]}" if len(others) == 1 else "")
    if another := _another_family(nearest):
        return another  # what else differs belongs to another kind of thing
    said = ", ".join(nearest[:MOST_DIFFERENCES])
    unsaid = len(nearest) - MOST_DIFFERENCES
    return f"{said} and {unsaid} more" if unsaid > 0 else said


def _another_family(lines: Iterable[str]) -> str:
    return next((line for line in lines if line.startswith("family ")), "")


def _shared(manifest: Mapping[str, Any], recipe: Recipe) -> int:
    """How many parents both have: an index of the same gallery says more than one of another gallery."""
    return sum(manifest["parents"].get(role) == key for role, key in recipe.parents.items())


def differences(manifest: Mapping[str, Any], recipe: Recipe) -> list[str]:
    """Every difference from an artifact's manifest to a recipe of the same kind, in words."""
    found = []
    if manifest["version"] != recipe.version:
        found.append(f"stage version {manifest['version']} → {recipe.version}")
    old_parents, new_parents = manifest["parents"], recipe.parents
    for role in _ordered_union(new_parents, old_parents):
        if old_parents.get(role) != new_parents.get(role):
            found.append(f"{role} changed")
    old, new = dict(_flat(manifest["parameters"])), dict(_flat(recipe.parameters))
    for name in _ordered_union(new, old):
        if name not in old:
            found.append(f"{name} {_short(new[name])} added")
        elif name not in new:
            found.append(f"{name} {_short(old[name])} removed")
        elif canonical_json(old[name]) != canonical_json(new[name]):
            before, after = _short(old[name]), _short(new[name])
            found.append(f"{name} {before} → {after}" if before and after else f"{name} changed")
    return [" ".join(line.split()) for line in found]


def _ordered_union(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys([*first, *second]))


def _flat(parameters: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested parameters by their dotted names; an empty mapping is a value."""
    for name, value in parameters.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _short(value: Any) -> str:
    """The value as a config would show it; empty when that is too long to read."""
    text = value if isinstance(value, str) and value else canonical_json(value)
    return text if len(text) <= LONGEST_VALUE else ""
