"""The import order of the design holds, in sources and in processes; ARCHITECTURE.md says what stands."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[1] / "src"

ORDER = (
    # what everything may use
    ("errors", "machine", "terminal", "progress", "schemas", "store"),
    # what is searched, by which model, with which index, for what
    ("datasets", "embed", "index", "queries", "evaluate"),
    # runs, one and finished
    ("runs", "run"),
    # views of their records, and what goes to production
    ("tracking", "report", "search", "export", "ui", "doctor"),
    # the way in
    ("config", "sweep", "api", "cli"),
)
"""A module imports only modules named before it; a package's own modules may import each other."""

FLAT = [module for line in ORDER for module in line]

ONLY_IN = {
    "hydra": {"config", "sweep", "api", "cli"},
    "omegaconf": {"config", "sweep", "api", "cli"},
    "mlflow": {"tracking"},
    "torch": {"embed", "export", "doctor"},  # export: in the programs that it copies out
    "transformers": {"embed", "export"},
    "matplotlib": {"report"},
    "streamlit": {"ui"},
}
"""Who may know these packages at all, at the top of a file or inside a function."""

FILES = sorted((SOURCES / "lookalike").rglob("*.py"))


def module_of(file: Path) -> str:
    """``evaluate`` for evaluate/timing/rounds.py and ``run`` for run.py."""
    return file.relative_to(SOURCES / "lookalike").parts[0].removesuffix(".py")


def imported(file: Path) -> Iterator[str]:
    """Dotted names of all imports in a file, wherever they stand; relative ones are none of ours."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} has a relative import"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_the_order_names_every_module() -> None:
    there = {module_of(file) for file in FILES} - {"__init__", "__main__"}
    assert sorted(FLAT) == sorted(there)


@pytest.mark.parametrize("module", FLAT)
def test_a_module_imports_only_what_is_named_before_it(module: str) -> None:
    allowed = {*FLAT[: FLAT.index(module) + 1], "__version__"}
    wrong = {
        f"{file.relative_to(SOURCES)} imports {name}"
        for file in FILES
        if module_of(file) == module
        for name in imported(file)
        if name.split(".")[0] == "lookalike" and name.split(".")[1] not in allowed
    }
    assert wrong == set()


@pytest.mark.parametrize("package", sorted(ONLY_IN))
def test_a_heavy_package_is_known_where_it_belongs_and_nowhere_else(package: str) -> None:
    importers = {
        module_of(file) for file in FILES for name in imported(file) if name.split(".")[0] == package
    }
    assert importers <= ONLY_IN[package]
    assert importers, f"nobody imports {package} any more: take it out of this test"


DOCUMENT = (SOURCES.parent / "ARCHITECTURE.md").read_text(encoding="utf-8")


def test_the_document_has_the_order_and_a_row_for_every_module() -> None:
    [order] = re.findall(r"^    (errors [a-z |\n]+?)\n\n", DOCUMENT, re.MULTILINE)
    lines = [[*line] for line in ORDER]
    assert [group.split() for group in order.split("|")] == lines
    [table] = re.findall(r"^\| module \|.*?(?=\n\n)", DOCUMENT, re.MULTILINE | re.DOTALL)
    named = [re.findall(r"`(\w+)`", row.split("|")[1]) for row in table.splitlines()[2:]]
    assert sorted(name for names in named for name in names) == sorted(FLAT)


def test_what_the_document_points_at_is_there() -> None:
    """A path may say NAME for any; a dotted name begins with one of our modules."""
    paths = set(
        re.findall(
            r"`((?:[\w.]+/)*[\w]*\.(?:py|yaml|js|html)|(?:conf|src|tests|experiments)/[\w./]*)`", DOCUMENT
        )
    )
    assert len(paths) > 40
    for path in paths:
        home = (
            SOURCES.parent
            if path.startswith(("conf/", "src/", "tests/", "slurm/", "experiments/"))
            else SOURCES / "lookalike"
        )
        found = list(home.glob(path.replace("NAME", "*"))) or list(home.rglob(path))
        assert found, f"there is no {path}"
    names = set(re.findall(rf"`((?:{'|'.join(FLAT)})(?:\.\w+)+)`", DOCUMENT)) - paths - {"sweep.json"}
    assert len(names) > 5
    for name in names:
        parts = name.split(".")
        files = [SOURCES.joinpath("lookalike", *parts[:end]) for end in range(len(parts), 0, -1)]
        there = next(file for file in files if file.is_dir() or file.with_suffix(".py").is_file())
        if inside := parts[len(there.relative_to(SOURCES / "lookalike").parts) :]:
            assert f"def {inside[0]}" in there.with_suffix(".py").read_text(encoding="utf-8"), name


def test_hydra_finds_plugins_that_cost_other_applications_nothing() -> None:
    """Hydra imports ``hydra_plugins`` in every application of the environment: ours waits until it sweeps."""
    files = sorted((SOURCES / "hydra_plugins").glob("*.py"))
    assert files
    assert not (SOURCES / "hydra_plugins" / "__init__.py").exists(), "it is a namespace of many packages"
    for file in files:
        code = f"import hydra_plugins.{file.stem}, sys; print('lookalike' in sys.modules)"
        assert python("-c", code).stdout.strip() == "False"


def python(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "LOOKALIKE_HOME"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done


LOADED = """
import json, sys
from lookalike.cli import main
code = main(sys.argv[1:])
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
sys.exit(code)
"""


def loaded_by(*arguments: str, cwd: Path | None = None) -> set[str]:
    """Packages that a process has loaded when the command is done."""
    return set(json.loads(python("-c", LOADED, *arguments, cwd=cwd).stdout.splitlines()[-1]))


def test_help_loads_nothing_heavy() -> None:
    heavy = {"numpy", "faiss", "hydra", "omegaconf", "mlflow", "torch", "transformers", "pyarrow"}
    assert loaded_by("--help") & heavy == set()


def test_a_reused_run_never_loads_torch(tmp_path: Path) -> None:
    small = ("dataset.limit=12", "queries.n=1", "index=flat", "search.k=5", "search.repeats=1")
    first = loaded_by("run", *small, cwd=tmp_path)
    assert "torch" in first, "or the second run proves nothing"
    second = loaded_by("run", *small, cwd=tmp_path)
    assert "mlflow" in second, "the run was logged as always"
    assert second & {"torch", "transformers"} == set()
    assert "pandas" not in loaded_by("run", *small, "tracking=none", cwd=tmp_path), "mlflow alone wants it"
