"""``lookalike index`` as a user meets it: info, build, merge, and what they say of bad input."""

from __future__ import annotations

import json
from pathlib import Path

import faiss
import numpy as np
import pytest

from lookalike.cli import main
from tests.index.galleries import D, clustered

GALLERY = clustered(900)
OVERRIDES = (
    "dataset=embeddings",
    "dataset.shard_size=400",
    "queries=in_gallery",
    "index=ivf_flat",
    "index.nlist=8",
    "index.threads=1",
)


@pytest.fixture
def overrides(tmp_path: Path) -> tuple[str, ...]:
    """An experiment over 900 vectors in three shards, the last one short."""
    np.save(tmp_path / "vectors.npy", GALLERY)
    return (*OVERRIDES, f"dataset.root={tmp_path / 'vectors.npy'}", f"paths.root={tmp_path / 'home'}")


def ask(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, list[str], list[str]]:
    """Exit code, lines of standard output, errors."""
    code = main(["index", *map(str, arguments)])
    told = capsys.readouterr()
    return code, told.out.splitlines(), [line for line in told.err.splitlines() if line.startswith("error: ")]


def test_shards_of_three_jobs_are_merged(
    overrides: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = []
    for shards in ("2", "0,1"):
        code, paths, errors = ask(capsys, "build", *overrides, "--shards", shards)
        assert (code, errors) == (0, [])
        parts += paths
    assert len(parts) == 3
    code, lines, _ = ask(capsys, "merge", *parts, "-o", tmp_path / "all.faiss")
    assert (code, lines) == (0, [f"900 vectors of 3 files in {tmp_path / 'all.faiss'}"])

    code, [single], _ = ask(capsys, "build", *overrides)
    assert code == 0
    settings = faiss.SearchParametersIVF(nprobe=8)
    found = [
        faiss.read_index(str(path)).search(GALLERY[:50], 10, params=settings)
        for path in (tmp_path / "all.faiss", single)
    ]
    np.testing.assert_array_equal(found[0][1], found[1][1])
    np.testing.assert_allclose(found[0][0], found[1][0], atol=1e-5)

    code, lines, _ = ask(capsys, "info", tmp_path / "all.faiss")
    assert code == 0
    assert {tuple(line.split(None, 1)) for line in lines} > {
        ("factory", "IVF8,Flat"),
        ("vectors", "900"),
        ("trained", "yes"),
        ("defaults", "nprobe=1"),
    }
    code, [line], _ = ask(capsys, "info", single, "--json")
    about = json.loads(line)
    assert (about["vectors"], about["dimensions"], about["nlist"]) == (900, D, 8)
    assert about["file_bytes"] == Path(single).stat().st_size


def test_nothing_is_printed_for_brute_force(
    overrides: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [line for line in overrides if not line.startswith("index")]
    assert ask(capsys, "build", *lines, "index=brute_force") == (0, [], [])


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--shards", "3"], "there is no shard 3; the gallery has 3, numbered from 0"),
        (["index=hnsw", "--shards", "0"], "leave it out of index=hnsw"),
        (["index.nlist=0"], "index.nlist must be a positive integer, not 0"),
        (["index.nosuch=0"], "nosuch"),
    ],
)
def test_impossible_builds_are_refused(
    more: list[str], words: str, overrides: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    if "index=hnsw" in more:
        overrides = tuple(line for line in overrides if not line.startswith("index"))
    code, lines, [error, *_] = ask(capsys, "build", *overrides, *more)
    assert (code, lines) == (2, [])
    assert words in error


def files(folder: Path) -> list[Path]:
    """Two sound parts, one trained apart, one truncated, one of garbage."""
    paths = []
    for seed, (first, stop) in enumerate([(0, 300), (300, 900), (300, 900)]):
        index = faiss.index_factory(D, "IVF8,Flat")
        index.train(clustered(500, seed=max(1, seed)))
        index.add_with_ids(GALLERY[first:stop], np.arange(first, stop))
        paths.append(folder / f"{seed}.faiss")
        faiss.write_index(index, str(paths[-1]))
    (folder / "short.faiss").write_bytes(paths[0].read_bytes()[:-3])
    (folder / "garbage.faiss").write_bytes(np.random.default_rng(0).bytes(500))
    return [*paths, folder / "short.faiss", folder / "garbage.faiss"]


def test_what_does_not_belong_together_leaves_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two, apart, short, garbage = files(tmp_path)
    before = sorted(tmp_path.iterdir())
    target = tmp_path / "all.faiss"
    cases = {
        (one, apart): "were trained apart",
        (one, one): "has id 0 twice",
        (one, short): "it ends before all that it announces",
        (garbage, one): "is not a FAISS index that can be read",
        (one, tmp_path): "is not a file",
        (one, tmp_path / "missing"): "does not exist",
    }
    for parts, words in cases.items():
        code, lines, [error] = ask(capsys, "merge", *parts, "-o", target)
        assert (code, lines) == (2, [])
        assert words in error
        assert sorted(tmp_path.iterdir()) == before
    assert ask(capsys, "merge", one, two, "-o", target)[0] == 0


def test_a_file_that_is_there_is_replaced_only_by_force(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two, *_ = files(tmp_path)
    target = tmp_path / "all.faiss"
    target.write_bytes(b"precious")
    assert "is there already" in ask(capsys, "merge", one, two, "-o", target)[2][0]
    assert target.read_bytes() == b"precious"
    assert ask(capsys, "merge", one, two, "-o", target, "--force")[0] == 0
    assert faiss.read_index(str(target)).ntotal == 900
    for bad, words in {
        one: "is one of the files to merge",
        tmp_path: "is not a file",
        tmp_path / "missing" / "x": "cannot be written (No such file or directory)",
    }.items():
        code, _, [error] = ask(capsys, "merge", one, two, "-o", bad, "--force")
        assert code == 2
        assert words in error


def test_info_of_what_is_no_index_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    *_, short, garbage = files(tmp_path)
    for bad in (short, garbage, tmp_path, tmp_path / "missing"):
        code, lines, [error] = ask(capsys, "info", bad, "--json")
        assert (code, lines) == (2, [])
        assert str(bad) in error
