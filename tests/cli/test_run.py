"""``lookalike run`` is a Hydra application in every way, with stand-in work."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from lookalike.cli import VERBS
from lookalike.cli import main as lookalike
from lookalike.cli.run import FULL_ERROR, main
from lookalike.errors import ConfigError, LookalikeError
from lookalike.runs.record import Record
from lookalike.schemas import Experiment
from lookalike.sweep.task import Task
from tests.notes import Notes
from tests.sweep.worlds import World

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOOKALIKE_HOME", raising=False)
    monkeypatch.delenv(FULL_ERROR, raising=False)


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Hydra configures the root logger of the process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)


def run(*arguments: str, world: World | None = None, notes: Notes | None = None) -> int:
    return main(["model=pixels", *arguments], Task(notes or Notes(), world or World()))


def test_a_run_has_a_folder_of_its_own_with_its_config(tmp_path: Path, capsys: Capture) -> None:
    assert run("index=flat") == 0
    assert run("index=flat") == 0

    folders = sorted(tmp_path.glob("outputs/*/*"))
    assert len(folders) == 2
    for folder in folders:
        assert Record.load(folder).overrides == ["model=pixels", "index=flat"]
        assert yaml.safe_load((folder / ".hydra/config.yaml").read_text())["index"]["family"] == "flat"
    assert capsys.readouterr() == ("", "")  # Hydra is silent


def test_everything_lies_under_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOKALIKE_HOME", str(tmp_path / "home"))
    assert run() == 0
    assert run(f"paths.root={tmp_path}/else") == 0
    assert {path.name for path in tmp_path.iterdir()} == {"home", "else"}


def test_a_home_with_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    assert run("paths.root=~/lookalike") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["me"]
    assert len(list(tmp_path.glob("me/lookalike/outputs/*/*/record.json"))) == 1


def test_flags_and_overrides_come_in_any_order(capsys: Capture) -> None:
    """Hydra's own parser wants all overrides in one place."""
    assert run("--cfg", "job", "index=hnsw", "--resolve", "search.k=7") == 0
    assert yaml.safe_load(capsys.readouterr().out)["search"]["k"] == 7


def test_hydra_run_dir(tmp_path: Path) -> None:
    assert run("hydra.run.dir=here") == 0
    assert (tmp_path / "here/record.json").exists()
    assert (tmp_path / "here/.hydra/overrides.yaml").exists()


def test_a_sweep_has_a_folder_a_job(tmp_path: Path) -> None:
    world, notes = World(), Notes()
    assert run("-m", "index=flat,ivf_flat", "search.nprobe=[1,8,512]", world=world, notes=notes) == 0

    [folder] = tmp_path.glob("multirun/*/*")
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    assert [name.rsplit("-", 1)[0] for name in names] == ["index=flat", "index=ivf_flat"]
    assert {path.name for path in folder.iterdir() if path.is_file()} == {
        "multirun.yaml",
        "sweep.json",
        "comparison.csv",
        "comparison.md",
        "pareto.png",
        "report.html",
    }
    assert notes.said[0] == "sweep: 3 points in 2 jobs; 1 skipped:"
    assert notes.said[-1] == "job 2: index=ivf_flat"
    assert world.tracker.events[0] == ("start", "model=pixels index=flat,ivf_flat search.nprobe=[1,8,512]")
    assert world.tracker.events[-1] == ("finish", "parent-id", 2, "finished", True)
    assert len(world.sessions) == 1
    records = [Record.load(folder / name) for name in names]
    assert records[1].overrides == ["model=pixels", "index=ivf_flat", "search.nprobe=[1,8,512]"]
    assert records[1].config["tracking"]["parent"] == "parent-id"


def test_the_same_sweep_names_its_folders_alike(tmp_path: Path) -> None:
    for _ in range(2):
        run("-m", "index=flat,hnsw")
    first, second = tmp_path.glob("multirun/*/*")
    assert {p.name for p in first.iterdir()} == {p.name for p in second.iterdir()}


