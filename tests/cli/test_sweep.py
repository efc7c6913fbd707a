"""`lookalike sweep` as it is typed: what it shows, what it answers to what is not there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lookalike.cli import main
from lookalike.runs.record import FAILED, Record
from lookalike.sweep.ledger import Ledger, LedgerJob, Submission
from tests.pipeline.command_line import QUICK
from tests.records import make_point, make_record

Capture = pytest.CaptureFixture[str]
ERROR = "first line\n\nsecond line\nthird line\nfourth line"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOKALIKE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def make_sweep(root: Path, name: str, created: str = "2026-11-22T12:00:00+00:00") -> Path:
    """A sweep of two jobs: one point done, two that failed alike; and one skipped."""
    folder = root / "multirun" / name
    points = {"good": ["a"], "bad": ["b", "c"]}
    jobs = [
        LedgerJob(job, [], [{"key": key, "label": f"flat {key}"} for key in keys], {}, "")
        for job, keys in points.items()
    ]
    skipped = [{"what": "nprobe=9", "why": "too many"}]
    Ledger(name, created, ["-m"], "p", jobs, skipped, directory=str(root)).save(folder)
    make_record([make_point(trial_key="a", label="flat a")]).save(folder / "good")
    make_record([], status=FAILED, error=ERROR).save(folder / "bad")
    (folder / "bad/traceback.txt").write_text("Traceback ...")
    return folder


def test_status_tells_each_point_and_of_failures_why_and_where(tmp_path: Path, capsys: Capture) -> None:
    folder = make_sweep(tmp_path, "mine")
    assert main(["sweep", "status", "mine"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "mine: 4 points: 1 done, 2 failed, 1 skipped",
        "state    point     job",
        "done     flat a    good",
        "failed   flat b    bad",
        "failed   flat c    bad",
        "skipped  nprobe=9",
        "",
        "failed: flat b, flat c",
        "  first line",
        "  second line",
        "  third line",
        "  …",
        f"  log: {folder}/bad/traceback.txt",
        "",
        "skipped: nprobe=9",
        "  too many",
        "",
        "go on with: lookalike sweep retry mine",
    ]


def test_status_for_scripts(tmp_path: Path, capsys: Capture) -> None:
    folder = make_sweep(tmp_path, "mine")
    assert main(["sweep", "status", str(folder), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["name"], shown["folder"], shown["parent"]) == ("mine", str(folder), "p")
    assert shown["counts"] == {"done": 1, "failed": 2, "skipped": 1}
    assert [(point["key"], point["state"]) for point in shown["points"]] == [
        ("a", "done"),
        ("b", "failed"),
        ("c", "failed"),
        ("", "skipped"),
    ]


def test_ls_lists_named_and_dated_sweeps_newest_first(tmp_path: Path, capsys: Capture) -> None:
    make_sweep(tmp_path, "older")
    make_sweep(tmp_path, "2026-11-23/10-00-00.1", created="2026-11-23T10:00:00+00:00")
    broken = make_sweep(tmp_path, "broken")
    (broken / "sweep.json").write_text("{")
    assert main(["sweep", "ls", "--root", str(tmp_path)]) == 0
    heads, newest, older, damaged = capsys.readouterr().out.splitlines()
    assert heads.split() == ["sweep", "begun", "(UTC)", "points"]
    assert newest.startswith("2026-11-23/10-00-00.1  2026-11-23 10:00")
    assert older.endswith("4 points: 1 done, 2 failed, 1 skipped")
    assert "is not JSON" in damaged


@pytest.mark.parametrize("verb", ["status", "collect", "cancel", "retry"])
def test_a_sweep_that_is_not_there(tmp_path: Path, capsys: Capture, verb: str) -> None:
    make_sweep(tmp_path, "mine")
    assert main(["sweep", verb, "mime"]) == 2
    assert capsys.readouterr().err == (
        f"error: there is no sweep mime below {tmp_path}/multirun; did you mean mine?\n"
    )
    assert main(["sweep", verb, "else"]) == 2
    assert capsys.readouterr().err.endswith("`lookalike sweep ls` lists those there are\n")


@pytest.mark.parametrize("verb", ["collect", "cancel", "retry"])
def test_a_sweep_whose_directory_is_gone(tmp_path: Path, capsys: Capture, verb: str) -> None:
    folder = make_sweep(tmp_path, "mine")
    ledger = Ledger.load(folder)
    ledger.directory = "/gone"
    ledger.save(folder)
    assert main(["sweep", verb, "mine"]) == 2
    assert "was begun in /gone, which is not there" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["status", "collect", "cancel"])
def test_jobs_in_slurm_cannot_be_judged_without_slurm(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    """Nothing is taken for lost because nobody can be asked."""
    folder = make_sweep(tmp_path, "mine")
    ledger = Ledger.load(folder)
    ledger.submissions = [Submission("time", "17", ["good", "bad"], str(folder / ".submitit/%j"))]
    ledger.save(folder)
    monkeypatch.setenv("PATH", "")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}

    assert main(["sweep", verb, "mine"]) == 2
    assert "there is no squeue here" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (["-m", "sweep.name=../up"], "sweep.name='../up' names no folder"),
        (["-m", "sweep.name=''"], "sweep.name='' names no folder"),
        (["-m", "sweep.name=a/b"], "such as sweep.name=a-b"),
        (["-m", "sweep.name=2026-11-22"], "is a day"),
        (
            ["-m", "sweep.name=x", "sweep.detach=true"],
            "hydra/launcher=basic cannot go on without this process",
        ),
        (["sweep.detach=true"], "sweep.detach=true is of sweeps"),
    ],
)
def test_sweeps_that_cannot_be_leave_nothing(
    tmp_path: Path, capsys: Capture, overrides: list[str], reason: str
) -> None:
    assert main(["run", *QUICK, *overrides]) == 2
    assert reason in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_retry_gives_the_command_again_wherever_it_is_typed(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unnamed sweep too, which had its root from the environment."""
    began, later = tmp_path / "began", tmp_path / "later"
    for folder in (began, later):
        folder.mkdir()
    command = ["run", "-m", *QUICK, "dataset.limit=20", "queries.n=1", "index.threads=1", "search.k=3,4"]
    monkeypatch.chdir(began)
    assert main(command) == 0
    [ledger] = tmp_path.glob("multirun/*/*/sweep.json")
    first, second = sorted(ledger.parent.glob("*/record.json"))
    first.rename(first.with_name("lost.json"))
    before = second.read_bytes()
    capsys.readouterr()

    monkeypatch.chdir(later)
    monkeypatch.delenv("LOOKALIKE_HOME")
    name = ledger.parent.relative_to(tmp_path / "multirun").as_posix()
    assert main(["sweep", "retry", name, "--root", str(tmp_path)]) == 0
    assert "2 points: 1 done, 1 lost → retrying" in capsys.readouterr().err
    assert second.read_bytes() == before
    assert main(["sweep", "status", name, "--root", str(tmp_path)]) == 0
    assert capsys.readouterr().out.endswith("2 points: 2 done\n")
    assert (list(began.iterdir()), list(later.iterdir())) == ([], [])


