"""What a command line cannot be is one sentence, with what was probably meant; no verb prints its usage."""

from __future__ import annotations

from pathlib import Path

import pytest

from lookalike.cli import VERBS, main
from lookalike.cli.run import arranged

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--qiet"], "lookalike run has no --qiet; did you mean --quiet?"),
        (["run", "index=flat", "--jsn", "search.k=5"], "lookalike run has no --jsn; did you mean --json?"),
        (["run", "--multirum"], "lookalike run has no --multirum; did you mean --multirun?"),
        (["run", "--confgi-dir=x"], "lookalike run has no --confgi-dir; did you mean --config-dir?"),
        (["run", "--zzz"], "lookalike run has no --zzz; `lookalike run --help` says what it takes"),
        (["run", "--cfg"], "lookalike run: argument --cfg/-c: expected one argument; `lookalike run --help`"),
        (["run", "--cfg", "jbo"], "lookalike run: argument --cfg/-c: invalid choice: 'jbo'"),
        (["run", "-m", "index"], "index cannot be read; write key=value"),
        (["report", "--otu", "x"], "lookalike report has no --otu; did you mean --out?"),
        (["query", "cat.jpg", "--kk=3"], "lookalike query has no --kk; did you mean --k?"),
        (["query", "cat.jpg", "--k=many"], "lookalike query: argument --k: invalid int value: 'many'"),
        (["store", "lss"], "lookalike store has no lss; did you mean ls?"),
        (["sweep", "stauts", "x"], "lookalike sweep has no stauts; did you mean status?"),
        (["sweep", "status", "x", "--jsn"], "lookalike sweep has no --jsn; did you mean --json?"),
        (["index", "zzz"], "lookalike index has no zzz; choose one of "),
        (["judge"], "lookalike judge: the following arguments are required: "),
    ],
)
def test_one_sentence(arguments: list[str], said: str, tmp_path: Path, capsys: Capture) -> None:
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith(f"error: {said}")
    assert shown.out == "" and len(shown.err.splitlines()) == 1 and ";" in shown.err


@pytest.mark.parametrize("verb", sorted(set(VERBS) - {"version"}))
def test_no_verb_prints_its_usage_for_a_flag_that_it_has_not(verb: str, capsys: Capture) -> None:
    assert main([verb, "--no-such-flag"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and "usage:" not in said and len(said.splitlines()) == 1


def test_a_flags_value_may_look_like_an_override() -> None:
    assert arranged(["--config-dir", "a=b", "-m", "index=flat"]) == [
        "index=flat",
        "--config-dir",
        "a=b",
        "-m",
    ]


def test_unusual_overrides_are_told_as_a_shell_takes_them(capsys: Capture) -> None:
    assert main(["dataset.root=my photos", "-m"]) == 2
    assert capsys.readouterr().err == (
        "error: overrides follow a verb; try: lookalike run 'dataset.root=my photos' -m\n"
    )


@pytest.mark.parametrize(
    "name", ["é 李 😀", "it's [1](2){3};#=:", "..", "a:b:c", "two\nlines", "x" * 5000, "-"]
)
@pytest.mark.parametrize(
    "verb",
    [["report"], ["query", "a.jpg", "--run"], ["sweep", "status"], ["export"], ["judge", "x"], ["sync"]],
)
def test_any_name_is_looked_for_without_a_traceback(
    verb: list[str], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    home = tmp_path / "it's, [my] (ho=me) é"
    home.mkdir()
    monkeypatch.setenv("LOOKALIKE_HOME", str(home))
    monkeypatch.chdir(home)
    assert main([*verb, name]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("error: ") and "did not expect" not in shown
