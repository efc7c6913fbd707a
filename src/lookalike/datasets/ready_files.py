"""Which files of a folder hold the vectors, and which tables lie beside them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from lookalike.datasets.formats.formats import AUTO, FORMATS
from lookalike.errors import DatasetError


def find_vector_files(root: Path, format_: str = AUTO) -> list[Path]:
    """Return ``root`` itself if it is a file, else its files of vectors in the natural order of their names.

    These lie in the folder itself, in its ``img_emb/``, or in the only subfolder that has some. Files of
    one format: ``.npy`` where there are any (the layout of clip-retrieval), else the one format there is.
    DatasetError when there are none, or of several kinds.
    """
    if root.is_file():
        return [root]
    if not root.is_dir():
        raise DatasetError(f"dataset.root={root} does not exist; name a file of vectors or a folder of them")
    for folder in (root, root / "img_emb"):
        if files := _in_folder(folder, format_):
            return files
    inner = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    by_folder = {folder: files for folder in inner if (files := _in_folder(folder, format_))}
    if len(by_folder) == 1:
        return next(iter(by_folder.values()))
    if by_folder:
        names = ", ".join(folder.name for folder in by_folder)
        raise DatasetError(f"{root} has vectors in several folders ({names}); set dataset.root to one")
    wanted = ".npy file, nor one of another format" if format_ == AUTO else f"file of format {format_}"
    raise DatasetError(f"{root} holds no {wanted}, nor do the folders in it; name another dataset.root")


def _in_folder(folder: Path, format_: str) -> list[Path]:
    if not folder.is_dir():
        return []
    if format_ != AUTO:
        return natural_order(_of_format(folder, format_))
    by_format: Mapping[str, list[Path]] = {
        name: files for name in FORMATS if (files := natural_order(_of_format(folder, name)))
    }
    if "npy" in by_format:
        return by_format["npy"]
    if len(by_format) > 1:
        raise DatasetError(
            f"{folder} has vectors of several formats ({', '.join(by_format)}); set dataset.format to one"
        )
    return next(iter(by_format.values()), [])


def _of_format(folder: Path, format_: str) -> list[Path]:
    if format_ not in FORMATS:
        raise DatasetError(f"dataset.format={format_} is unknown; choose {AUTO}, {', '.join(FORMATS)}")
    suffixes = FORMATS[format_].suffixes
    return [path for path in folder.iterdir() if path.suffix.lower() in suffixes and path.is_file()]


def find_tables(root: Path, files: Sequence[Path]) -> list[Path]:
    """Return one parquet for each file of vectors, or none at all."""
    if root.is_file():
        beside = root.with_suffix(".parquet")
        return [beside] if beside.is_file() else []
    places = [files[0].parent, root / "metadata"]
    if root.name == "img_emb":  # someone named the inner folder of clip-retrieval's layout
        places.append(root.with_name("metadata"))
    for place in places:
        if tables := natural_order(place.glob("*.parquet")):
            break
    else:
        return []
    if len(tables) != len(files):
        raise DatasetError(
            f"{files[0].parent} has {len(files)} {files[0].suffix} files, but {place} has {len(tables)} "
            ".parquet files; there has to be one for each"
        )
    for file, table in zip(files, tables, strict=True):
        if _numbers(file)[-1:] != _numbers(table)[-1:]:
            raise DatasetError(f"{file.name} and {table.name} are of different shards; number both alike")
    return tables


def natural_order(paths: Iterable[Path]) -> list[Path]:
    """Sort by name with numbers as numbers: ``img_emb_2`` before ``img_emb_10``; hidden files left out."""
    visible = (path for path in paths if not path.name.startswith("."))
    return sorted(visible, key=lambda path: (re.sub(r"\d+", "0", path.name), _numbers(path), path.name))


def _numbers(path: Path) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", path.stem)]
