"""The sweep's own file: read back as it was written, refused when it is anything else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lookalike.errors import UserError
from lookalike.sweep.ledger import Ledger, LedgerJob, Submission

JOB = LedgerJob(
    "index=flat-1a2b3c4d",
    ["index=flat"],
    [{"key": "k" * 16, "label": "flat"}],
    {"index": {"family": "flat", "threads": None}},
    "b" * 16,
)
LEDGER = Ledger(
    name="mine",
    created="2026-11-22T12:00:00+00:00",
    arguments=["-m", "index=flat"],
    parent="p",
    jobs=[JOB],
    skipped=[{"what": "nprobe=9", "why": "too many"}],
    submissions=[Submission("time", "17", [JOB.folder], "/data/.submitit/%j")],
    directory="/home",
)


@pytest.mark.parametrize("ledger", [LEDGER, Ledger("mine", "now", [])])
def test_what_was_written_is_read(tmp_path: Path, ledger: Ledger) -> None:
    ledger.save(tmp_path / "sweep")
    assert Ledger.load(tmp_path / "sweep") == ledger
    assert [path.name for path in (tmp_path / "sweep").iterdir()] == ["sweep.json"]


def damaged(**changes: Any) -> str:
    """The ledger's text with some of its keys replaced."""
    return json.dumps({"format": 1, "name": "x", "created": "now", "arguments": []} | changes)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not JSON"),
        ("[1]", "is not the ledger of a sweep"),
        ("{}", "is not the ledger of a sweep"),
        (damaged(format=99), "another version of Lookalike"),
        (damaged(name=3), r"damaged \(sweep.name is not a str\)"),
        (damaged(name=None), r"damaged \(sweep.name is not a str\)"),
        (damaged(arguments=[1]), r"damaged \(sweep.arguments\[0\] is not a str\)"),
        (damaged(jobs={}), r"damaged \(sweep.jobs is not a list\)"),
        (damaged(jobs=[3]), r"damaged \(sweep.jobs\[0\] is not an object\)"),
        (damaged(jobs=[{"folder": "x"}]), "damaged"),
        (damaged(surprise=1), "damaged"),
        (damaged(skipped=[{"what": "x"}]), "why is missing"),
        (damaged(jobs=[JOB.__dict__ | {"points": [{"key": "k"}]}]), "label is missing"),
        *[
            (damaged(jobs=[JOB.__dict__ | {"folder": folder}]), "not a name of a job's folder")
            for folder in ("../elsewhere", "/etc", "..", "")
        ],
    ],
)
def test_anything_else_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "sweep.json").write_text(text)
    with pytest.raises(UserError, match=reason):
        Ledger.load(tmp_path)


def test_a_folder_without_a_ledger_is_no_sweep(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="name the folder of a sweep"):
        Ledger.load(tmp_path)
