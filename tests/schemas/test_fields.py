"""Bounds and choices stand on the fields, and one checker says what a value must be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from lookalike import schemas
from lookalike.datasets.formats.formats import FORMATS
from lookalike.index.families import families
from lookalike.queries.edits import EDITS
from lookalike.queries.relevance import POLICIES
from lookalike.schemas.datasets import FORMATS as NAMED_FORMATS
from lookalike.schemas.fields import bounded, choice, choices_of, field_faults
from lookalike.schemas.queries import EDITS as NAMED_EDITS

INTEGERS = ("k", "nprobe", "ef_search", "k_factor", "batch_size", "threads", "single_threads", "repeats")
LISTS = ("nprobe", "ef_search", "k_factor")


@pytest.mark.parametrize("setting", INTEGERS)
@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (-1, "-1"), (1.5, "1.5"), ("many", "many"), (True, "true"), ("", "''")]
)
def test_a_positive_integer(setting: str, value: Any, text: str) -> None:
    or_list = " or a list of such values" if setting in LISTS else ""
    faults = field_faults(schemas.Search(**{setting: value}), "search")
    assert faults == [f"search.{setting} must be a positive integer{or_list}, not {text}"]


@pytest.mark.parametrize(
    ("section", "fault"),
    [
        (schemas.Search(nprobe=[1, 0]), "each value of nprobe must be a positive integer, not 0"),
        (schemas.Search(nprobe=[1, None]), "each value of nprobe must be a positive integer, not null"),
        (schemas.Search(nprobe=[]), "nprobe must not be an empty list; give one value or more"),
        (schemas.Search(warm_up=-1), "warm_up must be an integer of 0 or more, not -1"),
        (schemas.Search(seconds=0), "seconds must be a positive number, not 0"),
        (schemas.Search(seconds=float("inf")), "seconds must be a finite number, not inf"),
        (schemas.Search(modes=[]), "modes must not be an empty list; give one value or more"),
        (
            schemas.Search(modes=["single", "bach"]),
            "each value of modes must be one of single, batch, saturated, not bach (did you mean batch?)",
        ),
        (schemas.Measures(confidence=1.0), "confidence must be a number between 0 and 1, not 1.0"),
        (schemas.StoreOptions(reuse=1), None),
    ],
)
def test_other_bounds(section: Any, fault: str | None) -> None:
    faults = field_faults(section)
    assert faults == [fault] if fault else len(faults) == 1


def test_null_is_allowed_where_the_type_or_the_rule_allows_it() -> None:
    @dataclass
    class Section:
        optional: int | None = bounded(5, minimum=1)
        all_of_them: Any = bounded(5, minimum=1, null="for all")
        open: Any = bounded(None, minimum=1)
        word: Any = bounded("auto", minimum=1, words=("auto",))
        kind: Any = choice("a", of=("a", "b"))

    assert field_faults(Section(None, None, None)) == []
    assert field_faults(Section(word=None, kind=None)) == [
        "word must be a positive integer or auto, not null",
        "kind must be one of a, b, not null",
    ]


def test_sections_inside_are_checked_by_their_whole_names() -> None:
    @dataclass
    class Whole:
        search: schemas.Search

    assert field_faults(Whole(schemas.Search(k=0))) == ["search.k must be a positive integer, not 0"]


@pytest.mark.parametrize(
    "base", [schemas.Dataset, schemas.Model, schemas.Queries, schemas.Index], ids=lambda base: base.__name__
)
def test_defaults_are_sound(base: type[Any]) -> None:
    for schema in (*choices_of(base).values(), schemas.Search, schemas.Measures, schemas.Tracking):
        assert field_faults(schema()) == []


def test_choices_are_what_there_is() -> None:
    assert tuple(FORMATS) == NAMED_FORMATS
    assert tuple(EDITS) == NAMED_EDITS
    assert list(POLICIES) == ["relevant", "ignored", "irrelevant"]
    assert families() == choices_of(schemas.Index)
