"""Vectors in every format: the same rows come out, in place where the format allows, and ids with them."""

from __future__ import annotations

import csv
from pathlib import Path

import faiss
import h5py
import numpy as np
import pytest

from lookalike.datasets import check_vectors
from lookalike.datasets.embeddings import announced_shape
from lookalike.datasets.vector_files import deflated
from lookalike.datasets.vector_files.formats import format_of, open_vector_file
from lookalike.datasets.vector_files.hdf5 import ChunkedRows
from lookalike.datasets.vector_files.neighbours import open_neighbours
from lookalike.datasets.vector_files.npz import PackedRows
from lookalike.errors import DatasetError
from lookalike.schemas import EmbeddingsDataset
from tests.datasets.vector_worlds import (
    WRITERS,
    opened,
    random_vectors,
    whole,
    write_bin,
    write_csv,
    write_hdf5,
    write_index,
    write_npz,
    write_packed_npz,
    write_vecs,
)

EVERY = pytest.mark.parametrize("kind", sorted(WRITERS))
IN_PLACE = ("npy", "npz", "fvecs", "fbin", "hdf5")


def written(kind: str, folder: Path, array: np.ndarray) -> Path:
    name, write = WRITERS[kind]
    write(folder / name, array)
    return folder / name


# --- what every format owes --------------------------------------------------------------------------------


@EVERY
def test_rows_come_out_as_they_went_in(kind: str, tmp_path: Path) -> None:
    array = random_vectors()
    vectors = opened(written(kind, tmp_path, array))
    assert vectors.dim == 6
    assert whole(vectors).tolist() == array.tolist()
    assert len(set(vectors.ids)) == 50


@EVERY
def test_rows_come_in_any_order_and_again(kind: str, tmp_path: Path) -> None:
    array = random_vectors()
    rows = open_vector_file(written(kind, tmp_path, array)).rows
    for asked in ([49, 0, 7, 7, 8, 9, 3], [5], [], list(range(50))[::-1]):
        assert np.asarray(rows[np.array(asked, np.int64)]).tolist() == array[asked].tolist()
    for part in (slice(3, 9), slice(0, 50), slice(40, 99), slice(9, 3), slice(None)):
        assert np.asarray(rows[part]).tolist() == array[part].tolist()
    assert rows.shape == (50, 6)
    assert len(rows) == 50


@EVERY
def test_a_folder_of_shards_is_read_in_natural_order(kind: str, tmp_path: Path) -> None:
    name, write = WRITERS[kind]
    arrays = [random_vectors(6, seed=shard) for shard in range(11)]
    for shard, array in enumerate(arrays):
        path = tmp_path / f"part_{shard}{Path(name).suffix}"
        if kind == "csv":
            write_csv(path, array, [f"{shard}/{row}.jpg" for row in range(6)])
        else:
            write(path, array)
    vectors = opened(tmp_path)
    assert whole(vectors).tolist() == np.concatenate(arrays).tolist()
    assert len(set(vectors.ids)) == 66


@EVERY
def test_the_format_may_be_told_instead_of_guessed(kind: str, tmp_path: Path) -> None:
    array = random_vectors()
    path = written(kind, tmp_path, array)
    format_ = format_of(path)
    odd = path.rename(tmp_path / "vectors.dat")
    assert whole(opened(odd, format=format_)).tolist() == array.tolist()


@EVERY
def test_a_format_with_a_magic_needs_no_suffix(kind: str, tmp_path: Path) -> None:
    path = written(kind, tmp_path, random_vectors())
    format_ = format_of(path)
    odd = path.rename(tmp_path / "vectors")
    if kind in ("fvecs", "fbin"):
        with pytest.raises(DatasetError, match=r"no known format; set dataset.format"):
            format_of(odd)
    else:
        assert format_of(odd) == format_


@EVERY
def test_headers_tell_the_shape_beforehand(kind: str, tmp_path: Path) -> None:
    path = written(kind, tmp_path, random_vectors())
    assert announced_shape(EmbeddingsDataset(root=str(path))) == (None if kind == "csv" else (50, 6))


