"""What the README tells people to type composes and has no faults; the files it shows are there."""

from __future__ import annotations

import importlib
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest
import yaml
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from PIL import Image

import lookalike
from lookalike.cli import VERBS
from lookalike.config.composing import compose, conf_folder, expand_home
from lookalike.config.planning import find_faults
from lookalike.datasets.twemoji import twemoji_folder
from lookalike.sweep.blocks import job_lines

ROOT = Path(__file__).parents[2]
PAGES = (
    "CONTRIBUTING.md",
    "README.md",
    "benchmarks/README.md",
    "experiments/emoji/README.md",
    "experiments/million/README.md",
    "experiments/synthetic_vs_real/README.md",
    "experiments/truth/README.md",
    "slurm/README.md",
)
NOT_HERE = ("does not exist", "dataset.root", "is not in the cache", "lookalike fetch")
"""Faults that a reader's own files and weights would not have."""


def commands(page: str) -> list[str]:
    """Commands in indented blocks and in backticks, continued lines joined, comments cut."""
    text = (ROOT / page).read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = [line.strip() for line in text.splitlines() if line.startswith("    lookalike ")]
    inline = re.findall(r"`(lookalike [^`]+)`", text)
    return [re.sub(r"\s+#.*", "", command) for command in [*blocks, *inline]]


COMMANDS = sorted({command for page in PAGES for command in commands(page)})


def multiply(lines: list[str]) -> list[list[str]]:
    parser = OverridesParser.create()
    [jobs] = BasicSweeper.split_arguments(parser.parse_overrides(lines), None)
    return [list(job) for job in jobs]


def test_commands_were_found() -> None:
    assert len(COMMANDS) > 12


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_one_that_we_have(command: str) -> None:
    verb = shlex.split(command)[1]
    assert verb.rstrip(",") in VERBS


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("lookalike run")])
def test_a_run_composes_without_faults(command: str) -> None:
    arguments = [word for word in shlex.split(command)[2:] if not word.startswith("-") and word != "job"]
    blocks = [yaml.safe_load(word.split("=", 1)[1]) for word in arguments if "sweeper.blocks=" in word]
    own = expand_home([word for word in arguments if not word.startswith("hydra")])
    jobs = job_lines({}, blocks[0] if blocks else [], own, multiply)
    assert jobs
    for job in jobs:
        faults = find_faults(compose(job))
        assert [fault for fault in faults if not any(known in fault for known in NOT_HERE)] == []


def test_the_lines_of_python_run_as_they_stand(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    [block] = re.findall(r"^## From Python\n\n((?:    .+\n)+)", text, re.MULTILINE)
    assert len(block.splitlines()) == 5
    with Image.open(twemoji_folder() / "1f408.png") as cat:
        cat.convert("RGBA").convert("RGB").save(tmp_path / "photo.jpg")
    done = subprocess.run(
        [sys.executable, "-c", dedent(block)],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "LOOKALIKE_HOME"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "ivf_flat nlist=64 nprobe=8" in done.stdout
    assert done.stdout.count(".png") == 10


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = [target for target in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in target]
    assert [target for target in targets if not ((ROOT / page).parent / target).exists()] == []


def test_the_table_of_choices_names_every_config() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    configs = {path.stem for path in conf_folder().glob("*/*.yaml") if path.parent.name != "hydra"}
    assert sorted(name for name in configs if name not in text) == []


def test_the_table_is_the_studys() -> None:
    study = (ROOT / "experiments/emoji/comparison.md").read_text(encoding="utf-8")
    table = [line for line in study.splitlines() if line.startswith("| ")]
    assert len(table) == 8, "a heading, a rule and six operating points"
    readme = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert [line for line in table if line not in readme] == []


def test_the_tables_of_the_million_are_those_of_its_data(monkeypatch: pytest.MonkeyPatch) -> None:
    study = ROOT / "experiments/million"
    monkeypatch.syspath_prepend(str(study))
    tables = dict(importlib.import_module("tables").tables(study, [768, 1152]))
    assert sorted(tables) == sorted(
        [f"{dim}/{name}.csv" for dim in (768, 1152) for name in ("comparison", "threads")]
        + ["memory.json", "original"]
    )
    readme = (study / "README.md").read_text(encoding="utf-8")
    assert [name for name, table in tables.items() if table not in readme] == []
    memory = json.loads((study / "1152/memory.json").read_text(encoding="utf-8"))
    assert f"in {memory['peak_rss_gib']:.2f} GiB" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_table_of_the_benchmarks_is_of_what_they_said(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = ROOT / "benchmarks"
    monkeypatch.syspath_prepend(str(folder))
    record = importlib.import_module("record")
    kept = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert sorted(kept) == record.NAMES
    assert record.table(kept) in (folder / "README.md").read_text(encoding="utf-8")


def anns_recall(
    dataset_distances: np.ndarray, run_distances: np.ndarray, count: int, epsilon: float = 1e-3
) -> float:
    """``get_recall_values`` and ``knn_threshold`` of ann-benchmarks' plotting/metrics.py."""
    recalls = np.zeros(len(run_distances))
    for i in range(len(run_distances)):
        t = dataset_distances[i][count - 1] + epsilon
        actual = 0
        for d in run_distances[i][:count]:
            if d <= t:
                actual += 1
        recalls[i] = actual
    return float(np.mean(recalls) / float(count))


@pytest.mark.parametrize("metric", ["l2", "ip"])
def test_ann_benchmarks_recall_is_computed_as_the_readme_says(
    metric: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery = np.random.default_rng(0).normal(0, 0.004, (3_000, 8)).astype(np.float32) + np.float32(0.35)
    asked = gallery[:200] + np.random.default_rng(1).normal(0, 1e-3, (200, 8)).astype(np.float32)
    if metric == "ip":
        gallery, asked = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (gallery, asked))
    np.save(tmp_path / "gallery.npy", gallery)
    np.save(tmp_path / "asked.npy", asked)
    monkeypatch.setenv("LOOKALIKE_HOME", str(tmp_path / "home"))
    experiment = lookalike.compose(
        *("dataset=embeddings", f"dataset.root={tmp_path / 'gallery.npy'}", "queries=vectors"),
        *(f"queries.file={tmp_path / 'asked.npy'}", "index=ivf_flat", "index.nlist=64"),
        *(f"index.metric={metric}", "search.k=10", "search.nprobe=2", "search.repeats=1", "tracking=none"),
    )
    record = lookalike.run_experiment(experiment, quiet=True)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    [snippet] = [code for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "1e-3" in code]
    values: dict[str, Any] = {}
    exec(snippet, values)

    wide, queries = gallery.astype(np.float64), asked.astype(np.float64)
    if metric == "l2":
        all_distances = np.linalg.norm(wide[None] - queries[:, None], axis=2)
    else:
        all_distances = 1 - queries @ wide.T
    returned = np.take_along_axis(all_distances, values["found"], axis=1)
    theirs = anns_recall(np.sort(all_distances, axis=1), returned, 10)
    assert values["recall"] == pytest.approx(theirs, abs=1e-4)
    [point] = record.points
    assert theirs > point.metrics["knn_recall_at_10"] + 0.01, "they count what lies near, here it is missed"
