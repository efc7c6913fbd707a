"""``pip install .``: the wheel holds everything, and works from any folder with a user's own configs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.install

PROJECT = Path(__file__).parents[2]

MINE = """\
defaults:
  - folder
  - _self_

root: {root}
labels: folder
"""


def call(command: Sequence[str | Path], cwd: Path) -> str:
    """Run a command without what this environment knows of Lookalike; its standard output."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("LOOKALIKE", "PYTHON", "MLFLOW", "HYDRA"))
    }
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout."""
    folder = tmp_path_factory.mktemp("dist")
    build: list[str | Path] = ["-m", "build", "--wheel", "--no-isolation", "--outdir", folder, PROJECT]
    call([sys.executable, *build], cwd=folder)
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` folder of a new environment with the wheel in it.

    Installing torch and the rest again would take minutes and gigabytes, so the new environment borrows them:
    its ``.pth`` file puts this one's site-packages behind its own. ``.pth`` files found there are not read in
    turn, so the checkout's editable install is not borrowed with them: Lookalike is the wheel's or missing.
    """
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    call(
        [
            sys.executable,
            "-m",
            "pip",
            "--python",
            python,
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
            wheel,
        ],
        cwd=home,
    )
    own = Path(
        call([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], cwd=home).strip()
    )
    borrowed = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
    (own / "borrowed.pth").write_text("\n".join(borrowed) + "\n", encoding="utf-8")
    return home / "bin"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """70 pictures in two folders, each a few soft blobs."""
    root = tmp_path / "my pictures"
    for number in range(70):
        file = root / ("cats" if number % 2 else "dogs") / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        coarse = np.random.default_rng(number).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((32, 32), Image.Resampling.BICUBIC).save(file)
    return root


@pytest.fixture
def own_configs(tmp_path: Path, pictures: Path) -> Path:
    """A user's folder of configs, with one dataset in it."""
    folder = tmp_path / "my configs"
    (folder / "dataset").mkdir(parents=True)
    (folder / "dataset" / "mine.yaml").write_text(
        MINE.format(root=json.dumps(str(pictures))), encoding="utf-8"
    )
    return folder


def test_the_wheel_holds_the_code_the_plugin_and_all_configs(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for source in (PROJECT / "src").rglob("*.py"):
        assert source.relative_to(PROJECT / "src").as_posix() in names
    for config in (PROJECT / "conf").rglob("*.yaml"):
        assert f"lookalike/{config.relative_to(PROJECT).as_posix()}" in names
    assert "lookalike/py.typed" in names, "type checkers of other projects read our annotations"
    assert "hydra_plugins/__init__.py" not in names, "Hydra's namespace belongs to many packages"
    assert not [name for name in names if name.startswith(("tests", "benchmarks"))]


def test_what_is_installed_is_the_wheel(installed: Path, tmp_path: Path) -> None:
    where = (
        "import lookalike; from lookalike.config.composing import conf_folder; "
        "print(lookalike.__file__); print(conf_folder())"
    )
    module, conf = map(Path, call([installed / "python", "-c", where], cwd=tmp_path).splitlines())
    assert module.is_relative_to(installed.parent)
    assert conf == module.parent / "conf"


def test_python_sees_the_same(installed: Path, own_configs: Path, tmp_path: Path) -> None:
    code = f"""
import lookalike
chosen = ["dataset=mine", "model=pixels", "queries.n=2", "index=flat", "search.k=5", "tracking=none"]
record = lookalike.run_experiment(lookalike.compose(*chosen, config_dir={str(own_configs)!r}), quiet=True)
print(lookalike.points(record)["knn_recall_at_5"].item())
"""
    assert call([installed / "python", "-c", code], cwd=tmp_path).strip() == "1.0"


def test_an_experiment_on_a_dataset_of_ones_own(installed: Path, own_configs: Path, tmp_path: Path) -> None:
    place = tmp_path / "elsewhere"
    place.mkdir()
    chosen: list[str | Path] = [
        "--config-dir",
        own_configs,
        "dataset=mine",
        "model=pixels",
        "queries=labels",
        "queries.n=5",
    ]
    quick = ["index=flat", "search.k=10", "search.repeats=1"]
    printed = call([installed / "lookalike", "run", *chosen, *quick], cwd=place)
    assert "flat" in printed
    [file] = place.glob("outputs/*/*/record.json")
    record = json.loads(file.read_text(encoding="utf-8"))
    assert (record["status"], record["data"]["gallery_size"]) == ("finished", 70)
    assert record["config"]["dataset"]["labels"] == "folder"
    assert record["points"][0]["metrics"]["knn_recall_at_10"] == 1
    assert (place / "mlruns" / "mlflow.db").is_file()


def test_a_sweep_finds_the_plugin(installed: Path, own_configs: Path, tmp_path: Path) -> None:
    chosen: list[str | Path] = [
        "--config-dir",
        own_configs,
        "dataset=mine",
        "model=pixels",
        "queries.n=2",
        "tracking=none",
    ]
    swept = ["-m", "index=flat,ivf_flat", "search.k=10", "search.repeats=1"]
    call([installed / "lookalike", "run", *chosen, *swept], cwd=tmp_path)
    records = [json.loads(file.read_text()) for file in tmp_path.glob("multirun/*/*/*/record.json")]
    assert sorted(record["index"]["family"] for record in records) == ["flat", "ivf_flat"]
    assert list(tmp_path.glob("multirun/*/*/comparison.md")), "our sweeper's own work, not Hydra's"
