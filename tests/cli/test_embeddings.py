"""``lookalike embeddings``: what goes out comes in again, whole or not at all."""

from __future__ import annotations

import os
import resource
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest

from lookalike.cli import main
from lookalike.datasets.formats.neighbours import open_neighbours
from tests.datasets.vector_worlds import (
    WRITERS,
    opened,
    random_vectors,
    whole,
    write_csv,
    write_hdf5,
    write_index,
)
from tests.pipeline.command_line import QUICK, Ended, files_below, records

Command = Callable[..., Ended]


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Command:
    def perform(*arguments: object) -> Ended:
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        return Ended(code, *capfd.readouterr())

    return perform


def imported(command: Command, *arguments: object) -> Ended:
    return command("embeddings", "import", *arguments)


def exported(command: Command, *arguments: object) -> Ended:
    return command("embeddings", "export", *arguments)


# --- import ------------------------------------------------------------------------------------------------


def test_zero_vectors_are_left_out_of_an_import_on_request(tmp_path: Path, command: Command) -> None:
    array = random_vectors()
    array[7] = 0
    np.save(tmp_path / "v.npy", array)
    refused = imported(command, tmp_path / "v.npy", tmp_path / "out", "--cosine")
    assert (refused.code, "row 7 is all zeros" in refused.err) == (2, True)
    assert "--drop-zeros" in refused.err
    done = imported(command, tmp_path / "v.npy", tmp_path / "out", "--drop-zeros")
    assert (done.code, "1 of 50 vectors are all zeros and were left out" in done.err) == (0, True)
    assert len(opened(tmp_path / "out")) == 49


@pytest.mark.parametrize("kind", sorted(WRITERS))
def test_every_format_becomes_shards_with_ids(kind: str, tmp_path: Path, command: Command) -> None:
    name, write = WRITERS[kind]
    array = random_vectors()
    write(tmp_path / name, array)
    ended = imported(command, tmp_path / name, tmp_path / "out", "--shard-size", 20)
    assert ended.code == 0, ended.err
    assert "50 vectors of 6 dimensions" in ended.out
    assert files_below(tmp_path / "out") == {
        *(f"img_emb/img_emb_{shard}.npy" for shard in range(3)),
        *(f"metadata/metadata_{shard}.parquet" for shard in range(3)),
    }
    assert [len(np.load(tmp_path / f"out/img_emb/img_emb_{shard}.npy")) for shard in range(3)] == [20, 20, 10]
    again = opened(tmp_path / "out")
    assert whole(again).tolist() == array.tolist()
    assert list(again.ids) == list(opened(tmp_path / name).ids)


def test_an_hdf5_brings_its_queries_and_neighbours(tmp_path: Path, command: Command) -> None:
    rows = np.tile(np.arange(4), (5, 1))
    write_hdf5(tmp_path / "v.hdf5", random_vectors(), test=random_vectors(5, seed=1), neighbors=rows)
    ended = imported(command, tmp_path / "v.hdf5", tmp_path / "out")
    assert "50 vectors of 6 dimensions, 5 queries, 4 exact neighbours each" in ended.out
    assert np.load(tmp_path / "out/queries/vectors.npy").tolist() == random_vectors(5, seed=1).tolist()
    assert np.load(tmp_path / "out/queries/neighbours.npy").tolist() == rows.tolist()
    assert len(opened(tmp_path / "out")) == 50


def test_labels_and_captions_are_passed_on(tmp_path: Path, command: Command) -> None:
    import pyarrow as pa

    np.save(tmp_path / "v.npy", random_vectors(2))
    table = {"sku": ["a", "b"], "kind": ["cat", None], "text": ["a cat", "a dog"]}
    pq.write_table(pa.table(table), tmp_path / "v.parquet")
    columns = ("--id-column", "sku", "--label-column", "kind", "--caption-column", "text")
    assert imported(command, tmp_path / "v.npy", tmp_path / "out", *columns).code == 0
    again = opened(tmp_path / "out", label_column="label", caption_column="caption")
    assert (list(again.ids), again.labels, again.captions) == (["a", "b"], ["cat", None], ["a cat", "a dog"])


def test_codes_are_said_to_be_approximations(tmp_path: Path, command: Command) -> None:
    write_index(tmp_path / "v.faiss", random_vectors(200), "SQ8")
    assert "approximations" in imported(command, tmp_path / "v.faiss", tmp_path / "out").err


def test_what_is_there_is_never_overwritten(tmp_path: Path, command: Command) -> None:
    np.save(tmp_path / "v.npy", random_vectors())
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").touch()
    assert "is not empty" in imported(command, tmp_path / "v.npy", tmp_path / "out").refusal()
    assert files_below(tmp_path / "out") == {"mine"}
    refusal = exported(command, tmp_path / "v.npy", "--from", tmp_path / "v.npy").refusal()
    assert "is there already" in refusal


