"""Ready vectors: ``.npy`` files with a parquet of ids beside each, laid out as by clip-retrieval."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from lookalike import schemas
from lookalike.datasets.sampling import nested_sample
from lookalike.datasets.sets import VectorSet
from lookalike.datasets.table import Columns, parquet_shape, read_columns
from lookalike.errors import DatasetError
from lookalike.progress import SILENT, Progress

ID_COLUMNS = ("id", "image_path", "key")
"""Tried in this order where ``dataset.id_column`` is not set."""


def open_embeddings(config: schemas.EmbeddingsDataset, progress: Progress = SILENT) -> VectorSet:
    """Return the vectors of one ``.npy`` file or of a folder of them, in the natural order of their names.

    The vectors lie in the folder itself, in its ``img_emb/``, or in the only subfolder that has some; the
    parquets beside them or in ``metadata/``. Without parquets the ids are row numbers. Raises DatasetError
    when there are none, when dimensions, numbers of rows or names disagree, and when an id repeats.
    """
    if not config.root:
        raise DatasetError("dataset.root is not set; name a .npy file or a folder of them")
    root = Path(config.root).expanduser()
    files = _vector_files(root)
    arrays = [map_vectors(file) for file in files]
    _check_dims(files, arrays)
    tables = _tables_of(root, files)
    if not tables and (named := config.id_column or config.label_column or config.caption_column):
        raise DatasetError(f"there is no parquet beside {files[0]} to read the column {named} from; add one")
    columns = _read_all(tables, files, arrays, config, progress)
    count = sum(len(array) for array in arrays)
    vectors = VectorSet(
        ids=_ids(columns.get("id"), count),
        arrays=arrays,
        files=[str(file) for file in files],
        file_fingerprints=[file_fingerprint(file) for file in files],
        normalize=config.normalize,
        labels=columns.get("label"),
        captions=columns.get("caption"),
        shard_size=config.shard_size,
    )
    if config.limit is None:
        return vectors
    return vectors.take(nested_sample(vectors.ids, config.limit, config.seed, "dataset"))


def map_vectors(file: Path) -> np.ndarray:
    """Memory-map a ``.npy`` of float16, 32 or 64, shape (n, d), n and d at least 1; else DatasetError."""
    array = map_array(file)
    if array.ndim != 2 or array.dtype.kind != "f" or array.dtype.itemsize not in (2, 4, 8):
        raise DatasetError(
            f"{file} holds {array.dtype} of shape {array.shape}; vectors are float16, float32 or float64 of "
            "shape (rows, dimensions)"
        )
    return array


def map_array(file: Path) -> np.ndarray:
    """Memory-map a ``.npy`` that is not empty, without ever unpickling; else DatasetError."""
    try:
        array = np.lib.format.open_memmap(file, mode="r")
    except FileNotFoundError as error:
        raise DatasetError(f"{file} does not exist; check its name") from error
    except (ValueError, OSError) as error:
        raise DatasetError(f"{file} is not a readable .npy array ({error}); write it again") from error
    if array.size == 0:
        raise DatasetError(f"{file} is empty, of shape {array.shape}; remove it or write it again")
    return array


def file_fingerprint(file: Path) -> str:
    """Return a text that changes with the file's path, size or mtime_ns."""
    status = file.stat()
    path = hashlib.blake2b(os.fsencode(file.resolve()), digest_size=8).hexdigest()
    return f"{status.st_size:x}-{status.st_mtime_ns:x}-{path}"


def _vector_files(root: Path) -> list[Path]:
    if root.is_file():
        return [root]
    if not root.is_dir():
        raise DatasetError(f"dataset.root={root} does not exist; name a .npy file or a folder of them")
    for folder in (root, root / "img_emb"):
        if files := _natural(folder.glob("*.npy")):
            return files
    found = {folder: _natural(folder.glob("*.npy")) for folder in sorted(root.iterdir())}
    by_folder = {folder: files for folder, files in found.items() if files}
    if len(by_folder) == 1:
        return next(iter(by_folder.values()))
    if by_folder:
        names = ", ".join(folder.name for folder in by_folder)
        raise DatasetError(f"{root} has vectors in several folders ({names}); set dataset.root to one")
    raise DatasetError(f"{root} holds no .npy file, nor do the folders in it; name another dataset.root")


