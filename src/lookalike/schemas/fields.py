"""Bounds and choices of settings: declared on the field that has them, checked in one place.

    k: int | None = bounded(100, minimum=1)
    metric: str = choice("l2", of=("l2", "ip"))

:func:`field_faults` compares the values of a section with what its fields declare.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from typing import Any, get_args, get_type_hints

RULE = "rule"
"""The entry of a field's metadata that holds its rule."""


@dataclass(frozen=True)
class Rule(ABC):
    """What a field's value may be."""

    null: str = ""
    """What null means, where a message should say so: ``for all``."""
    words: tuple[str, ...] = ()
    """Text that may stand in place of a number: ``auto``."""
    several: bool = False
    """Whether the value is a list of such values, or may be one where the field's type is Any."""

    @abstractmethod
    def allows(self, value: Any) -> bool:
        """Return whether one value, which is not None, is allowed."""

    @abstractmethod
    def describe(self) -> str:
        """Return what is allowed, to follow "must be": ``a positive integer``."""

    def hint(self, value: Any) -> str:
        """Return what may have been meant by ``value``, to follow a message; empty when nothing is near."""
        return ""

    def faults(self, name: str, value: Any) -> Iterator[str]:
        """Yield why ``value``, which is not None, cannot be the value of the setting ``name``."""
        if self.several and isinstance(value, list | tuple):
            if not value:
                yield f"{name} must not be an empty list; give one value or more"
            for one in value:
                if one is None or not self.allows(one):
                    yield f"each value of {name} must be {self.describe()}, not {shown(one)}{self.hint(one)}"
        elif not self.allows(value):
            yield f"{name} must be {self.options()}, not {shown(value)}{self.hint(value)}"

    def options(self) -> str:
        """Return all that the value may be: ``a positive integer, auto, or null for all``."""
        options = [self.describe(), *self.words]
        if self.several:
            options.append("a list of such values")
        if self.null:
            options.append(f"null {self.null}")
        return options[0] if len(options) == 1 else f"{', '.join(options[:-1])} or {options[-1]}"


@dataclass(frozen=True)
class Bounds(Rule):
    """A number within bounds; an integer where no bound is a float."""

    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    """Less than every allowed value."""
    below: float | None = None
    """Greater than every allowed value."""

    @property
    def is_integer(self) -> bool:
        """Whether only integers are allowed."""
        return not any(
            isinstance(bound, float) for bound in (self.minimum, self.maximum, self.above, self.below)
        )

    def allows(self, value: Any) -> bool:
        if isinstance(value, str):
            return value in self.words
        if isinstance(value, bool) or not isinstance(value, int if self.is_integer else int | float):
            return False
        return (
            (self.minimum is None or value >= self.minimum)
            and (self.maximum is None or value <= self.maximum)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def describe(self) -> str:
        article, noun = ("an", "integer") if self.is_integer else ("a", "number")
        if self.above is not None and self.below is not None:
            return f"{article} {noun} between {self.above:g} and {self.below:g}"
        if self.above == 0 or (self.is_integer and self.minimum == 1 and self.maximum is None):
            return f"a positive {noun}"
        if self.minimum is not None and self.maximum is not None:
            return f"{article} {noun} from {self.minimum:g} to {self.maximum:g}"
        return f"{article} {noun} of {self.minimum or 0:g} or more"


@dataclass(frozen=True)
class Choice(Rule):
    """One of a few values."""

    of: tuple[Any, ...] = ()

    def allows(self, value: Any) -> bool:
        return any(type(value) is type(choice) and value == choice for choice in self.of)

    def describe(self) -> str:
        return f"one of {', '.join(map(shown, self.of))}"

    def hint(self, value: Any) -> str:
        from difflib import get_close_matches  # slow to import, and needed for a fault only

        close = get_close_matches(str(value), map(str, self.of), n=1)
        return f" (did you mean {close[0]}?)" if close else ""


@dataclass(frozen=True)
class Form(Rule):
    """Text of a certain form."""

    pattern: str = ""
    form: str = ""
    """The same in words."""

    def allows(self, value: Any) -> bool:
        return isinstance(value, str) and re.fullmatch(self.pattern, value) is not None

    def describe(self) -> str:
        return self.form


def bounded(
    default: Any,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    below: float | None = None,
    words: Sequence[str] = (),
    null: str = "",
    several: bool = False,
) -> Any:
    """Return a dataclass field for a number within bounds: an integer unless one of the bounds is a float.

    None is allowed where the field's type or default allows it, or where ``null`` says what it means. See
    :class:`Rule` for the other arguments.
    """
    rule = Bounds(null, tuple(words), several, minimum=minimum, maximum=maximum, above=above, below=below)
    return _ruled(default, rule)


def choice(default: Any, *, of: Sequence[Any], several: bool = False) -> Any:
    """Return a dataclass field for one of the values ``of``; with ``several`` for a list of them."""
    return _ruled(default, Choice(several=several, of=tuple(of)))


def formed(default: str, *, pattern: str, form: str) -> Any:
    """Return a dataclass field for text that ``pattern`` matches as a whole; ``form`` says so in words."""
    return _ruled(default, Form(pattern=pattern, form=form))


def _ruled(default: Any, rule: Rule) -> Any:
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata={RULE: rule})
    return field(default=default, metadata={RULE: rule})


def field_faults(section: Any, name: str = "") -> list[str]:
    """Return what is wrong with the values of a dataclass ``section`` by the rules of its fields.

    ``name``: what its settings' names begin with, ``index`` for ``index.nlist``. Sections inside it are
    checked as well. Floats must be finite. One sentence each, with what is allowed; empty when all is well.
    """
    return list(_field_faults(section, f"{name}." if name else ""))


def _field_faults(section: Any, prefix: str) -> Iterator[str]:
    for each in fields(section):
        name, value, rule = prefix + each.name, getattr(section, each.name), each.metadata.get(RULE)
        if is_dataclass(value):
            yield from _field_faults(value, f"{name}.")
        elif isinstance(value, float) and not math.isfinite(value):
            yield f"{name} must be a finite number, not {value}"
        elif rule is None or (value is None and _takes_none(type(section), each)):
            continue
        else:
            yield from rule.faults(name, value)


def _takes_none(schema: type[Any], each: Field[Any]) -> bool:
    is_optional = type(None) in get_args(get_type_hints(schema)[each.name])
    return is_optional or each.default is None or bool(each.metadata[RULE].null)


def shown(value: Any) -> str:
    """Return ``value`` as a user writes it: null, true, or the text itself."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value) if str(value).strip() else repr(value)


def choices_of(base: type[Any]) -> dict[str, type[Any]]:
    """Return the schemas that a config group offers, by name: all subclasses of ``base`` that have one.

    A schema's name is its default for the only field of ``base`` that has none there (``name``, ``family``).
    """
    [identity] = [each.name for each in fields(base) if _has_no_default(each)]
    found: dict[str, type[Any]] = {}
    for schema in _subclasses(base):
        each = next(each for each in fields(schema) if each.name == identity)
        if not _has_no_default(each):
            found.setdefault(str(each.default), schema)
    return found


def _has_no_default(each: Field[Any]) -> bool:
    return each.default is MISSING and each.default_factory is MISSING


def _subclasses(base: type[Any]) -> Iterator[type[Any]]:
    for schema in base.__subclasses__():
        yield schema
        yield from _subclasses(schema)
