"""The hooks before a commit are what ``make lint`` runs, with the programs of the project's environment."""

from __future__ import annotations

import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def lint_commands() -> list[str]:
    """What ``make lint`` would run, as make itself says."""
    printed = subprocess.run(
        ["make", "--dry-run", "--assume-old=install", "lint"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [line for line in printed.splitlines() if line.startswith(".venv/bin/") and "pip" not in line]


def test_the_hooks_are_the_commands_of_make_lint() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]
    assert [hook["entry"] for hook in hooks] == lint_commands()
    assert len(hooks) == 3, "ruff check, ruff format, mypy"
    assert {repo["repo"] for repo in config["repos"]} == {"local"}, "versions are those of requirements.lock"
    for hook in hooks:
        assert hook["language"] == "system"
        assert hook["pass_filenames"] is False, "all files, as in CI"


def test_continuous_integration_runs_make_lint() -> None:
    assert "\nmake lint\n" in (ROOT / ".ci/run").read_text(encoding="utf-8")
