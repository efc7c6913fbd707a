"""The dispatcher: verbs, exit codes, and no traceback that the user could mend."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
import types
from pathlib import Path

import pytest

from lookalike import __version__
from lookalike.cli import FULL_ERROR, VERBS, main
from lookalike.errors import ConfigError

HEAVY = ("hydra", "omegaconf", "numpy", "faiss", "torch", "mlflow", "pyarrow", "PIL")


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_overview_names_every_verb(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert all(f"  {verb} " in shown for verb in VERBS)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from lookalike.cli import main; main(['--help']);"
        f"sys.exit(','.join(name for name in {HEAVY!r} if name in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("arguments", [["version"], ["--version"]])
def test_version(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    assert capsys.readouterr().out == f"lookalike {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rnu"], "error: lookalike has no verb rnu; did you mean run?"),
        (["zzz"], f"error: lookalike has no verb zzz; choose one of {', '.join(VERBS)}"),
        (["index=flat", "-m"], "error: overrides follow a verb; try: lookalike run index=flat -m"),
        (["--cfg", "job"], "error: overrides follow a verb; try: lookalike run --cfg job"),
    ],
)
def test_unknown_verbs(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith(said)


def verb_that(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let ``lookalike version`` end with ``error``."""

    def fail(arguments: list[str]) -> int:
        raise error

    module = types.ModuleType("lookalike.cli.version")
    module.main = fail  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lookalike.cli.version", module)


def test_what_the_user_can_mend_is_a_line_each(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    verb_that(monkeypatch, ConfigError(["one; mend it", "two; mend it"]))
    assert main(["version"]) == 2
    assert capsys.readouterr().err == "error: one; mend it\nerror: two; mend it\n"


def test_ctrl_c_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    verb_that(monkeypatch, KeyboardInterrupt())
    assert main(["version"]) == 130
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_what_we_have_to_mend_is_a_line_and_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    verb_that(monkeypatch, ZeroDivisionError("by zero\nat http://me:secret@host"))
    assert main(["version"]) == 1
    (kept,) = tmp_path.iterdir()
    assert capsys.readouterr().err == (
        f"error: ZeroDivisionError: by zero; Lookalike did not expect that: its traceback is in {kept}\n"
    )
    text = kept.read_text()
    assert text.startswith("Traceback") and "http://me:***@host" in text
    assert kept.stat().st_mode & 0o777 == 0o600


def test_a_traceback_that_has_no_place_is_no_second_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    verb_that(monkeypatch, ZeroDivisionError("by zero"))
    assert main(["version"]) == 1
    assert "could not be kept" in capsys.readouterr().err


def test_who_asks_for_tracebacks_gets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FULL_ERROR, "1")
    verb_that(monkeypatch, ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        main(["version"])


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOTDIR, errno.ENOSPC])
def test_a_place_that_cannot_be_used_is_the_users_to_mend(
    number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    verb_that(monkeypatch, OSError(number, os.strerror(number), "/the/place"))
    assert main(["version"]) == 2
    what = "written" if number == errno.ENOSPC else "used"
    assert capsys.readouterr().err.startswith(f"error: /the/place cannot be {what} ({os.strerror(number)}); ")


def test_a_working_directory_that_was_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert main(["run", "index=flat"]) == 2
    assert capsys.readouterr().err == (
        "error: the working directory was deleted; change to one that exists\n"
    )


def test_python_m_lookalike() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lookalike", "version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"lookalike {__version__}\n"
