"""``.npz`` archives: stored arrays are mapped in place, compressed ones read whole into memory."""

from __future__ import annotations

import struct
import zipfile
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

from lookalike.datasets.formats.contents import (
    RowsInRuns,
    VectorFile,
    check_vectors_shape,
    holds_vectors,
    size_of,
)
from lookalike.datasets.formats.npy import read_header
from lookalike.datasets.sets import Rows
from lookalike.errors import DatasetError, foreign_parser
from lookalike.store.files import readable_bytes

IDS, LABELS = "ids", "labels"
"""Arrays of a text or an integer for each row."""
LOCAL_HEADER_BYTES = 30
MOST_FOLD = 1_032
"""Deflate compresses nothing tighter: 258 bytes in two bits."""
FOLD_SLACK = 4_096
"""Bytes: so little may be announced whatever it was compressed to."""
COMPRESSED = "compressed .npz arrays are read whole into memory; numpy.savez writes such as are read in place"


@dataclass(frozen=True)
class Member:
    """One array of the archive, its header read."""

    info: zipfile.ZipInfo
    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]
    header_bytes: int

    @property
    def holds_vectors(self) -> bool:
        return holds_vectors(self.shape, self.dtype)


def open_npz(file: Path, array: str | None = None) -> VectorFile:
    """Open the array of vectors called ``array``, or the only one.

    Their ids: the array ``ids``, if there is one; their labels: ``labels``, if it has a text or an integer
    for each. DatasetError when the archive is damaged, encrypted, or announces more than it can hold.
    """
    size = size_of(file)
    broken = foreign_parser(f"{file} is not a readable .npz archive", "write it again")
    with broken, zipfile.ZipFile(file) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        read = {name: _member(archive, info) for name, info in members.items()}
        chosen = _choose(file, read, array)
        ids = _ids(file, archive, read.get(IDS))
        labels = _labels(file, archive, read.get(LABELS), read[chosen].shape[0])
    rows = _rows(file, read[chosen], chosen, size)
    if ids is not None and len(ids) != len(rows):
        raise DatasetError(f"{file} has {len(ids):,} ids for {len(rows):,} vectors; write it again")
    notices = (COMPRESSED,) if isinstance(rows, CompressedRows) else ()
    return VectorFile(rows, ids, notices=notices, columns={} if labels is None else {"label": labels})


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    if info.flag_bits & 1:
        raise ValueError(f"{info.filename} is encrypted")
    with archive.open(info) as stream:
        shape, fortran, dtype = read_header(stream, info.filename)
        return Member(info, shape, fortran, dtype, stream.tell())


def _choose(file: Path, members: dict[str, Member], array: str | None) -> str:
    if array is not None:
        if array not in members:
            raise DatasetError(f"{file} has no array {array}; it has {', '.join(members) or 'none'}")
        return array
    fitting = [name for name, member in members.items() if member.holds_vectors]
    if len(fitting) != 1:
        if not fitting:
            held = ", ".join(
                f"{name}: {member.dtype} of shape {member.shape}" for name, member in members.items()
            )
            raise DatasetError(
                f"{file} has no array of float16, float32, float64, uint8 or int8 of shape (rows, "
                f"dimensions), but {held or 'nothing'}; write one by numpy.savez(file, "
                "vectors=array.astype('float32'))"
            )
        raise DatasetError(
            f"{file} has {len(fitting)} arrays of vectors ({', '.join(fitting)}); set dataset.array to the "
            "name of one"
        )
    return fitting[0]


def _check_size(what: str, member: Member) -> None:
    needed = member.header_bytes + prod(member.shape) * member.dtype.itemsize
    info = member.info
    fits = info.compress_size * MOST_FOLD + FOLD_SLACK >= info.file_size
    if member.dtype.hasobject or needed != info.file_size or not fits:
        raise DatasetError(
            f"{what} announces {member.dtype} of shape {member.shape}, which its {info.compress_size:,} "
            "bytes cannot hold; it is damaged or holds Python objects: write it again"
        )


def _ids(file: Path, archive: zipfile.ZipFile, member: Member | None) -> list[str] | None:
    if member is None:
        return None
    _check_size(f"{IDS} of {file}", member)
    if len(member.shape) != 1 or member.dtype.kind not in "USiu":
        raise DatasetError(
            f"{IDS} of {file} holds {member.dtype} of shape {member.shape}; ids are texts or integers, "
            "one a row"
        )
    return _texts(f"{IDS} of {file}", archive, member)


