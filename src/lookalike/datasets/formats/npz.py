"""``.npz`` archives: stored arrays are mapped in place, compressed ones unpacked block by block."""

from __future__ import annotations

import struct
import zipfile
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lookalike.datasets.formats.contents import (
    RowsInRuns,
    VectorFile,
    check_vectors_shape,
    holds_vectors,
    size_of,
)
from lookalike.datasets.formats.deflated import MOST_FOLD, DeflatedBytes
from lookalike.datasets.formats.npy import read_header
from lookalike.datasets.sets import Rows
from lookalike.errors import DatasetError, foreign_parser

IDS = "ids"
LOCAL_HEADER_BYTES = 30
FOLD_SLACK = 4_096
"""Bytes: so little may be announced whatever it was packed to."""


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
    """Open the array of vectors called ``array``, or the only one; ids: the array ``ids``, if there is one.

    DatasetError when the archive is damaged, encrypted, or announces more than it can hold.
    """
    size = size_of(file)
    broken = foreign_parser(f"{file} is not a readable .npz archive", "write it again")
    with broken, zipfile.ZipFile(file) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        read = {name: _member(archive, info) for name, info in members.items()}
        chosen = _choose(file, read, array)
        ids = _ids(file, archive, read.get(IDS))
    rows = _rows(file, read[chosen], chosen, size)
    if ids is not None and len(ids) != len(rows):
        raise DatasetError(f"{file} has {len(ids):,} ids for {len(rows):,} vectors; write it again")
    return VectorFile(rows, ids)


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
    packed_enough = info.compress_size * MOST_FOLD + FOLD_SLACK >= info.file_size
    if member.dtype.hasobject or needed != info.file_size or not packed_enough:
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
    if info.compress_type != zipfile.ZIP_DEFLATED or member.fortran:
        raise DatasetError(f"{what} is packed in a way that cannot be read in parts; write it by numpy.savez")
    packed = DeflatedBytes(file, start, info.compress_size, info.file_size, info.CRC)
    return PackedRows(packed, member.header_bytes, (member.shape[0], member.shape[1]), member.dtype)


def _data_start(file: Path, info: zipfile.ZipInfo) -> int:
    with foreign_parser(f"{file} is not a readable .npz archive", "copy it again"), file.open("rb") as stream:
        stream.seek(info.header_offset)
        header = stream.read(LOCAL_HEADER_BYTES)
    if len(header) < LOCAL_HEADER_BYTES or header[:4] != b"PK\x03\x04":
        raise DatasetError(f"{file} is damaged: no entry where its directory says; copy it again")
    name_bytes, extra_bytes = struct.unpack("<HH", header[26:30])
    return info.header_offset + LOCAL_HEADER_BYTES + int(name_bytes) + int(extra_bytes)


class PackedRows(RowsInRuns):
    """Rows of a compressed array, unpacked when asked for."""

    def __init__(
        self, packed: DeflatedBytes, header_bytes: int, shape: tuple[int, int], dtype: np.dtype[Any]
    ) -> None:
        super().__init__(shape, dtype)
        self.packed, self.header_bytes = packed, header_bytes

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        row_bytes = self.shape[1] * self.dtype.itemsize
        first = self.header_bytes + start * row_bytes
        data = self.packed.read(first, first + (stop - start) * row_bytes)
        return np.frombuffer(data, self.dtype).reshape(stop - start, self.shape[1])