def _tables_of(root: Path, files: Sequence[Path]) -> list[Path]:
    """Return one parquet for each file of vectors, or none at all."""
    if root.is_file():
        beside = root.with_suffix(".parquet")
        return [beside] if beside.is_file() else []
    places = [files[0].parent, root / "metadata"]
    if root.name == "img_emb":  # someone named the inner folder of clip-retrieval's layout
        places.append(root.with_name("metadata"))
    for place in places:
        if tables := _natural(place.glob("*.parquet")):
            break
    else:
        return []
    if len(tables) != len(files):
        raise DatasetError(
            f"{files[0].parent} has {len(files)} .npy files, but {place} has {len(tables)} .parquet files; "
            "there has to be one for each"
        )
    for file, table in zip(files, tables, strict=True):
        if _numbers(file)[-1:] != _numbers(table)[-1:]:
            raise DatasetError(f"{file.name} and {table.name} are of different shards; number both alike")
    return tables


def _read_all(
    tables: Sequence[Path],
    files: Sequence[Path],
    arrays: Sequence[np.ndarray],
    config: schemas.EmbeddingsDataset,
    progress: Progress,
) -> Columns:
    """Return the columns "id", "label" and "caption" (those there are) of all shards end to end."""
    read: Columns = {}
    with progress.bar("reading ids", len(tables), "files") as bar:
        for table, file, array in zip(tables, files, arrays, strict=False):
            for role, values in _read_one(table, file, len(array), config).items():
                read.setdefault(role, []).extend(values)
            bar.advance()
    return read


def _read_one(table: Path, file: Path, count: int, config: schemas.EmbeddingsDataset) -> Columns:
    row_count, present = parquet_shape(table)
    if row_count != count:
        raise DatasetError(
            f"{table} has {row_count:,} rows, but {file} has {count:,} vectors; both have to be of one run"
        )
    columns = {
        "id": config.id_column or next((name for name in ID_COLUMNS if name in present), None),
        "label": config.label_column,
        "caption": config.caption_column,
    }
    chosen = {role: column for role, column in columns.items() if column is not None}
    values = read_columns(table, list(chosen.values()))
    return {role: values[column] for role, column in chosen.items()}


def _ids(column: Sequence[str | None] | None, count: int) -> list[str]:
    if column is None:
        return [str(row) for row in range(count)]
    ids = [id_ for id_ in column if id_ is not None]
    if len(ids) != count:
        raise DatasetError(f"{count - len(ids):,} of {count:,} vectors have no id; fill dataset.id_column")
    if len(set(ids)) != count:
        id_, times = Counter(ids).most_common(1)[0]
        raise DatasetError(f"the id {id_} stands at {times:,} vectors; set dataset.id_column to unique ids")
    return ids


def _check_dims(files: Sequence[Path], arrays: Sequence[np.ndarray]) -> None:
    for file, array in zip(files, arrays, strict=True):
        if array.shape[1] != arrays[0].shape[1]:
            raise DatasetError(
                f"{file} has {array.shape[1]} dimensions, but {files[0].name} has {arrays[0].shape[1]}; "
                "keep only vectors of one model there"
            )


def _natural(paths: Iterable[Path]) -> list[Path]:
    """Sort by name with numbers as numbers: ``img_emb_2`` before ``img_emb_10``; hidden files left out."""
    visible = (path for path in paths if not path.name.startswith("."))
    return sorted(visible, key=lambda path: (re.sub(r"\d+", "0", path.name), _numbers(path), path.name))


def _numbers(path: Path) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", path.stem)]