@pytest.mark.parametrize("kind", IN_PLACE)
def test_plain_arrays_are_mapped_and_not_copied(kind: str, tmp_path: Path) -> None:
    rows = open_vector_file(written(kind, tmp_path, random_vectors())).rows
    assert isinstance(rows, np.memmap)


@EVERY
def test_garbage_of_any_suffix_is_one_error(kind: str, tmp_path: Path) -> None:
    path = tmp_path / WRITERS[kind][0]
    for content in (b"", b"\0", bytes(range(256)) * 40, b"\xff" * 4096, b"Image Path\n" * 9):
        path.write_bytes(content)
        with pytest.raises(DatasetError):
            open_vector_file(path)


@EVERY
def test_a_file_cut_short_is_found_when_opened_or_read(kind: str, tmp_path: Path) -> None:
    path = written(kind, tmp_path, random_vectors(400))
    content = path.read_bytes()
    for share in (0.1, 0.5, 0.9, 0.999):
        path.write_bytes(content[: int(len(content) * share) | 1])
        with pytest.raises(DatasetError):
            rows = open_vector_file(path).rows
            assert len(rows) == 400, "a shorter file of the same format would be another file"
            rows[0 : len(rows)]


@pytest.mark.parametrize("kind", sorted({*WRITERS} - {"ivf index"}))  # inverted lists take no NaN in
def test_what_nothing_can_rank_is_an_error(kind: str, tmp_path: Path) -> None:
    array = random_vectors()
    array[33, 2] = np.nan
    vectors = opened(written(kind, tmp_path, array))
    with pytest.raises(DatasetError, match=r"row 33 |line 35 "):
        for start, block in vectors.blocks(20):
            check_vectors(block, start, vectors.location)


@EVERY
def test_a_missing_file_and_a_folder_are_errors(kind: str, tmp_path: Path) -> None:
    path = tmp_path / WRITERS[kind][0]
    with pytest.raises(DatasetError, match="does not exist"):
        open_vector_file(path)
    path.mkdir()
    with pytest.raises(DatasetError):
        open_vector_file(path)


# --- npz ---------------------------------------------------------------------------------------------------


def test_ids_of_an_archive_are_read(tmp_path: Path) -> None:
    array, ids = random_vectors(3), ["a.jpg", "ß.jpg", "c"]
    np.savez_compressed(tmp_path / "v.npz", features=array, ids=np.array(ids))
    assert opened(tmp_path / "v.npz").ids == ids
    np.savez(tmp_path / "w.npz", features=array, ids=np.array([7, 8, 9]))
    assert opened(tmp_path / "w.npz").ids == ["7", "8", "9"]


def test_one_of_several_arrays_has_to_be_named(tmp_path: Path) -> None:
    one, other = random_vectors(), random_vectors(seed=1)
    np.savez(tmp_path / "v.npz", one=one, other=other)
    with pytest.raises(DatasetError, match=r"2 arrays of vectors \(one, other\); set dataset.array"):
        opened(tmp_path / "v.npz")
    assert whole(opened(tmp_path / "v.npz", array="other")).tolist() == other.tolist()
    with pytest.raises(DatasetError, match="has no array third; it has one, other"):
        opened(tmp_path / "v.npz", array="third")
    np.save(tmp_path / "v.npy", one)
    with pytest.raises(DatasetError, match="array one cannot be chosen"):
        opened(tmp_path / "v.npy", array="one")


def test_a_packed_array_is_read_backwards_from_marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MARK_BYTES", "PIECE_BYTES", "FEED_BYTES"):
        monkeypatch.setattr(deflated, name, 1_000)
    array = random_vectors(2_000)
    write_packed_npz(tmp_path / "v.npz", array)
    rows = open_vector_file(tmp_path / "v.npz").rows
    assert isinstance(rows, PackedRows)
    for start in (1_990, 3, 1_000, 999, 0):
        assert rows[start : start + 10].tolist() == array[start : start + 10].tolist()
    assert len(rows.packed._marks) > 10