@pytest.mark.parametrize("to", ["npy", "hdf5", "fbin", "fvecs"])
def test_a_vector_that_cannot_be_ranked_leaves_nothing_behind(
    to: str, tmp_path: Path, command: Command
) -> None:
    array = random_vectors(9_000)
    array[8_999] = np.nan
    np.save(tmp_path / "v.npy", array)
    ended = exported(command, tmp_path / "out", "--to", to, "--from", tmp_path / "v.npy")
    assert "row 8999" in ended.refusal()
    assert files_below(tmp_path) == {"v.npy"}


@pytest.mark.parametrize("kind", sorted(WRITERS))
def test_garbage_is_one_line(kind: str, tmp_path: Path, command: Command) -> None:
    (tmp_path / WRITERS[kind][0]).write_bytes(bytes(range(256)) * 30)
    imported(command, tmp_path / WRITERS[kind][0], tmp_path / "out").refusal()
    assert files_below(tmp_path) == {WRITERS[kind][0]}


def test_a_missing_source_and_an_odd_shard_size_are_one_line(tmp_path: Path, command: Command) -> None:
    assert "does not exist" in imported(command, tmp_path / "gone", tmp_path / "out").refusal()
    np.save(tmp_path / "v.npy", random_vectors())
    refusal = imported(command, tmp_path / "v.npy", tmp_path / "out", "--shard-size", 0).refusal()
    assert "--shard-size=0 is too small" in refusal


