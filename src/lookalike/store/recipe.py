"""What makes an artifact, the key that stands for it, and how it differs from others: why it is built."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

KEY_LENGTH = 32

FIRST_OF_ITS_KIND = "first of its kind"
REUSE_IS_OFF = "reuse is off"

LONGEST_VALUE = 32
"""Characters; longer values (hashes, lists) are not printed."""
MOST_DIFFERENCES = 3


def canonical_json(value: Any) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, ASCII (names that are not UTF-8 survive).

    Raises ``TypeError`` for what JSON does not have and ``ValueError`` for NaN and infinity.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


@dataclass(frozen=True)
class Recipe:
    """Everything that shapes an artifact, and nothing else (no device, workers, threads or paths).

    Parameters are copied, tuples become lists. Equal recipes have equal keys whatever the order of
    their parameters; ``1`` and ``1.0`` are different parameters.
    """

    kind: str
    """What it is ("embeddings", "index"): lower-case letters, digits, ``_`` and ``-``; names a folder."""
    version: int
    """Raised by hand when code changes what the stage produces."""
    parameters: Mapping[str, Any]
    """JSON values; may be nested."""
    parents: Mapping[str, str]
    """Role to key of each artifact that this one is made from."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_-]*", self.kind):
            raise ValueError(f"an artifact's kind names a folder: {self.kind!r} does not")
        for field in ("parameters", "parents"):
            object.__setattr__(self, field, json.loads(canonical_json(dict(getattr(self, field)))))

    @cached_property
    def key(self) -> str:
        """32 hexadecimal digits: the head of the SHA-256 of the recipe's canonical JSON."""
        text = canonical_json(
            {
                "kind": self.kind,
                "version": self.version,
                "parameters": self.parameters,
                "parents": self.parents,
            }
        )
        return hashlib.sha256(text.encode("ascii")).hexdigest()[:KEY_LENGTH]


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
    named = ", ".join(nearest[:MOST_DIFFERENCES])
    unnamed = len(nearest) - MOST_DIFFERENCES
    return f"{named} and {unnamed} more" if unnamed > 0 else named


def _another_family(lines: Iterable[str]) -> str:
    return next((line for line in lines if line.startswith("family ")), "")


def _shared(manifest: Mapping[str, Any], recipe: Recipe) -> int:
    """How many parents both have: an index of the same gallery says more than one of another gallery."""
    return sum(manifest["parents"].get(role) == key for role, key in recipe.parents.items())


def differences(manifest: Mapping[str, Any], recipe: Recipe) -> list[str]:
    """Return every difference from an artifact's manifest to a recipe of the same kind, in words."""
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
