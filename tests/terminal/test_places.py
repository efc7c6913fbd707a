"""A place that cannot be written is one line, before any work, whichever verb is to write there."""

from __future__ import annotations

from pathlib import Path

import pytest

from lookalike.cli import main
from lookalike.errors import UserError
from lookalike.machine.filesystems import require_writable

TINY = ("model=pixels", "dataset.limit=40", "search.k=5")
VERBS = {
    "run": ["run", *TINY, "paths.root={place}"],
    "sweep": ["run", "-m", *TINY, "index=flat,hnsw", "tracking=none", "paths.root={place}"],
    "index build": ["index", "build", *TINY, "index=flat", "paths.root={place}"],
    "index merge": ["index", "merge", "a.faiss", "b.faiss", "-o", "{place}/c.faiss"],
    "export": ["export", "latest", "{place}"],
    "embeddings import": ["embeddings", "import", "vectors.npy", "{place}/new"],
    "query": ["query", "a.png", "--html", "{place}/page.html"],
}


@pytest.fixture(params=["/proc/nowhere", "file", "file/below", "link", "full"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where nothing can be written, also by root."""
    if request.param == "full":
        return "/sys/kernel"
    if request.param.startswith("/"):
        return str(request.param)
    (tmp_path / "file").write_text("a file")
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    return str(tmp_path / request.param)


def test_a_folder_that_is_not_there_is_none_afterwards(tmp_path: Path) -> None:
    require_writable(tmp_path / "a/b", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_why_it_cannot_be_written(place: str) -> None:
    with pytest.raises(UserError, match=r" cannot be written \(.*\); do this") as refused:
        require_writable(Path(place), cure="do this")
    assert str(refused.value).startswith(place)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("where", ["/proc/nowhere", "file"])
def test_every_verb_says_so_in_one_line(
    verb: str, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOOKALIKE_HOME", raising=False)
    (tmp_path / "file").write_text("a file")
    assert main([word.format(place=where) for word in VERBS[verb]]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("error: ") and " cannot be written (" in line and ");" in line
    assert [path.name for path in tmp_path.iterdir()] == ["file"], "nothing was begun"