def test_a_flipped_byte_of_a_packed_array_is_found(tmp_path: Path) -> None:
    write_packed_npz(tmp_path / "v.npz", random_vectors(2_000))
    content = bytearray((tmp_path / "v.npz").read_bytes())
    content[len(content) // 2] ^= 0x10
    (tmp_path / "v.npz").write_bytes(content)
    with pytest.raises(DatasetError, match="damaged"):
        whole(opened(tmp_path / "v.npz"), 2_000)


def test_pickles_in_an_archive_are_never_opened(tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", vectors=np.array([[{"a": 1}]], dtype=object))
    with pytest.raises(DatasetError, match="0 arrays of vectors"):
        opened(tmp_path / "v.npz")
    with pytest.raises(DatasetError, match="holds object"):
        opened(tmp_path / "v.npz", array="vectors")
    np.savez(tmp_path / "w.npz", vectors=random_vectors(1), ids=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DatasetError, match="Python objects"):
        opened(tmp_path / "w.npz")


def test_an_array_inside_an_archive_that_lies_about_its_shape_is_an_error(tmp_path: Path) -> None:
    write_npz(tmp_path / "v.npz", random_vectors())
    content = (tmp_path / "v.npz").read_bytes()
    for shape in (b"(99, 6)", b"(50, 7)"):
        (tmp_path / "v.npz").write_bytes(content.replace(b"(50, 6)", shape))
        with pytest.raises(DatasetError):
            opened(tmp_path / "v.npz")


# --- fvecs, bvecs, fbin, u8bin -----------------------------------------------------------------------------


@pytest.mark.parametrize(("suffix", "write"), [(".bvecs", write_vecs), (".u8bin", write_bin)])
def test_bytes_become_floats(suffix: str, write: object, tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 256, (9, 5), dtype=np.uint8)
    write(tmp_path / f"v{suffix}", array)  # type: ignore[operator]
    vectors = opened(tmp_path / f"v{suffix}")
    assert vectors.arrays[0].dtype == np.uint8
    assert whole(vectors).tolist() == array.astype(np.float32).tolist()


def test_every_row_of_a_vecs_file_has_to_have_the_first_one_s_length(tmp_path: Path) -> None:
    write_vecs(tmp_path / "v.fvecs", random_vectors())
    with (tmp_path / "v.fvecs").open("r+b") as file:
        file.seek(28 * 17)
        file.write(np.array([7], "<i4").tobytes())
    with pytest.raises(DatasetError, match=r"row 17 .* says 7 dimensions, and the first row 6"):
        opened(tmp_path / "v.fvecs")


@pytest.mark.parametrize("dim", [0, -1, 2**31 - 1])
def test_a_vecs_file_that_lies_is_refused_before_anything_is_allocated(dim: int, tmp_path: Path) -> None:
    (tmp_path / "v.fvecs").write_bytes(np.array([dim, 1, 2, 3], "<i4").tobytes())
    with pytest.raises(DatasetError, match="which cannot be"):
        opened(tmp_path / "v.fvecs")


@pytest.mark.parametrize(
    ("rows", "dim"), [(0, 4), (4, 0), (-1, 4), (2, -1), (2**31, 2**19), (3, 4), (1, 2**31 - 1)]
)
@pytest.mark.parametrize("suffix", [".fbin", ".u8bin"])
def test_a_bin_file_that_lies_is_refused_before_anything_is_allocated(
    suffix: str, rows: int, dim: int, tmp_path: Path
) -> None:
    header = np.array([rows, dim], np.int64).astype(np.uint32)
    (tmp_path / f"v{suffix}").write_bytes(header.tobytes() + bytes(2 * 4 * (4 if suffix == ".fbin" else 1)))
    with pytest.raises(DatasetError, match="announces"):
        opened(tmp_path / f"v{suffix}")


# --- HDF5 --------------------------------------------------------------------------------------------------


def test_chunked_datasets_are_streamed(tmp_path: Path) -> None:
    rows = open_vector_file(written("packed hdf5", tmp_path, random_vectors())).rows
    assert isinstance(rows, ChunkedRows)


@pytest.mark.parametrize(
    ("distance", "normalize"), [(None, True), ("angular", True), (b"angular", True), ("euclidean", False)]
)
def test_the_distance_tells_whether_directions_are_compared(
    distance: object, normalize: bool, tmp_path: Path
) -> None:
    write_hdf5(tmp_path / "v.hdf5", random_vectors())
    if distance is not None:
        with h5py.File(tmp_path / "v.hdf5", "a") as file:
            file.attrs["distance"] = distance
    vectors = opened(tmp_path / "v.hdf5")
    assert vectors.normalize is normalize
    assert bool(vectors.notices) is not normalize
    assert opened(tmp_path / "v.hdf5", normalize=not normalize).normalize is not normalize


def test_distances_of_bits_and_sets_are_refused(tmp_path: Path) -> None:
    write_hdf5(tmp_path / "v.hdf5", random_vectors())
    with h5py.File(tmp_path / "v.hdf5", "a") as file:
        file.attrs["distance"] = "jaccard"
    with pytest.raises(DatasetError, match="for the distance jaccard"):
        opened(tmp_path / "v.hdf5")


def test_links_out_of_the_file_are_not_followed(tmp_path: Path) -> None:
    write_hdf5(tmp_path / "secret.hdf5", random_vectors())
    np.ones((50, 6), np.float32).tofile(tmp_path / "raw")
    with h5py.File(tmp_path / "v.hdf5", "w") as file:
        file["external"] = h5py.ExternalLink("secret.hdf5", "train")
        file["soft"] = h5py.SoftLink("/external")
        file.create_dataset("raw", (50, 6), "f4", external=[(str(tmp_path / "raw"), 0, 1200)])
        layout = h5py.VirtualLayout((50, 6), "f4")
        layout[:] = h5py.VirtualSource(str(tmp_path / "secret.hdf5"), "train", (50, 6))
        file.create_virtual_dataset("virtual", layout)
        file["group/inner"] = random_vectors()
    for name, reason in (
        ("external", "is a link to somewhere else"),
        ("soft", "is a link to somewhere else"),
        ("raw", "stored in other files"),
        ("virtual", "stored in other files"),
        ("group", "is a group"),
        ("gone", "has no dataset gone; it has external"),
    ):
        with pytest.raises(DatasetError, match=reason):
            opened(tmp_path / "v.hdf5", array=name)
    assert whole(opened(tmp_path / "v.hdf5", array="group/inner")).tolist() == random_vectors().tolist()


def test_a_dataset_that_was_never_filled_is_no_terabyte(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "v.hdf5", "w") as file:
        file.create_dataset("train", (10**9, 1_000), "f4", chunks=(100, 1_000))
    with pytest.raises(DatasetError, match="0 bytes of it are stored"):
        opened(tmp_path / "v.hdf5")


# --- FAISS -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factory", ["IDMap,Flat", "IDMap2,Flat", "IVF4,Flat", "IDMap,HNSW8"])
def test_vectors_of_an_index_come_in_the_order_of_their_ids(factory: str, tmp_path: Path) -> None:
    array, ids = random_vectors(), np.random.default_rng(1).permutation(50) + 1_000
    write_index(tmp_path / "v.faiss", array, factory, ids)
    vectors = opened(tmp_path / "v.faiss")
    assert list(vectors.ids) == [str(id_) for id_ in range(1_000, 1_050)]
    assert whole(vectors).tolist() == array[np.argsort(ids)].tolist()
    assert vectors.notices == ()


@pytest.mark.parametrize("factory", ["IVF4,Flat,RFlat", "HNSW8", "NSG8"])
def test_vectors_are_found_behind_graphs_and_refinement(factory: str, tmp_path: Path) -> None:
    array = random_vectors(200)
    write_index(tmp_path / "v.faiss", array, factory)
    vectors = opened(tmp_path / "v.faiss")
    assert whole(vectors).tolist() == array.tolist()
    assert vectors.notices == ()


@pytest.mark.parametrize(
    "factory", ["SQ8", "PQ3x4", "IVF4,SQ8", "IVF4,PQ3x4", "OPQ3,IVF4,PQ3x4", "PCA4,Flat"]
)
def test_codes_are_said_to_be_approximations(factory: str, tmp_path: Path) -> None:
    array = random_vectors(300)
    write_index(tmp_path / "v.faiss", array, factory)
    vectors = opened(tmp_path / "v.faiss")
    index = faiss.read_index(str(tmp_path / "v.faiss"))
    if "IVF" in factory:
        faiss.extract_index_ivf(index).make_direct_map()
    expected = np.stack([index.reconstruct(row) for row in range(300)])
    np.testing.assert_allclose(whole(vectors), expected, rtol=1e-5, atol=1e-6)
    [notice] = vectors.notices
    assert "approximations" in notice


def test_an_index_whose_vectors_are_gone_is_an_error(tmp_path: Path) -> None:
    write_index(tmp_path / "v.faiss", random_vectors(200), "L2norm,IDMap,Flat", np.arange(200))
    with pytest.raises(DatasetError, match="cannot be had back"):
        opened(tmp_path / "v.faiss")
    faiss.write_index(faiss.IndexFlatL2(4), str(tmp_path / "empty.faiss"))
    with pytest.raises(DatasetError, match="without vectors"):
        opened(tmp_path / "empty.faiss")
    write_index(tmp_path / "twice.faiss", random_vectors(2), "IDMap,Flat", np.array([5, 5]))
    with pytest.raises(DatasetError, match="several vectors of the id 5"):
        opened(tmp_path / "twice.faiss")


def test_an_index_that_announces_too_much_is_refused(tmp_path: Path) -> None:
    write_index(tmp_path / "v.faiss", random_vectors())
    content = (tmp_path / "v.faiss").read_bytes()
    size = np.array([50 * 6 * 4], np.uint64).tobytes()
    count = size if size in content else np.array([50 * 6], np.uint64).tobytes()
    assert count in content
    for lie in (2**40, 2**33, 2**62):
        (tmp_path / "v.faiss").write_bytes(content.replace(count, np.array([lie], np.uint64).tobytes()))
        with pytest.raises(DatasetError, match="not a readable FAISS index"):
            opened(tmp_path / "v.faiss")


# --- CSV ---------------------------------------------------------------------------------------------------


def test_paths_are_ids_whatever_they_hold(tmp_path: Path) -> None:
    paths = ["a,b.jpg", 'say "hi".jpg', "zeile\numbruch.jpg", "ü [1, 2].jpg", ',"[1.0].jpg', "plain.jpg"]
    array = random_vectors(6)
    write_csv(tmp_path / "v.csv", array, paths)
    vectors = opened(tmp_path / "v.csv")
    assert vectors.ids == paths
    assert whole(vectors).tolist() == array.tolist()


def test_other_columns_line_ends_and_marks_are_passed_over(tmp_path: Path) -> None:
    with (tmp_path / "v.csv").open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["", "Image Path", "Features"])
        writer.writerow([0, "a, b.jpg", [1.5, -2e-3]])
        writer.writerow([1, "c.jpg", [3, 4.25]])
        file.write("\r\n")
    vectors = opened(tmp_path / "v.csv")
    assert vectors.ids == ["a, b.jpg", "c.jpg"]
    assert whole(vectors).tolist() == np.array([[1.5, -2e-3], [3, 4.25]], np.float32).tolist()


def test_a_list_of_one_has_no_quotes(tmp_path: Path) -> None:
    write_csv(tmp_path / "v.csv", np.array([[0.5], [2.0]], np.float32), ["a.jpg", "b,[1].jpg"])
    vectors = opened(tmp_path / "v.csv")
    assert vectors.ids == ["a.jpg", "b,[1].jpg"]
    assert whole(vectors).tolist() == [[0.5], [2.0]]


def test_a_file_of_several_parts_is_parsed_part_by_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lookalike.datasets.vector_files import csv_shard

    monkeypatch.setattr(csv_shard, "SCANNED_AT_ONCE", 97)
    monkeypatch.setattr(csv_shard, "PARSED_AT_ONCE", 500)
    array = random_vectors(300)
    paths = [f'{row},"quoted"\n{row}.jpg' for row in range(300)]
    write_csv(tmp_path / "v.csv", array, paths)
    vectors = opened(tmp_path / "v.csv")
    assert vectors.ids == paths
    assert whole(vectors, 37).tolist() == array.tolist()


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ('b.jpg,"[1.0, 2.0]"', "line 3 has 2 values where the first row has 3"),
        ('b.jpg,"[1.0, 2.0, 3.0, 4.0]"', "line 3 has 4 values where the first row has 3"),
        ('b.jpg,"[1.0, abc, 3.0]"', "line 3 has 'abc' as value 2, which is no number"),
        ('b.jpg,"[1.0, , 3.0]"', "line 3 has '' as value 2, which is no number"),
        ('b.jpg,"[1.0, nan, 3.0]"', "line 3 has 'nan' as value 2, which nothing can rank"),
        ('b.jpg,"[1.0, 2.0, 1e999]"', "line 3 has '1e999' as value 3, which nothing can rank"),
        ('b.jpg,"[1.0, 2.0, 1e39]"', "line 3 has '1e39' as value 3, which nothing can rank"),
        ('b.jpg,"[1.0, 2.0, 3.0"', "line 3 has no ] at its end"),
        ('b.jpg,"1.0, 2.0, 3.0]"', "line 3 has no list of numbers"),
        ("b.jpg,", "line 3 has no list of numbers"),
        ('b.jpg,"[1.0, 2.0, 3.0]', "line 3 has a quote that is never closed"),
        ('b.jpg,"[[1.0, 2.0, 3.0]]"', r"line 3 has '\[1.0' as value 1"),
    ],
)
def test_a_malformed_row_is_named_by_file_and_line(row: str, reason: str, tmp_path: Path) -> None:
    rows = ["Image Path,Features", 'a.jpg,"[1.0, 2.0, 3.0]"', row, 'c.jpg,"[1.0, 2.0, 3.0]"']
    (tmp_path / "v.csv").write_text("\n".join(rows) + "\n")
    with pytest.raises(DatasetError, match=f"v.csv, {reason}"):
        whole(opened(tmp_path / "v.csv"))


