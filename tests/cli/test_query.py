"""``lookalike query`` on a small, real gallery: some emoji, as EfficientNet-Lite0 sees them."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lookalike.cli import main
from lookalike.datasets.twemoji import twemoji_folder
from lookalike.runs.catalog import find_point
from lookalike.runs.searching import is_image_path
from tests.checkpoints import make_tiny_siglip

LIMIT = 160
QUICK = ("search.modes=[batch]", "search.repeats=1", "search.warm_up=0", "search.k=20", "queries.n=1")
SMALL = (*QUICK, f"dataset.limit={LIMIT}", "measures.bootstrap=0", "tracking=none", "queries.edits=[blur]")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with two runs over the same emoji: an index of four lists, one visited, and a flat one later."""
    root = tmp_path_factory.mktemp("home")
    for index in ("index=ivf_flat index.nlist=4 search.nprobe=1", "index=flat"):
        assert main(["run", *SMALL, *index.split(), f"paths.root={root}"]) == 0
    return root


@pytest.fixture(autouse=True)
def at_home(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOKALIKE_HOME", str(home))
    monkeypatch.chdir(tmp_path)


def ids(home: Path) -> list[str]:
    """The ids of the gallery: which emoji the sample holds."""
    import pyarrow.parquet as pq

    files = (home / "store" / "artifacts" / "embeddings").glob("*/metadata.parquet")
    return [str(id_) for id_ in pq.read_table(next(files))["id"].to_pylist()]


def cropped_and_recompressed(id_: str, folder: Path) -> Path:
    """What happens to an emoji on its way through the web."""
    emoji = Image.open(twemoji_folder() / id_).convert("RGBA")
    image = Image.new("RGB", emoji.size, "white")
    image.paste(emoji, mask=emoji.getchannel("A"))
    path = folder / f"{id_.removesuffix('.png')}-seen.jpg"
    image.crop((5, 6, 68, 67)).save(path, quality=35)
    return path


def asked(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["query", "--json", *arguments]) == 0
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["query", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ") and said.err.count("\n") == 1
    return said.err.removeprefix("error: ").rstrip()


def test_it_finds_the_original_of_a_cropped_recompressed_emoji(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = ids(home)[::16]
    files = [str(cropped_and_recompressed(id_, tmp_path)) for id_ in wanted]
    answers = asked(capsys, *files, "--k", "3")["queries"]
    first = [answer["found"][0]["id"] for answer in answers]
    right = sum(found == id_ for found, id_ in zip(first, wanted, strict=True))
    assert right >= len(wanted) - 1, "emoji that differ in skin tone alone may be taken for one another"


def test_one_line_a_hit_when_piped(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    query = cropped_and_recompressed(ids(home)[0], tmp_path)
    assert main(["query", query.name, "--k", "4"]) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["query", "rank", "id", "score", "path", "label"]
    assert [line[:2] for line in lines[1:]] == [[query.name, str(rank)] for rank in range(1, 5)]
    assert lines[1][2] == ids(home)[0]
    assert lines[1][4] == str(twemoji_folder() / ids(home)[0])
    scores = [float(line[3]) for line in lines[1:]]
    assert scores == sorted(scores)


def test_ten_are_shown_unless_told_otherwise(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    query = str(cropped_and_recompressed(ids(home)[0], tmp_path))
    assert len(asked(capsys, query)["queries"][0]["found"]) == 10


def first_run(home: Path) -> str:
    return str(min(path.parent for path in (home / "outputs").rglob("record.json")))


def test_beside_the_exact_answer(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    query = str(cropped_and_recompressed(ids(home)[0], tmp_path))
    options = ("--run", first_run(home), "--k", "20", "--compare", "exact")
    one = asked(capsys, query, *options)["queries"][0]
    missed = {hit["id"] for hit in one["exact"] if hit["missed"]}
    assert missed == {hit["id"] for hit in one["exact"]} - {hit["id"] for hit in one["found"]} != set()
    assert one["recall"] == pytest.approx(1 - len(missed) / 20)
    assert one["milliseconds"] > 0 and one["exact_milliseconds"] > 0

    assert main(["query", query, *options]) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert {line[2] for line in lines if line[-1] == "missed"} == missed

    whole = asked(capsys, query, *options, "--nprobe", "4")
    assert whole["run"]["settings"] == {"nprobe": 4}
    assert whole["queries"][0]["recall"] == 1


def test_pages_and_contact_sheets(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    query = cropped_and_recompressed(ids(home)[0], tmp_path).rename(tmp_path / "<b>&'[red].jpg")
    options = ("--run", first_run(home), "--k", "6", "--compare", "exact")
    assert main(["query", query.name, *options, "--html", "a.html", "--png", "a.png"]) == 0
    assert capsys.readouterr().err == "wrote a.html and a.png\n"
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "<b>" not in page and "&lt;b&gt;&amp;" in page
    assert page.count("<img ") == 13, "the query, six of the index and six exact ones"
    assert 'class="marked"' in page
    assert not re.search(r"""(src|href)=["'](?!data:)|https?://|@import""", page)
    with Image.open(tmp_path / "a.png") as sheet:
        colours = {colour for _, colour in sheet.convert("RGB").getcolors(10**6) or []}
    assert (0xD9, 0x48, 0x0F) in colours, "what was missed is outlined"


def test_open_shows_a_page(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown: list[str] = []
    monkeypatch.setattr("webbrowser.open", shown.append)
    query = cropped_and_recompressed(ids(home)[0], tmp_path).name
    assert main(["query", query, "--open", "--k", "2"]) == 0
    assert main(["query", query, "--open", "--k", "2", "--png", "here.png"]) == 0
    assert shown[0].startswith("file:///") and shown[0].endswith("/query.html")
    assert shown[1] == (tmp_path / "here.png").as_uri()
    capsys.readouterr()


def test_a_table_on_a_terminal(home: Path, tmp_path: Path) -> None:
    query = cropped_and_recompressed(ids(home)[0], tmp_path).rename(tmp_path / "[red]it.jpg").name
    options = ("--run", first_run(home), "--k", "20", "--compare", "exact")
    shown = on_a_terminal("query", query, *options)
    assert max(map(len, shown.splitlines())) <= 100
    assert "ivf_flat nlist=4 nprobe=1 · twemoji: 160 images, efficientnet_lite0" in shown
    assert "[red]it.jpg: 20 found in " in shown
    assert re.search(r"\d+ of 20 exact neighbours missed \(✗\)", shown)
    assert shown.count("✗ ") >= 2


def on_a_terminal(*arguments: str) -> str:
    """What a person sees at 100 columns, without the colours."""
    leader, follower = pty.openpty()
    environment = os.environ | {"COLUMNS": "100", "TERM": "xterm-256color"}
    with subprocess.Popen(
        [sys.executable, "-m", "lookalike", *arguments], stdout=follower, env=environment
    ) as process:
        os.close(follower)
        seen = b""
        try:
            while block := os.read(leader, 65536):
                seen += block
        except OSError:  # how Linux says that the other end of a terminal is gone
            pass
        os.close(leader)
    assert process.returncode == 0
    return re.sub(r"\x1b\[[0-9;]*m", "", seen.decode())


def test_captions_where_the_model_reads_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = make_tiny_siglip(tmp_path / "siglip")
    model = ("model=transformers", f"model.name_or_path={checkpoint}", "index=flat", "search.k=5")
    assert main(["run", *SMALL, "dataset.limit=12", *model, f"paths.root={tmp_path}"]) == 0
    capsys.readouterr()
    words = ("a red house", "a small dog")
    root = ("--root", str(tmp_path), "--k", "3")
    answers = asked(capsys, *words, *root, "--png", "words.png", "--html", "words.html")["queries"]
    assert [(one["query"], one["kind"], len(one["found"])) for one in answers] == [
        (word, "caption", 3) for word in words
    ]
    assert "<q>a red house</q>" in (tmp_path / "words.html").read_text(encoding="utf-8")
    assert main(["query", words[0], *root]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("a red house\t1\t")


# --- what cannot be searched for ---------------------------------------------------------------------------


def bomb() -> bytes:
    """A PNG whose header announces 40,000 × 40,000 pixels."""
    file = io.BytesIO()
    Image.new("1", (40_000, 8)).save(file, "PNG")
    data = bytearray(file.getvalue())
    data[20:24] = (40_000).to_bytes(4, "big")
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


HOSTILE = {
    "empty.png": (b"", "the file is empty"),
    "text.jpg": (b"not an image at all", "not an image in one of the formats"),
    "cut.png": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", ""),
    "bomb.png": (bomb(), "40000 × 40000 pixels exceed"),
    "noise.webp": (b"RIFF\xff\xff\xff\xffWEBPVP8 " + bytes(range(256)), ""),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_images_are_one_line(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content, reason = HOSTILE[name]
    (tmp_path / name).write_bytes(content)
    said = refusal(capsys, name)
    assert said.startswith(f"{name} cannot be searched for: {reason}")
    assert said.endswith("; name another image")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothere.png"], "nothere.png cannot be searched for: No such file or directory"),
        (["./nothere"], "./nothere cannot be searched for: No such file or directory"),
        (["."], ". cannot be searched for: Is a directory"),
        (["a\nb.png"], "a\\nb.png cannot be searched for: No such file"),
        (["a red house"], "model=efficientnet_lite0 has no text tower"),
        (["x" * 5000], "model=efficientnet_lite0 has no text tower"),
        ([" "], "an empty caption finds nothing"),
        (["here.png", "--k", "0"], "k=0 does not fit a gallery of 160 images; give 1 to 160"),
        (["here.png", "--k", "161"], "k=161 does not fit"),
        (["here.png", "--nprobe", "2"], "index=flat has no setting nprobe; it has: none"),
        (["here.png", "--run", "nobody"], "no run or sweep under"),
        (["here.png", "--root", "empty"], "there are no finished runs under"),
        (["here.png", "--html", "no/such/folder.html"], "no/such/folder.html cannot be written"),
    ],
)
def test_what_cannot_be_asked(
    arguments: list[str], said: str, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cropped_and_recompressed(ids(home)[0], tmp_path).rename(tmp_path / "here.png")
    assert main(["query", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {said}") and error.count("\n") == 1


@pytest.mark.parametrize(
    "word", ["cat.jpg", "CAT.PNG", "/x/y", "./cat", "../cat", "~/cat", "x.heic", "there"]
)
def test_words_that_are_images(word: str, tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    assert is_image_path(word)


@pytest.mark.parametrize("word", ["a cat", "a cat/dog", "2.5 cats", "cat", "what is this?", "\0", "x" * 5000])
def test_words_that_are_captions(word: str) -> None:
    assert not is_image_path(word)


def test_the_latest_run_is_asked(home: Path) -> None:
    assert find_point(home).point.label == "flat"


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_labels_are_printed_where_there_are_some(
    flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for row in range(6):
        folder = tmp_path / "photos" / "ab"[row % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (40 * row, 9, 99)).save(folder / f"{row}.png")
    monkeypatch.setenv("LOOKALIKE_HOME", str(tmp_path / "home"))
    of_photos = ["dataset=folder", f"dataset.root={tmp_path / 'photos'}", "dataset.labels=folder"]
    quick = [
        "model=pixels",
        "index=flat",
        "search.k=2",
        "tracking=none",
        "measures.bootstrap=0",
        "search.seconds=0.01",
    ]
    assert main(["run", *of_photos, *quick, "queries=in_gallery"]) == 0
    capsys.readouterr()
    assert main(["query", str(tmp_path / "photos/b/3.png"), "--k", "2", *flags]) == 0
    out = capsys.readouterr().out
    if flags:
        assert json.loads(out)["queries"][0]["found"][0]["label"] == "b"
    else:
        heads, first, *_ = [line.split("\t") for line in out.splitlines()]
        assert (heads[-1], first[2], first[-1]) == ("label", "b/3.png", "b")