@pytest.mark.parametrize("to", ["npy", "hdf5", "fbin", "fvecs"])
def test_a_full_disk_leaves_nothing_behind(to: str, tmp_path: Path) -> None:
    """A limit on a file's size stands for the disk: writing fails alike, with another number."""
    np.save(tmp_path / "v.npy", random_vectors(20_000, 32))

    def small_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    done = subprocess.run(
        [sys.executable, "-m", "lookalike", "embeddings", "export", "out", "--to", to, "--from", "v.npy"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=small_files,
    )
    assert done.returncode == 2, done.stderr
    [line] = done.stderr.splitlines()
    assert line.startswith("error: out cannot be written")
    assert files_below(tmp_path) == {"v.npy"}


def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    write_csv(tmp_path / "v.csv", random_vectors(20_000, 64))
    process = subprocess.Popen(
        [sys.executable, "-m", "lookalike", "embeddings", "import", "v.csv", "out"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".out.*/img_emb/*.npy")) and time.monotonic() < deadline:
        assert process.poll() is None
        os.sched_yield()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert files_below(tmp_path) == {"v.csv"}


# --- export ------------------------------------------------------------------------------------------------


@pytest.fixture
def world(tmp_path: Path, command: Command) -> Path:
    """A home with one run of 60 named vectors, five of them asked for."""
    write_csv(tmp_path / "gallery.csv", random_vectors(60), [f"{row}.jpg" for row in range(60)])
    np.save(tmp_path / "asked.npy", random_vectors(5, seed=1))
    ended = command(
        "run",
        f"paths.root={tmp_path / 'home'}",
        *QUICK,
        "dataset=embeddings",
        f"dataset.root={tmp_path / 'gallery.csv'}",
        "dataset.normalize=true",
        "queries=vectors",
        f"queries.file={tmp_path / 'asked.npy'}",
        "index.threads=1",
    )
    assert ended.code == 0, ended.err
    return tmp_path / "home"


def units(rows: int, seed: int = 0) -> np.ndarray:
    array = random_vectors(rows, seed=seed)
    return array / np.linalg.norm(array, axis=1, keepdims=True)


def true_neighbours() -> np.ndarray:
    distances = ((units(5, 1)[:, None] - units(60)[None]) ** 2).sum(axis=2)
    return np.argsort(distances, axis=1, kind="stable")


def test_a_run_goes_out_as_ann_benchmarks_reads_it(world: Path, tmp_path: Path, command: Command) -> None:
    ended = exported(command, tmp_path / "out.hdf5", "--root", world)
    assert ended.code == 0, ended.err
    with h5py.File(tmp_path / "out.hdf5") as file:
        assert file.attrs["distance"] == "euclidean"
        np.testing.assert_allclose(file["train"][()], units(60), rtol=1e-6)
        np.testing.assert_allclose(file["test"][()], units(5, 1), rtol=1e-6)
        neighbours, distances = file["neighbors"][()], file["distances"][()]
        assert neighbours.shape == distances.shape
        assert neighbours.tolist() == true_neighbours()[:, : neighbours.shape[1]].tolist()
        expected = np.linalg.norm(units(5, 1)[:, None] - units(60)[neighbours], axis=2)
        np.testing.assert_allclose(distances, expected, rtol=1e-4, atol=1e-6)
    assert opened(tmp_path / "out.hdf5").ids == [f"{row}.jpg" for row in range(60)]


def searched_again(command: Command, file: Path, root: Path) -> Ended:
    """A run on vectors, queries and neighbours of one HDF5."""
    ended = command(
        "run",
        f"paths.root={root}",
        *QUICK,
        "dataset=embeddings",
        f"dataset.root={file}",
        "queries=vectors",
        f"queries.neighbours={file}",
        "index.threads=1",
    )
    assert ended.code == 0, ended.err
    return ended


def test_what_went_out_is_searched_again_and_its_neighbours_agree(
    world: Path, tmp_path: Path, command: Command
) -> None:
    exported(command, tmp_path / "out.hdf5", "--root", world)
    searched_again(command, tmp_path / "out.hdf5", tmp_path / "second")
    [record] = records(tmp_path / "second")
    assert record["data"]["query_count"] == 5
    assert record["extras"]["given_neighbours_found"] == 1
    assert record["extras"]["given_distances_error"] < 1e-4


def test_neighbours_of_another_metric_are_found_out(world: Path, tmp_path: Path, command: Command) -> None:
    exported(command, tmp_path / "out.hdf5", "--root", world)
    with h5py.File(tmp_path / "out.hdf5", "a") as file:
        file["neighbors"][...] = file["neighbors"][()][:, ::-1] * 0 + 3
        file["distances"][...] = file["distances"][()] * 2
    ended = searched_again(command, tmp_path / "out.hdf5", tmp_path / "second")
    assert "of the exact neighbours found here" in ended.err
    assert "distances that came with queries.neighbours differ" in ended.err


@pytest.mark.parametrize(
    ("to", "base", "query", "truth"),
    [
        ("fbin", "base.fbin", "queries/query.fbin", "queries/groundtruth.bin"),
        ("fvecs", "base.fvecs", "queries/query.fvecs", "queries/groundtruth.ivecs"),
        ("npy", "", "queries/vectors.npy", "queries/neighbours.npy"),
    ],
)
def test_a_run_goes_out_in_other_layouts(
    to: str, base: str, query: str, truth: str, world: Path, tmp_path: Path, command: Command
) -> None:
    ended = exported(command, tmp_path / "out", "--to", to, "--root", world)
    assert ended.code == 0, ended.err
    for root in {tmp_path / "out" / base, tmp_path / "out"}:
        gallery = opened(root)
        np.testing.assert_allclose(whole(gallery), units(60), rtol=1e-6)
        assert list(gallery.ids) == [f"{row}.jpg" for row in range(60)]
    np.testing.assert_allclose(whole(opened(tmp_path / "out" / query)), units(5, 1), rtol=1e-6)
    rows = open_neighbours(tmp_path / "out" / truth).rows
    assert rows.tolist() == true_neighbours()[:, : rows.shape[1]].tolist()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Thirty photos in three classes; one of them has the bytes of a photo in another class."""
    from PIL import Image

    root = tmp_path / "photos"
    for row in range(30):
        (root / "abc"[row % 3]).mkdir(parents=True, exist_ok=True)
        colours = np.random.default_rng(row // 2).integers(0, 256, (4, 4, 3))
        colours[row % 4] = 90
        Image.fromarray(colours.astype(np.uint8)).resize((24, 24)).save(
            root / "abc"[row % 3] / f"{row:02}.png"
        )
    (root / "b/same.png").write_bytes((root / "a/00.png").read_bytes())
    return root


OF_RELEVANCE = ("hit_rate", "relevant_recall", "map")


@pytest.mark.parametrize(
    ("target", "to", "queries"),
    [
        ("out.hdf5", "hdf5", "labels"),
        ("out", "npy", "labels"),
        ("out", "fbin", "copies"),
        ("out.hdf5", "hdf5", "copies"),
    ],
)
def test_what_comes_back_is_judged_as_before(
    target: str, to: str, queries: str, photos: Path, tmp_path: Path, command: Command
) -> None:
    """Exported, imported again where that can be, and searched without a word on its queries."""
    settings = [
        *QUICK,
        "search.k=5",
        "measures.cutoffs=[1,5]",
        "measures.bootstrap=50",
        "index=flat",
        "index.threads=1",
    ]
    of_images = ["dataset=folder", f"dataset.root={photos}", "dataset.labels=folder", "model=pixels"]
    first = command("run", f"paths.root={tmp_path / 'home'}", *settings, *of_images, f"queries={queries}")
    assert first.code == 0, first.err
    ended = exported(command, tmp_path / target, "--to", to, "--root", tmp_path / "home")
    assert ended.code == 0, ended.err
    assert "and what each should find" in ended.out
    root = tmp_path / target
    assert imported(command, root, tmp_path / "again").code == 0
    for place in (root, tmp_path / "again"):
        home = tmp_path / f"home of {place.name}"
        again = command("run", f"paths.root={home}", *settings, "dataset=embeddings", f"dataset.root={place}")
        assert again.code == 0, again.err
        [before], [after] = records(tmp_path / "home"), records(home)
        assert after["data"]["query_count"] == before["data"]["query_count"]
        assert after["data"]["protocol"] == "vectors"
        [then], [now] = before["points"], after["points"]
        for measure in OF_RELEVANCE:
            assert now["curves"][measure] == pytest.approx(then["curves"][measure]), measure
            assert now["intervals"][measure] == {
                k: pytest.approx(v) for k, v in then["intervals"][measure].items()
            }
        assert now["by_edit"].keys() == then["by_edit"].keys()


def test_a_dataset_that_changed_is_exported_without_relevance(
    photos: Path, tmp_path: Path, command: Command
) -> None:
    of_images = ["dataset=folder", f"dataset.root={photos}", "dataset.labels=folder", "model=pixels"]
    settings = [*QUICK, "search.k=5", "index=flat", "queries=labels"]
    assert command("run", f"paths.root={tmp_path / 'home'}", *settings, *of_images).code == 0
    (photos / "b/same.png").unlink()
    ended = exported(command, tmp_path / "out", "--root", tmp_path / "home")
    assert ended.code == 0, ended.err
    assert "the dataset has changed since the run" in ended.err
    assert "what each should find" not in ended.out


def test_files_go_out_without_a_run(tmp_path: Path, command: Command) -> None:
    write_csv(tmp_path / "v.csv", random_vectors())
    ended = exported(command, tmp_path / "out.h5", "--from", tmp_path / "v.csv")
    assert ended.code == 0
    assert "their lengths vary" in ended.err
    again = opened(tmp_path / "out.h5")
    assert whole(again).tolist() == random_vectors().tolist()
    assert not again.normalize
    ended = exported(command, tmp_path / "cosine.h5", "--from", tmp_path / "v.csv", "--cosine")
    assert "their lengths vary" not in ended.err
    assert opened(tmp_path / "cosine.h5").normalize
    assert list(again.ids) == list(opened(tmp_path / "v.csv").ids)


def test_an_angular_hdf5_stays_one(tmp_path: Path, command: Command) -> None:
    truth = true_neighbours()[:, :7]
    cosines = np.take_along_axis(units(5, 1) @ units(60).T, truth, axis=1)
    write_hdf5(
        tmp_path / "v.hdf5",
        random_vectors(60),
        test=random_vectors(5, seed=1),
        neighbors=truth,
        distances=1 - cosines,
    )
    with h5py.File(tmp_path / "v.hdf5", "a") as file:
        file.attrs["distance"] = "angular"
    assert exported(command, tmp_path / "out.hdf5", "--from", tmp_path / "v.hdf5").code == 0
    with h5py.File(tmp_path / "out.hdf5") as file:
        assert file.attrs["distance"] == "angular"
        assert file["neighbors"][()].tolist() == truth.tolist()
        np.testing.assert_allclose(file["distances"][()], 1 - cosines, atol=1e-6)


def test_a_run_whose_parts_are_gone_is_one_line(world: Path, tmp_path: Path, command: Command) -> None:
    import shutil

    shutil.rmtree(world / "store/artifacts/exact")
    refusal = exported(command, tmp_path / "out.hdf5", "--root", world).refusal()
    assert "the exact neighbours of this run are no longer in" in refusal
    assert (
        "no run or sweep" in exported(command, tmp_path / "out", "--root", world, "--run", "gone").refusal()
    )


def test_without_h5py_the_extra_is_named(tmp_path: Path) -> None:
    write_hdf5(tmp_path / "v.hdf5", random_vectors())
    code = (
        "import sys; sys.modules['h5py'] = None; from lookalike.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "embeddings", "import", "v.hdf5", "out"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "needs h5py, which is not installed; pip install 'lookalike[hdf5]'" in done.stderr


def test_the_suggested_command_is_what_a_shell_takes(tmp_path: Path, command: Command) -> None:
    np.save(tmp_path / "v.npy", np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32))
    ended = imported(command, tmp_path / "v.npy", tmp_path / "it's (mine), é $HOME")
    assert ended.code == 0, ended.err
    [line] = [line for line in ended.out.splitlines() if line.startswith("search them: lookalike ")]
    suggested = line.removeprefix("search them: lookalike ")
    overrides = shlex.join([f"paths.root={tmp_path / 'home'}", *QUICK])
    program = shlex.quote(str(Path(sys.executable).with_name("lookalike")))
    done = subprocess.run(
        ["bash", "-c", f"{program} {suggested} {overrides}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