def test_lines_are_counted_as_an_editor_does(tmp_path: Path) -> None:
    write_csv(tmp_path / "v.csv", random_vectors(4), ["a\nb", "c\nd", "e\nf", "g"])
    text = (tmp_path / "v.csv").read_text().splitlines()
    wrong = next(number for number, line in enumerate(text) if line.startswith("g"))
    text[wrong] = 'g,"[1.0]"'
    (tmp_path / "v.csv").write_text("\n".join(text))
    with pytest.raises(DatasetError, match=f"line {wrong + 1} "):
        whole(opened(tmp_path / "v.csv"))


def test_a_field_without_end_is_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lookalike.datasets.vector_files import csv_shard

    monkeypatch.setattr(csv_shard, "SCANNED_AT_ONCE", 1 << 16)
    monkeypatch.setattr(csv_shard, "MAX_ROW_BYTES", 1 << 18)
    with (tmp_path / "v.csv").open("wb") as file:
        file.write(b'Image Path,Features\na.jpg,"[1.0]"\nb.jpg,"[')
        file.truncate(1 << 30)  # a hole: a gigabyte that takes no room
    with pytest.raises(DatasetError, match="line 3 goes on for more than"):
        opened(tmp_path / "v.csv")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"path,vector\na,b\n", "has no columns Image Path and Features"),
        (b'Features,Image Path\n"[1.0, 2.0]",a\n', "is not the last column"),
        (b"Image Path,Features\n", "has a header and no rows"),
        (b"", "is empty"),
        (b'Image Path,Features\n\xff.jpg,"[1.0, 2.0]"\n', "line 2 is not UTF-8"),
    ],
)
def test_a_csv_of_something_else_is_an_error(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "v.csv").write_bytes(content)
    with pytest.raises(DatasetError, match=reason):
        opened(tmp_path / "v.csv")