def _labels(
    file: Path, archive: zipfile.ZipFile, member: Member | None, count: int
) -> list[str | None] | None:
    """The labels, None for an empty text; an array of another shape or type means something else."""
    if member is None or member.shape != (count,) or member.dtype.kind not in "USiu":
        return None
    return [text or None for text in _texts(f"{LABELS} of {file}", archive, member)]


def _texts(what: str, archive: zipfile.ZipFile, member: Member) -> list[str]:
    """The values of an array of texts or integers, one dimension, as texts."""
    _check_size(what, member)
    with archive.open(member.info) as stream:
        values = np.lib.format.read_array(stream, allow_pickle=False)
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8")
    return [str(value) for value in values.tolist()]


def _rows(file: Path, member: Member, name: str, size: int) -> Rows:
    what, info = f"{name} of {file}", member.info
    check_vectors_shape(what, member.shape, member.dtype)
    _check_size(what, member)
    start = _data_start(file, info)
    if start + info.compress_size > size:
        raise DatasetError(f"{file} is cut short: {name} goes on past its end; copy it again")
    if info.compress_type == zipfile.ZIP_STORED:
        if info.compress_size != info.file_size:
            raise DatasetError(f"{file} is damaged: its directory gives {name} two sizes; copy it again")
        order: Any = "F" if member.fortran else "C"
        return np.memmap(file, member.dtype, "r", start + member.header_bytes, member.shape, order)
    if info.compress_type != zipfile.ZIP_DEFLATED:
        raise DatasetError(f"{what} is compressed in a way that is not read; write it by numpy.savez")
    return CompressedRows(file, member)


def _data_start(file: Path, info: zipfile.ZipInfo) -> int:
    with foreign_parser(f"{file} is not a readable .npz archive", "copy it again"), file.open("rb") as stream:
        stream.seek(info.header_offset)
        header = stream.read(LOCAL_HEADER_BYTES)
    if len(header) < LOCAL_HEADER_BYTES or header[:4] != b"PK\x03\x04":
        raise DatasetError(f"{file} is damaged: no entry where its directory says; copy it again")
    name_bytes, extra_bytes = struct.unpack("<HH", header[26:30])
    return info.header_offset + LOCAL_HEADER_BYTES + int(name_bytes) + int(extra_bytes)


class CompressedRows(RowsInRuns):
    """Rows of a compressed array: read whole with the first one, and held until the last one was read."""

    def __init__(self, file: Path, member: Member) -> None:
        super().__init__((member.shape[0], member.shape[1]), member.dtype)
        self.file, self.member = file, member
        self._whole: npt.NDArray[Any] | None = None

    def first(self, count: int) -> npt.NDArray[Any]:
        """Return the first ``count`` rows; an array stored row by row is unpacked no further."""
        if self.member.fortran:
            return self._read_whole()[:count]
        needed = count * self.shape[1] * self.dtype.itemsize
        broken = foreign_parser(f"{self.file} is damaged", "copy it again")
        with broken, zipfile.ZipFile(self.file) as archive, archive.open(self.member.info) as stream:
            stream.read(self.member.header_bytes)
            return np.frombuffer(stream.read(needed), self.dtype).reshape(count, self.shape[1])

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        if self._whole is None:
            self._whole = self._read_whole()
        rows = self._whole[start:stop]
        if stop == len(self):
            self._whole = None
        return rows

    def _read_whole(self) -> npt.NDArray[Any]:
        needed, available = self.member.info.file_size, psutil.virtual_memory().available
        if needed > available:
            raise DatasetError(
                f"{self.file} is compressed and takes {readable_bytes(needed)} of memory, where "
                f"{readable_bytes(available)} are available; write it by numpy.savez, which is read in place"
            )
        broken = foreign_parser(f"{self.file} is damaged", "copy it again")
        with broken, zipfile.ZipFile(self.file) as archive, archive.open(self.member.info) as stream:
            array: npt.NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
            if stream.read(1) or (array.shape, array.dtype) != (self.member.shape, self.dtype):
                raise ValueError("it changed while it was read")
        return array