def test_experiments_that_sweep_need_no_flag_and_can_be_narrowed() -> None:
    world = World()
    assert run("experiment=ivf_nprobe", "index.nlist=4,8", world=world) == 0
    assert [labels for labels, _ in world.runs] == [
        [f"ivf_flat nlist=4 nprobe={nprobe}" for nprobe in (1, 2, 4)],
        [f"ivf_flat nlist=8 nprobe={nprobe}" for nprobe in (1, 2, 4, 8)],
    ]


def test_blocks_from_a_users_own_experiment(tmp_path: Path) -> None:
    path = tmp_path / "conf/experiment/mine.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(
        "# @package _global_\n"
        "hydra:\n  mode: MULTIRUN\n  sweeper:\n    blocks:\n"
        "      - [index=flat]\n      - [index=ivf_flat, 'index.nlist=4,8', 'search.nprobe=[1,2]']\n"
    )
    world = World()
    assert run("experiment=mine", "search.k=5,10", world=world) == 0
    assert len(world.runs) == 6
    assert world.tracker.events[0] == ("start", "mine model=pixels search.k=5,10")


def test_blocks_that_are_texts_are_refused_but_in_sweeps_begun_with_them() -> None:
    blocks = "hydra.sweeper.blocks=['index=flat','index=ivf_flat index.nlist=4,8']"
    with pytest.raises(ConfigError, match=r'as a list of its overrides: \["index=flat"\]$'):
        run("-m", "sweep.name=mine", blocks)
    world = World()
    assert run("-m", "sweep.name=mine", "index=flat", world=world) == 0
    assert run("-m", "sweep.name=mine", blocks, world=world) == 0
    assert len(world.runs) == 3


def test_the_seed_papers_sweep(tmp_path: Path) -> None:
    (tmp_path / "SBU_captioned_photo_dataset_captions.txt").write_text("a cat\n")
    world = World()
    without_weights = ["model=pixels", "queries=in_gallery"]
    asked = ["experiment=seed_paper", "dataset.root=.", "sweep.rows=1000000", *without_weights]

    assert main(asked, Task(Notes(), world)) == 0
    assert [labels for labels, _ in world.runs] == [
        ["flat"],
        ["ivf_flat nlist=50 nprobe=1"],
        [f"ivf_flat nlist=1024 nprobe={nprobe}" for nprobe in (4, 16, 64, 256)],
    ]


def test_exit_codes_of_sweeps(capsys: Capture) -> None:
    def fail(experiment: Experiment) -> None:
        if experiment.index.family == "flat":
            raise ValueError("bad luck")

    def interrupt(experiment: Experiment) -> None:
        raise KeyboardInterrupt

    assert run("-m", "index=flat,hnsw", world=World(fail)) == 1
    with pytest.raises(KeyboardInterrupt):
        run("-m", "index=flat,hnsw", world=World(interrupt))
    with pytest.raises(LookalikeError, match=r"search\.k must be"):
        run("-m", "index=flat,hnsw", "search.k=0")
    assert "Traceback" not in capsys.readouterr().err