# --- folders -----------------------------------------------------------------------------------------------


def test_a_folder_of_several_formats_has_to_be_told_apart(tmp_path: Path) -> None:
    write_vecs(tmp_path / "v.fvecs", random_vectors())
    write_bin(tmp_path / "v.fbin", random_vectors(7))
    with pytest.raises(DatasetError, match=r"several formats \(fvecs, fbin\); set dataset.format"):
        opened(tmp_path)
    assert len(opened(tmp_path, format="fbin")) == 7
    with pytest.raises(DatasetError, match="holds no file of format npz"):
        opened(tmp_path, format="npz")


def test_a_file_that_changed_is_opened_anew(tmp_path: Path) -> None:
    write_csv(tmp_path / "v.csv", random_vectors(3))
    assert len(opened(tmp_path / "v.csv")) == 3
    write_csv(tmp_path / "v.csv", random_vectors(5))
    assert len(opened(tmp_path / "v.csv")) == 5


# --- neighbours --------------------------------------------------------------------------------------------


def test_neighbours_come_in_every_format(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).integers(0, 50, (8, 4)).astype(np.int32)
    distances = np.random.default_rng(0).random((8, 4), np.float32)
    np.save(tmp_path / "n.npy", rows)
    write_vecs(tmp_path / "n.ivecs", rows)
    write_bin(tmp_path / "n.ibin", rows)
    write_bin(tmp_path / "n.bin", rows)
    with (tmp_path / "n.bin").open("ab") as file:
        distances.tofile(file)
    write_hdf5(tmp_path / "n.hdf5", random_vectors(), neighbors=rows, distances=distances)
    for name in ("n.npy", "n.ivecs", "n.ibin", "n.bin", "n.hdf5"):
        assert open_neighbours(tmp_path / name).rows.tolist() == rows.tolist(), name
    given = open_neighbours(tmp_path / "n.hdf5")
    assert given.distances is not None
    assert given.distances.tolist() == distances.tolist()


