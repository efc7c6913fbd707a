from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from lookalike.store.recipe import Recipe, differences, explain

RECIPE = Recipe("index", 1, {"factory": "IVF64,Flat", "seed": 1234}, {"embeddings": "0f" * 16})


def manifest(recipe: Recipe) -> dict[str, Any]:
    return {"version": recipe.version, "parameters": recipe.parameters, "parents": recipe.parents}


def test_a_key_never_changes() -> None:
    # Pinned: another key here means that every store in the world is built again.
    assert RECIPE.key == "54a8e22de2dc3a9ee5965448fb9d1e58"


def test_the_order_of_parameters_does_not_matter() -> None:
    again = Recipe("index", 1, {"seed": 1234, "factory": "IVF64,Flat"}, {"embeddings": "0f" * 16})
    assert again.key == RECIPE.key


@pytest.mark.parametrize(
    "other",
    [
        Recipe("indexes", 1, RECIPE.parameters, RECIPE.parents),
        Recipe("index", 2, RECIPE.parameters, RECIPE.parents),
        Recipe("index", 1, {**RECIPE.parameters, "seed": 1235}, RECIPE.parents),
        Recipe("index", 1, {**RECIPE.parameters, "seed": "1234"}, RECIPE.parents),
        Recipe("index", 1, {**RECIPE.parameters, "more": None}, RECIPE.parents),
        Recipe("index", 1, RECIPE.parameters, {"embeddings": "0e" * 16}),
        Recipe("index", 1, RECIPE.parameters, {"trained": "0f" * 16}),
        Recipe("index", 1, {**RECIPE.parameters, **RECIPE.parents}, {}),
    ],
)
def test_everything_in_a_recipe_shapes_its_key(other: Recipe) -> None:
    assert other.key != RECIPE.key


def test_a_recipe_keeps_its_own_copy() -> None:
    parameters = {"edits": ["crop"], "size": (224, 224)}
    recipe = Recipe("queries", 1, parameters, {})
    key = recipe.key
    parameters["edits"].append("blur")  # type: ignore[attr-defined]
    assert recipe.parameters == {"edits": ["crop"], "size": [224, 224]}
    assert Recipe("queries", 1, recipe.parameters, {}).key == key


@pytest.mark.parametrize("value", [math.nan, math.inf, Path("x"), {1, 2}, b"x"])
def test_what_json_does_not_have_is_refused(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        Recipe("index", 1, {"value": value}, {})


@pytest.mark.parametrize("kind", ["", "..", "a/b", "Index", ".hidden", "1st"])
def test_a_kind_names_a_folder(kind: str) -> None:
    with pytest.raises(ValueError, match="names a folder"):
        Recipe(kind, 1, {}, {})


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"nlist": 64}, {"nlist": 128}, ["nlist 64 → 128"]),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, ["a.c 2 → 3"]),
        ({"factory": "Flat"}, {"factory": "IVF64,Flat"}, ["factory Flat → IVF64,Flat"]),
        ({"mean": True}, {"mean": 1}, ["mean true → 1"]),
        ({"limit": None}, {"limit": 10}, ["limit null → 10"]),
        ({"name": ""}, {"name": "x"}, ['name "" → x']),
        ({"weights": "a" * 64}, {"weights": "b" * 64}, ["weights changed"]),
        ({"edits": ["crop"]}, {"edits": ["crop", "blur"]}, ['edits ["crop"] → ["crop","blur"]']),
        ({"ids": list(range(50))}, {"ids": list(range(51))}, ["ids changed"]),
        ({}, {"pq_m": 64}, ["pq_m 64 added"]),
        ({"pq_m": 64}, {}, ["pq_m 64 removed"]),
        ({"weights": "a" * 64}, {}, ["weights removed"]),
        ({"a": {}}, {"a": {"b": 1}}, ["a.b 1 added", "a {} removed"]),
        ({"same": 1}, {"same": 1}, []),
    ],
)
def test_differences_are_said_in_words(old: dict[str, Any], new: dict[str, Any], expected: list[str]) -> None:
    assert differences(manifest(Recipe("index", 1, old, {})), Recipe("index", 1, new, {})) == expected


def test_version_and_parents_come_first() -> None:
    old = Recipe("index", 1, {"nlist": 64}, {"embeddings": "a", "trained": "t"})
    new = Recipe("index", 2, {"nlist": 128}, {"embeddings": "b", "trained": "t"})
    assert differences(manifest(old), new) == ["stage version 1 → 2", "embeddings changed", "nlist 64 → 128"]


def test_the_reason_compares_with_the_nearest_and_then_the_first() -> None:
    far = Recipe("index", 1, {"nlist": 64, "seed": 1, "metric": "l2"}, {})
    near = Recipe("index", 1, {"nlist": 64, "seed": 2, "metric": "ip"}, {})
    as_near = Recipe("index", 1, {"nlist": 32, "seed": 1, "metric": "ip"}, {})
    wanted = Recipe("index", 1, {"nlist": 64, "seed": 1, "metric": "ip"}, {})
    assert explain(wanted, map(manifest, [near, as_near])) == "seed 2 → 1"
    assert explain(wanted, map(manifest, [as_near, near])) == "nlist 32 → 64"
    assert explain(Recipe("index", 1, {**wanted.parameters, "seed": 3}, {}), map(manifest, [far, near])) == (
        "seed 2 → 3"
    )
    assert explain(wanted, []) == "first of its kind"


def test_many_differences_are_counted() -> None:
    old = Recipe("index", 1, dict.fromkeys("abcde", 1), {})
    new = Recipe("index", 1, dict.fromkeys("abcde", 2), {})
    assert explain(new, [manifest(old)]) == "a 1 → 2, b 1 → 2, c 1 → 2 and 2 more"


def test_a_reason_compares_with_what_was_made_of_the_same_gallery() -> None:
    def made(gallery: str, **parameters: object) -> dict[str, object]:
        return {"version": 1, "parameters": parameters, "parents": {"gallery": gallery}}

    recipe = Recipe("index", 1, {"nlist": 8, "seed": 1, "family": "ivf_flat"}, {"gallery": "mine"})
    unrelated = made("another", nlist=8, seed=1, family="ivf_flat")
    related = made("mine", nlist=4, seed=2, family="ivf_flat")
    assert explain(recipe, [unrelated, related]) == "nlist 4 → 8, seed 2 → 1"
    assert explain(recipe, [unrelated]) == "new gallery"
    exact = Recipe("exact", 1, {"depth": 30}, {"gallery": "mine", "queries": "these"})
    assert explain(exact, [made("another", depth=40)]) == "new gallery and queries"


def test_another_family_is_the_whole_reason() -> None:
    """Its parameters are others: "side 8 added, dtype float32 removed" tells nothing."""
    pixels, lite0 = {"family": "pixels", "side": 8}, {"family": "lite0", "dtype": "float32", "pooling": "avg"}
    recipe = Recipe("queries", 1, {**pixels, "rows": 4}, {})
    another = manifest(Recipe("queries", 1, {**lite0, "rows": 4}, {}))
    assert explain(recipe, [another]) == "family lite0 → pixels"
    assert explain(
        recipe, [another, manifest(Recipe("queries", 1, {**pixels, "side": 16, "rows": 7}, {}))]
    ) == ("rows 7 → 4, side 16 → 8")
