"""A password reaches the server and nothing else: whatever its address, and on whichever way it comes."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lookalike.cli import main as lookalike
from lookalike.cli.run import main
from lookalike.machine.credentials import whole_address
from lookalike.runs.record import Record
from lookalike.schemas import Experiment
from lookalike.sweep.task import Task
from tests.notes import Notes
from tests.sweep.slurm.test_queue import make_command
from tests.sweep.worlds import World

SECRET = "s3cr3t-hunter2"
MYSQL = f"mysql+pymysql://bob:{SECRET}@h/db"
ADDRESSES = [
    MYSQL,
    f"mssql+pyodbc://bob:{SECRET}@h:1433/db?driver=ODBC+Driver",
    f"postgresql://bob:{SECRET}@h/db",
    f"postgresql://h/db?user=bob&password={SECRET}",
    f"databricks://token:{SECRET}@h",
    f"https://bob:{SECRET}@h:5000/x",
    f"https://h:5000/?token={SECRET}",
    f"mysql://bob:a/{SECRET}@h/db",
    f"mysql://bob:a,{SECRET}@h/db",
    f"mysql://bob:a b'{SECRET}@h/db",
]

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOOKALIKE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    before = dict(os.environ)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in set(os.environ) - set(before):
        del os.environ[name]
    os.environ.update(before)


class Remembering(World):
    """Stand-in work that keeps the addresses with which trackers were opened, and logs and fails with one."""

    def __init__(self, before: Callable[[Experiment], None] = lambda experiment: None) -> None:
        super().__init__(before)
        self.addresses: list[str | None] = []

    def open_tracker(self, experiment: Experiment) -> object:  # type: ignore[override]
        self.addresses.append(whole_address(experiment.tracking.uri or ""))
        return super().open_tracker(experiment)


def run(*arguments: str, world: World | None = None) -> int:
    return main(["model=pixels", "tracking=server", *arguments], Task(Notes(), world or World()))


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def told(folder: Path) -> list[Path]:
    """The files below ``folder`` that hold the secret, in whatever format."""
    parts = (SECRET.encode(), SECRET.encode("utf-16-le"), SECRET.partition("-")[0].encode())
    return [
        path
        for path in folder.rglob("*")
        if path.is_file() and any(part in path.read_bytes() for part in parts)
    ]


@pytest.mark.parametrize("uri", ADDRESSES)
@pytest.mark.parametrize("sweep", [False, True])
def test_an_override_is_written_nowhere(uri: str, sweep: bool, tmp_path: Path, capsys: Capture) -> None:
    def fail(experiment: Experiment) -> None:
        logging.getLogger("a.driver").error("cannot open %s", uri)
        raise ValueError(f"cannot open {uri}")

    world = Remembering(fail)
    more = ["-m", "index=flat,hnsw", "sweep.name=mine"] if sweep else ["index=flat"]
    assert run(f"tracking.uri={uri}", *more, world=world) == 1

    assert len(list((tmp_path / "home").rglob("record.json"))) == 1 + sweep
    assert len(list((tmp_path / "home").rglob(".hydra/overrides.yaml"))) == 1 + sweep
    assert len(list((tmp_path / "home").rglob("traceback.txt"))) == 1 + sweep
    assert told(tmp_path / "home") == []
    shown = capsys.readouterr()
    assert SECRET not in shown.out + shown.err
    assert world.addresses != [] and None not in world.addresses


ROUTES = {
    "quoted": [f"tracking.uri='{MYSQL}'"],
    "added": [f"++tracking.uri={MYSQL}"],
    "a dictionary": [f"+tracking={{uri: '{MYSQL}'}}"],
    "a sweep": ["-m", f"tracking.uri={MYSQL},https://h2"],
    "a config": ["tracking=mine"],
    "an experiment": ["experiment=mine"],
    "params": ["experiment=params"],
    "blocks": ["experiment=blocks"],
    "the environment": ["tracking.uri=${oc.env:THE_ADDRESS}"],
    "a part from the environment": ["tracking.uri='mysql+pymysql://bob:${oc.env:THE_PASSWORD}@h/db'"],
}


@pytest.mark.parametrize("route", ROUTES)
def test_other_ways_are_written_nowhere_either(
    route: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("THE_ADDRESS", MYSQL)
    monkeypatch.setenv("THE_PASSWORD", SECRET)
    conf = tmp_path / "conf"
    write(conf / "tracking/mine.yaml", f"defaults: [server, _self_]\nuri: {MYSQL}\n")
    whole = "# @package _global_\n"
    write(conf / "experiment/mine.yaml", f"{whole}tracking:\n  uri: {MYSQL}\n")
    sweeper = f"{whole}hydra:\n  mode: MULTIRUN\n  sweeper:\n"
    write(conf / "experiment/params.yaml", f"{sweeper}    params:\n      tracking.uri: {MYSQL}\n")
    write(
        conf / "experiment/blocks.yaml", f"{sweeper}    blocks:\n      - [tracking.uri={MYSQL}, index=flat]\n"
    )
    world = Remembering()

    assert run("index=flat", *ROUTES[route], world=world) == 0

    assert list((tmp_path / "home").rglob("record.json")) != []
    assert told(tmp_path / "home") == []
    shown = capsys.readouterr()
    assert SECRET not in shown.out + shown.err
    assert world.addresses[0] == MYSQL


@pytest.mark.parametrize(
    "line", [f"+hydra.job.env_set.MLFLOW_TRACKING_TOKEN={SECRET}", "tracking=with_token"]
)
def test_secrets_for_the_environment_of_jobs(line: str, tmp_path: Path) -> None:
    write(
        tmp_path / "conf/tracking/with_token.yaml",
        "# @package _global_\ndefaults: [server@tracking]\nhydra:\n  job:\n    env_set:\n"
        f"      MLFLOW_TRACKING_TOKEN: {SECRET}\n",
    )
    seen: list[str] = []
    world = World(lambda experiment: seen.append(os.environ["MLFLOW_TRACKING_TOKEN"]))
    assert run(line, "tracking.uri=https://h", "index=flat", world=world) == 0
    assert seen == [SECRET]
    assert told(tmp_path / "home") == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "tracking=server", f"tracking.uri={MYSQL}", "--cfg", "all"],
        ["run", "tracking=server", "tracking.uri=${oc.env:THE_ADDRESS}", "--cfg", "job", "--resolve"],
        ["run", "tracking=server", f"tracking.uri={MYSQL}", "--info", "all"],
        ["run", "tracking=server", f"tracking.uri={MYSQL}", "indx=flat"],
        ["run", f"tracking.urri={MYSQL}"],
        ["run", f"--uri={MYSQL}"],
        ["run", f"tracking.uri={MYSQL}[("],
        ["run", "tracking=server", f"tracking.uri={MYSQL}"],
        [f"tracking.uri={MYSQL}"],
        ["sync", "tracking=server", f"tracking.uri={MYSQL}"],
        ["doctor", "tracking=server", f"tracking.uri={MYSQL}"],
        ["report", "--uri", MYSQL],
    ],
)
def test_nothing_shows_it(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("THE_ADDRESS", MYSQL)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # of earlier tests, whose streams are closed
    lookalike(arguments)
    shown = capsys.readouterr()
    assert shown.out + shown.err != ""
    assert SECRET not in shown.out + shown.err
    assert "Traceback" not in shown.err


def test_jobs_of_a_cluster_get_it_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No script, pickle or command line has it; sbatch is started with it, as the jobs are then."""
    commands = tmp_path / "bin"
    commands.mkdir()
    make_command(
        commands,
        "sbatch",
        f'echo "$@" >> {tmp_path}/home/asked; env > {tmp_path}/environment; echo Submitted batch job 7',
    )
    make_command(commands, "srun", "true")
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    sweep = ["-m", "index=flat,hnsw", "sweep.name=mine", "sweep.detach=true", "hydra/launcher=slurm_cpu"]

    assert run(f"tracking.uri={MYSQL}", *sweep) == 0

    submitted = [path.suffix for path in (tmp_path / "home/multirun/mine/.submitit").rglob("*")]
    assert {".pkl", ".sh"} <= set(submitted)
    assert told(tmp_path / "home") == []
    assert MYSQL in (tmp_path / "environment").read_text()


def test_a_sweep_that_is_gone_on_with_finds_it_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(f"tracking.uri={MYSQL}", "-m", "index=flat,hnsw", "sweep.name=mine") == 0
    [uri] = {
        Record.load(path.parent).config["tracking"]["uri"]
        for path in (tmp_path / "home").rglob("record.json")
    }
    for name in [name for name, value in os.environ.items() if value == MYSQL]:
        monkeypatch.delenv(name)
    assert uri == "mysql+pymysql://bob:***@h/db" and whole_address(uri) is None

    monkeypatch.setenv("MLFLOW_TRACKING_URI", MYSQL)
    assert lookalike(["sweep", "status", "mine"]) == 0
    assert whole_address(uri) == MYSQL
