"""The worked examples of CONTRIBUTING.md, followed to the letter in a copy of the sources."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.pipeline.conftest import paint

ROOT = Path(__file__).parents[2]
QUICK = ("search.repeats=1", "search.warm_up=0", "search.modes=[single]", "tracking=none")
"""Added to each run, which then takes a moment."""


class Block(NamedTuple):
    """A fenced block: its language and what it holds."""

    language: str
    text: str


def examples() -> dict[str, list[Block]]:
    """The blocks of each section ``Add …``, by its heading."""
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    sections = re.findall(r"^## Add (?:an?|the) ([^\n]+)\n(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE)
    fence = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
    return {title: [Block(*match) for match in fence.findall(text)] for title, text in sections}


def follow(block: Block, checkout: Path) -> None:
    """Write the file that a block is, or make the changes that a diff says; its first line names the file."""
    first, _, body = block.text.partition("\n")
    file = checkout / first.removeprefix("# ")
    if block.language != "diff":
        assert not file.exists(), f"{file} is there already: change it with a diff"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(body, encoding="utf-8")
        return
    text = file.read_text(encoding="utf-8")
    for hunk in body.split("@@\n"):
        lines = hunk.splitlines(keepends=True)
        old = "".join(line[1:] for line in lines if line[0] in " -")
        assert text.count(old) == 1, f"{file} has not once:\n{old}"
        text = text.replace(old, "".join(line[1:] for line in lines if line[0] in " +"))
    file.write_text(text, encoding="utf-8")


def has_family(record: dict[str, Any], printed: str) -> None:
    assert record["index"]["family"] == "ivf_sq4"
    assert record["index"]["index_bytes"] < 500 * 768 * 4 / 4, "half a byte a dimension, and the centroids"
    assert "ivf_sq4 nlist=" in printed


def has_measure(record: dict[str, Any], printed: str) -> None:
    assert 0 < record["points"][0]["curves"]["capped_recall"]["10"] <= 1
    assert "capped_recall@10" in printed, "what the report recommends by it"


def has_source(record: dict[str, Any], printed: str) -> None:
    assert record["data"]["dataset"] == "zip"
    assert record["data"]["gallery_size"] == 24
    assert record["points"][0]["curves"]["hit_rate"]["10"] > 0, "labels are the folders' names"


def has_model(record: dict[str, Any], printed: str) -> None:
    assert record["model"]["recipe"]["family"] == "histogram"
    assert record["data"]["dim"] == 64
    assert record["points"][0]["curves"]["hit_rate"]["10"] > 0.2, "colours alone find some copies"


SEEN: dict[str, Callable[[dict[str, Any], str], None]] = {
    "index family": has_family,
    "measure": has_measure,
    "dataset source": has_source,
    "model": has_model,
}
"""What the commands of each example left and printed."""


def test_the_commands_name_tests_and_benchmarks_that_are_there() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    paths = set(re.findall(r"\b(?:tests|benchmarks)/[\w/.]+\w", page))
    assert len(paths) > 8
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


def test_every_example_is_followed() -> None:
    assert sorted(examples()) == sorted(SEEN)


@pytest.mark.parametrize("title", SEEN)
def test_an_example_works_as_it_is_written(title: str, tmp_path: Path) -> None:
    checkout, home = tmp_path / "checkout", tmp_path / "home"
    for folder in ("src", "conf"):
        shutil.copytree(ROOT / folder, checkout / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for number in range(24):
        paint(home / "pictures" / ("cats" if number % 2 else "dogs") / f"{number:02}.png", number)
    blocks = examples()[title]
    for block in blocks:
        if block.language != "sh":
            follow(block, checkout)
    printed = ""
    for block in blocks:
        for line in block.text.splitlines() if block.language == "sh" else ():
            program, *arguments = shlex.split(line)
            command = {"lookalike": [sys.executable, "-m", "lookalike"], "python": [sys.executable]}[program]
            done = subprocess.run(
                [*command, *arguments, *(QUICK if arguments[0] == "run" else ())],
                cwd=home,
                env=os.environ | {"PYTHONPATH": str(checkout / "src"), "LOOKALIKE_HOME": str(home)},
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            printed += done.stdout
    [file] = home.glob("outputs/*/*/record.json")
    SEEN[title](json.loads(file.read_text(encoding="utf-8")), printed)


def test_new_files_are_as_the_linters_want_them(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    for folder in ("src", "conf"):
        shutil.copytree(ROOT / folder, checkout / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", checkout)
    for blocks in examples().values():
        for block in blocks:
            if block.language != "sh":
                follow(block, checkout)
    for command in (["check", "."], ["format", "--check", "."]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command],
            cwd=checkout,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
