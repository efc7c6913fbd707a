"""The formats that vectors come in: how each is recognised and opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from lookalike.datasets.formats.big_ann import open_fbin, open_i8bin, open_u8bin
from lookalike.datasets.formats.contents import VectorFile, size_of
from lookalike.datasets.formats.csv_shard import PATHS, open_csv
from lookalike.datasets.formats.faiss_index import check_faiss, open_faiss
from lookalike.datasets.formats.hdf5 import MAGIC, check_hdf5, open_hdf5
from lookalike.datasets.formats.npy import open_npy
from lookalike.datasets.formats.npz import open_npz
from lookalike.datasets.formats.vecs import open_bvecs, open_fvecs
from lookalike.errors import DatasetError, foreign_parser

AUTO = "auto"


class Format(NamedTuple):
    """How a format is recognised and read."""

    suffixes: tuple[str, ...]
    read: Callable[[Path, str | None], VectorFile]
    has_names: bool = False
    """Whether ``array`` may name one of several arrays in the file."""
    check: Callable[[Sequence[Path], str | None], None] | None = None
    """What has several files read by one child first; None: the format needs no child."""


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "npy": Format((".npy",), open_npy),
        "npz": Format((".npz",), open_npz, has_names=True),
        "fvecs": Format((".fvecs",), open_fvecs),
        "bvecs": Format((".bvecs",), open_bvecs),
        "fbin": Format((".fbin",), open_fbin),
        "u8bin": Format((".u8bin",), open_u8bin),
        "i8bin": Format((".i8bin",), open_i8bin),
        "hdf5": Format((".hdf5", ".h5"), open_hdf5, has_names=True, check=check_hdf5),
        "faiss": Format((".faiss", ".index"), open_faiss, check=check_faiss),
        "csv": Format((".csv",), open_csv),
    }
)

MAGICS = {
    b"\x93NUMPY": "npy",
    b"PK\x03\x04": "npz",
    MAGIC: "hdf5",
    b"Ix": "faiss",
    b"Iw": "faiss",
    b"IH": "faiss",
    b"IN": "faiss",
    PATHS.encode(): "csv",
}
"""How a file of another suffix may begin."""


def format_of(file: Path) -> str:
    """Tell a file's format by its suffix, else by its first bytes; DatasetError when neither does."""
    suffix = file.suffix.lower()
    for name, format_ in FORMATS.items():
        if suffix in format_.suffixes:
            return name
    size_of(file)
    with foreign_parser(f"{file} cannot be read", "check what it is"), file.open("rb") as stream:
        start = stream.read(16)
    for magic, name in MAGICS.items():
        if start.startswith(magic):
            return name
    raise DatasetError(
        f"{file} is of no known format; set dataset.format to what it is: {', '.join(FORMATS)}"
    )


def check_files(files: Sequence[Path], format_: str, array: str | None) -> None:
    """Have files of one format read by a child first, where that format needs it: one child for them all.

    Opening one does the same for itself alone. Raises DatasetError for one that cannot be read.
    """
    check = FORMATS[format_].check
    if check is not None:
        check(files, array)


def open_vector_file(file: Path, format_: str = AUTO, array: str | None = None) -> VectorFile:
    """Open one file of vectors. DatasetError when it is missing, damaged, or not of its format.

    ``array``: the name of the vectors where a file holds several arrays (npz, hdf5).
    """
    name = format_of(file) if format_ == AUTO else format_
    if name not in FORMATS:
        raise DatasetError(f"{name} is not a format of vectors; choose {AUTO}, {', '.join(FORMATS)}")
    chosen = FORMATS[name]
    if array is not None and not chosen.has_names:
        raise DatasetError(
            f"the array {array} cannot be chosen in {file}: a file of format {name} has only one"
        )
    return chosen.read(file, array)
