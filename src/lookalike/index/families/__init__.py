"""Index families, one module each: settings, factory string, faults, search settings, candidates, colour.

A new family is one such module, which is found by being here, and one YAML in ``conf/index``. ``family`` has
what all share, ``inverted_lists`` what those with lists share.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from lookalike.schemas import Index
from lookalike.schemas.fields import choices_of

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")


def families() -> dict[str, type[Index]]:
    """Return every family by its name."""
    return choices_of(Index)


def is_exact(family: str) -> bool:
    """Whether a family, known by its name alone, compares each query with every vector."""
    return family in families() and families()[family].is_exact


def colour_of(family: str) -> str:
    """Return a family's colour in figures; grey for a config of the user's own name."""
    return families().get(family, Index).colour
