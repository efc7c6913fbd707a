"""A program in the working directory is never executed by a child process of ours."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lookalike.machine.processes import child_environment, how_it_ended, python_command, run_module

SOURCES = Path(__file__).parents[2] / "src"
MODULES = ("faiss", "mlflow", "numpy", "json", "streamlit", "hydra", "submitit", "lookalike", "uvicorn")


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A folder of modules that leave a file named after themselves when they are imported."""
    folder = tmp_path / "trap"
    folder.mkdir()
    for name in MODULES:
        (folder / f"{name}.py").write_text(
            f"import pathlib\n(pathlib.Path(__file__).parent / '{name}.executed').touch()\n"
        )
    return folder


def executed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.executed"))


def test_a_run_executes_nothing_of_the_folder_it_is_typed_in(trap: Path, tmp_path: Path) -> None:
    lookalike = Path(sys.executable).with_name("lookalike")
    home = tmp_path / "home"
    command = [lookalike, "run", f"paths.root={home}", "dataset.limit=20", "queries.n=4", "model=pixels"]
    command += ["index=ivf_flat", "index.nlist=2", "search.nprobe=1", "search.k=5", "search.seconds=0.05"]
    done = subprocess.run(command, cwd=trap, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert executed(trap) == []

    [index] = home.glob("store/artifacts/index/*/index.faiss")
    done = subprocess.run(
        [lookalike, "index", "info", index], cwd=trap, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert executed(trap) == []


def test_nor_does_python_m_lookalike(trap: Path) -> None:
    (trap / "lookalike.py").unlink()  # that one is what such a command names
    command = [sys.executable, "-m", "lookalike", "run", "--cfg", "job"]
    done = subprocess.run(command, cwd=trap, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert executed(trap) == []


@pytest.mark.parametrize("module", ["mlflow", "streamlit", "lookalike"])
def test_programs_that_verbs_start_are_isolated(trap: Path, module: str) -> None:
    done = subprocess.run(
        python_command(module, "--help"),
        cwd=trap,
        env=child_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert executed(trap) == []


def test_children_of_children_are_isolated(trap: Path) -> None:
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import faiss'])"
    subprocess.run([sys.executable, "-P", "-c", program], cwd=trap, env=child_environment(), check=True)
    assert executed(trap) == []


def test_only_this_module_starts_python() -> None:
    """``sys.executable`` elsewhere would be a child that is not isolated."""
    found = [
        str(file.relative_to(SOURCES))
        for file in sorted(SOURCES.rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and node.attr == "executable"
        and isinstance(node.value, ast.Name)
        and node.value.id == "sys"
    ]
    assert set(found) == {"lookalike/machine/processes.py"}


GREEDY = """
from lookalike.machine.processes import bound_this_process
import sys
if sys.argv[1] == "bounded":
    bound_this_process(more_memory_bytes=500 << 20, cpu_seconds=60)
print(len(bytearray(10**9)))
"""


def test_bounds_of_a_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "greedy.py").write_text(GREEDY)
    (tmp_path / "slow.py").write_text("import time; time.sleep(60)")
    monkeypatch.setenv("PYTHONPATH", os.fspath(tmp_path))  # where the user says that modules lie
    assert run_module("greedy", "free").stdout == "1000000000\n"
    bounded = run_module("greedy", "bounded")
    assert how_it_ended(bounded) == "reading it takes more memory than its size explains"
    with pytest.raises(subprocess.TimeoutExpired):
        run_module("slow", timeout_seconds=0.3)