@pytest.mark.parametrize("name", ["n.npy", "n.ivecs", "n.ibin", "n.bin", "n.hdf5", "n.txt"])
def test_neighbours_of_garbage_are_one_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError):
        open_neighbours(tmp_path / name)
    (tmp_path / name).write_bytes(b"\x07" * 1_001)
    with pytest.raises(DatasetError):
        open_neighbours(tmp_path / name)


def test_an_hdf5_without_neighbours_is_an_error(tmp_path: Path) -> None:
    write_hdf5(tmp_path / "n.hdf5", random_vectors())
    with pytest.raises(DatasetError, match="has no dataset neighbors"):
        open_neighbours(tmp_path / "n.hdf5")
    write_hdf5(tmp_path / "m.hdf5", random_vectors(), neighbors=np.zeros((3, 2), "f4"))
    with pytest.raises(DatasetError, match=r"neighbors of .* holds float32"):
        open_neighbours(tmp_path / "m.hdf5")
    write_hdf5(
        tmp_path / "o.hdf5",
        random_vectors(),
        neighbors=np.zeros((3, 2), "i4"),
        distances=np.zeros((3, 3), "f4"),
    )
    with pytest.raises(DatasetError, match=r"distances of .* has shape \(3, 3\)"):
        open_neighbours(tmp_path / "o.hdf5")
