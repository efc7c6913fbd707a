"""``runs`` alone spells the names of output files, and alone walks the folders they lie in."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from lookalike.runs.paths import HomePaths, ReportPaths, RunPaths, SweepPaths

SOURCES = Path(__file__).parents[2] / "src"
OUTSIDE = [file for file in sorted(SOURCES.rglob("*.py")) if "/lookalike/runs/" not in file.as_posix()]

AMBIGUOUS = {"points"}
"""A folder's name that is a word of the code as well."""
WALKING = {"glob", "rglob", "iterdir", "walk", "scandir", "listdir"}
OTHER_FOLDERS = {
    "datasets",  # images, tars, tables
    "embed",  # checkpoints
    "export",  # what it has just made, and checkpoints
    "store",
    "index/serving.py",  # an artifact being built
    "doctor",
    "ui/thumbnails.py",  # a cache
    "tracking/home.py",  # MLflow's database
}
"""Modules that walk folders which hold no runs."""


def names() -> set[str]:
    here = Path("here")
    found = {"missed.html"}
    for paths in (HomePaths(here), ReportPaths(here), RunPaths(here), SweepPaths(here)):
        for name in dir(type(paths)):
            if isinstance(getattr(type(paths), name), property) and isinstance(
                value := _value(paths, name), Path
            ):
                found.add(value.name)
    return found - AMBIGUOUS


def _value(paths: object, name: str) -> object:
    try:
        return getattr(paths, name)
    except OSError:
        return None


def strings(file: Path) -> Iterator[tuple[int, str]]:
    """String constants that are not docstrings, those of f-strings in pieces."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value


def test_the_owner_knows_the_names() -> None:
    known = {"record.json", "sweep.json", ".hydra", "comparison.md", "comparison.csv", "pareto.png"}
    assert known | {"report.html", "costs.md", "outputs", "multirun", "traceback.txt", ".lease"} <= names()


def test_nothing_but_runs_spells_the_name_of_an_output_file() -> None:
    known = names()
    spelled = [
        f"{file.relative_to(SOURCES)}:{line}: {text}"
        for file in OUTSIDE
        for line, text in strings(file)
        if known & set(text.split("/"))
    ]
    assert spelled == []


def test_nothing_but_runs_walks_the_folders_of_runs() -> None:
    walking = [
        f"{file.relative_to(SOURCES)}:{node.lineno}"
        for file in OUTSIDE
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in WALKING
        if not any(f"/lookalike/{place}" in file.as_posix() for place in OTHER_FOLDERS)
    ]
    assert walking == []