def test_exit_codes_of_runs(tmp_path: Path, capsys: Capture) -> None:
    def fail(experiment: Experiment) -> None:
        raise ValueError("bad luck")

    assert run("search.k=0") == 2
    assert list(tmp_path.iterdir()) == []
    assert run(world=World(fail)) == 1
    assert "Error executing job" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["index=nope"],
        ["index=flat", "index.nlist=3"],
        ["-m", "index=flat,hnsw", "search.kk=3"],
        ["--config-dir=/nowhere"],
        ["--config-name=nope"],
        ["index=flat,hnsw"],
        ["--cfg=job", "index=nope"],
        ["index=nope", "--info", "defaults"],
        ["-m", "--cfg", "job"],
        ["--resolve"],
    ],
)
def test_errors_of_hydra_are_ours(arguments: list[str], tmp_path: Path, capsys: Capture) -> None:
    """Exit code 2, one line, no traceback, nothing written."""
    assert lookalike(["run", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert ";" in error
    assert len(error.splitlines()) == 1
    assert not list(tmp_path.glob("*/*"))


def test_a_user_who_asks_for_tracebacks_gets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FULL_ERROR, "1")
    with pytest.raises(Exception, match="Could not find 'index/nope'"):
        run("index=nope")
    assert os.environ[FULL_ERROR] == "1"


def test_cfg_shows_what_is_composed(capsys: Capture, tmp_path: Path) -> None:
    assert run("--cfg", "job", "--resolve", "index=hnsw") == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown["index"]["family"] == "hnsw"
    assert shown["paths"]["root"] == "."
    assert list(tmp_path.iterdir()) == []


def test_info_names_the_search_path(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "more").mkdir()
    assert run("--info", "searchpath", "--config-dir", "more") == 0
    shown = capsys.readouterr().out
    assert f"file://{tmp_path}/conf" in shown
    assert f"file://{tmp_path}/more" in shown


def test_help_lists_the_groups_and_the_users_own(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "conf/dataset").mkdir(parents=True)
    (tmp_path / "conf/dataset/mine.yaml").write_text("defaults: [folder, _self_]\n")
    assert run("--help") == 0
    shown = capsys.readouterr().out
    choices = "embeddings, folder, huggingface, mine, sbu_captions, synthetic, twemoji, webdataset"
    assert f"  dataset     {choices}\n" in shown
    assert "schema" not in shown


def test_another_launcher_is_hydras_business(tmp_path: Path, capsys: Capture) -> None:
    assert lookalike(["run", "-m", "hydra/launcher=nope", "index=flat,hnsw"]) == 2
    assert "hydra/launcher=nope does not exist" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("lookalike ", list(VERBS)),
        ("lookalike r", ["run", "report"]),
        ("lookalike run index=hn", ["index=hnsw"]),
        ("lookalike fetch model=siglip_s", ["model=siglip_so400m"]),
        ("lookalike run search.war", ["search.warm_up="]),
        ("lookalike store l", []),
    ],
)
def test_shells_complete_verbs_and_overrides(
    line: str, offered: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("COMP_LINE", line)
    assert lookalike(["-sc", "query=bash"]) == 0
    assert capsys.readouterr().out.split() == offered


def test_shells_are_told_how(capsys: Capture) -> None:
    assert lookalike(["-sc", "install=bash"]) == 0
    assert "complete -o nospace" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"name: [1\n b: {", "broken.yaml, line 2 is not YAML (expected ',' or ']'"),
        (b"\n? {a: b}\n: 3\n", "broken.yaml, line 2 is not YAML (found unhashable key)"),
        (b"a: !!python/object:os.system {}\n", "broken.yaml, line 1 is not YAML (could not determine"),
        (b"a: caf\xe9\n", "broken.yaml is not UTF-8"),
    ],
)
@pytest.mark.parametrize("sweep", [(), ("-m", "index=flat,hnsw")])
def test_a_users_yaml_that_is_none_is_one_sentence(
    content: bytes, reason: str, sweep: tuple[str, ...], tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "mine/dataset").mkdir(parents=True)
    (tmp_path / "mine/dataset/broken.yaml").write_bytes(content)
    assert lookalike(["run", "model=pixels", "--config-dir", "mine", "dataset=broken", *sweep]) == 2
    said = capsys.readouterr().err
    assert reason in said
    assert "Traceback" not in said


@pytest.mark.parametrize("sweep", [(), ("-m", "index=flat,hnsw")])
def test_mlflows_own_variables_are_named_once_when_they_are_not_used(
    sweep: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://h:5000")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "my photos")
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "http://r")
    notes = Notes()
    assert run("index=flat", *sweep, notes=notes) == 0
    assert [line for line in notes.said if "MLFLOW" in line] == [
        "notice: MLFLOW_TRACKING_URI=http://h:5000 is not used; to log there: tracking=server",
        "notice: MLFLOW_EXPERIMENT_NAME=my photos is not used; to log there: 'tracking.experiment=my photos'",
        "notice: MLFLOW_REGISTRY_URI is not used; tracking.experiment says where runs go",
    ]
    used = Notes()
    assert run("index=flat", *sweep, "tracking=server", "tracking.experiment=my photos", notes=used) == 0
    assert [line for line in used.said if "MLFLOW_REGISTRY" not in line and "MLFLOW" in line] == []