def test_status_tells_of_a_final_timing_that_was_asked_for(tmp_path: Path, capsys: Capture) -> None:
    folder = make_sweep(tmp_path, "mine")
    ledger = Ledger.load(folder)
    ledger.arguments.append("sweep.final_timing=true")
    ledger.save(folder)
    good = Record.load(folder / "good")
    make_record([make_point("hnsw", recall=0.99, p50_ms=0.4)], index=good.index | {"key": "e" * 32}).save(
        folder / "other"
    )
    assert main(["sweep", "status", "mine"]) == 0
    assert capsys.readouterr().out.splitlines()[-4:] == [
        "final timing: not done",
        "do it with: lookalike sweep time mine",
        "",
        "go on with: lookalike sweep retry mine",
    ]
    for name in ("good", "other"):
        record = Record.load(folder / name)
        record.final_timing = {"when": "2026-11-30T12:00:00+00:00", "points": 2, "hostname": "node7"}
        record.points[0].final_latency = {"single": {"p50_ms": 0.1}}
        record.save(folder / name)
    assert main(["sweep", "status", "mine", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)["final_timing"]
    assert (shown["state"], shown["why"]) == ("done", "2 points together on node7")


def test_time_measures_the_front_together_afterwards(tmp_path: Path, capsys: Capture) -> None:
    np.save(tmp_path / "v.npy", np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32))
    data = ("dataset=embeddings", f"dataset.root={tmp_path / 'v.npy'}", "queries=held_out", "queries.n=20")
    of_one_index = ("index=ivf_flat", "index.nlist=4,5", "search.nprobe=4", "sweep.name=mine")
    quick = (*QUICK, "search.modes=[single]", "search.repeats=5")
    assert main(["run", "-m", *quick, *data, *of_one_index]) == 0
    capsys.readouterr()

    assert main(["sweep", "time", "mine"]) == 0

    ended = capsys.readouterr()
    assert "final timing: 2 points of 2 indexes together" in ended.err
    assert "2 points in shuffled rounds" in ended.out
    assert "final_latency_single_p50_ms" in (tmp_path / "multirun/mine/comparison.csv").read_text()


def test_time_says_when_there_is_nothing_to_compare(tmp_path: Path, capsys: Capture) -> None:
    folder = make_sweep(tmp_path, "mine")
    ledger = Ledger.load(folder)
    ledger.jobs, ledger.directory = ledger.jobs[:1], str(tmp_path)
    ledger.save(folder)
    assert main(["sweep", "time", "mine"]) == 2
    assert "nothing to be timed together; it takes points of at least two runs" in capsys.readouterr().err
