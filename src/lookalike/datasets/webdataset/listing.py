"""The images of one tar with the texts beside them: listed once, kept in the store."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from lookalike.datasets.images import EXTENSIONS
from lookalike.datasets.webdataset.headers import Member, Members, read_members
from lookalike.errors import DatasetError
from lookalike.store import Recipe, Store

if TYPE_CHECKING:
    import pyarrow as pa

LISTING_VERSION = 1
LISTING_KIND = "tar-listing"
TABLE = "images.parquet"
TEXT_ENDINGS = ("txt", "cls")
"""Members whose text is listed with the image: a caption, a class."""
LONGEST_TEXT = 1 << 16
"""A longer one is no caption; it is taken for none."""


@dataclass(frozen=True)
class Tar:
    """A tar as it was when it was listed."""

    path: Path
    size: int
    mtime_ns: int

    @classmethod
    def at(cls, path: Path) -> Tar:
        """DatasetError when it cannot be looked at."""
        try:
            status = path.stat()
        except OSError as error:
            raise DatasetError(f"{path} cannot be read ({error.strerror}); check its permissions") from error
        return cls(path, status.st_size, status.st_mtime_ns)

    @property
    def fingerprint(self) -> str:
        """Changes with its place, its size and the time it was written."""
        place = os.fsencode(self.path.resolve())
        return hashlib.blake2b(b"%s\0%d\0%d" % (place, self.size, self.mtime_ns), digest_size=8).hexdigest()


@dataclass(frozen=True)
class Listing:
    """What one tar holds."""

    tar: Tar
    images: pa.Table
    """A row an image, ordered by name: ``name``, ``key`` (what all members of its sample share), ``offset``,
    ``size`` (int64, bytes), ``mtime`` (int64, seconds), ``txt`` and ``cls`` (texts or null)."""
    left_out: int
    cut: str | None


def list_tar(tar: Tar, store: Store | None) -> Listing:
    """Read the headers of ``tar``, or what the store kept of them.

    Raises DatasetError when it cannot be read or is no tar.
    """
    if store is None:
        images, facts = _list(tar)
        return Listing(tar, images, **facts)
    import pyarrow.parquet as pq

    def build(draft: Path) -> Mapping[str, Any]:
        images, facts = _list(tar)
        pq.write_table(images, draft / TABLE)
        return facts

    recipe = Recipe(LISTING_KIND, LISTING_VERSION, {"tar": tar.fingerprint}, {})
    artifact = store.obtain(recipe, build)
    return Listing(
        tar,
        pq.read_table(artifact.file(TABLE)),
        left_out=artifact.facts["left_out"],
        cut=artifact.facts["cut"],
    )


def _list(tar: Tar) -> tuple[pa.Table, dict[str, Any]]:
    try:
        with tar.path.open("rb") as file:
            members = read_members(file, tar.path)
            return _table(members, file), {"left_out": members.left_out, "cut": members.cut}
    except OSError as error:
        raise DatasetError(f"{tar.path} cannot be read ({error.strerror}); check the disk") from error


def _table(members: Members, file: BinaryIO) -> pa.Table:
    """Of members with the same name the last one counts, as for tar itself."""
    import pyarrow as pa

    images: dict[str, tuple[str, Member]] = {}
    texts: dict[str, dict[str, str]] = {ending: {} for ending in TEXT_ENDINGS}
    for member in members.files:
        key, ending = split_name(member.name)
        if f".{ending}" in EXTENSIONS:
            images[member.name] = key, member
        elif ending in texts and member.size <= LONGEST_TEXT:
            content = os.pread(file.fileno(), member.size, member.offset)
            texts[ending][key] = content.decode("utf-8", "replace").strip()
    rows = [images[name] for name in sorted(images)]
    columns = {
        "name": pa.array([member.name for _, member in rows], pa.string()),
        "key": pa.array([key for key, _ in rows], pa.string()),
        **{
            name: pa.array([getattr(member, name) for _, member in rows], pa.int64())
            for name in ("offset", "size", "mtime")
        },
        **{
            ending: pa.array([found.get(key) or None for key, _ in rows], pa.string())
            for ending, found in texts.items()
        },
    }
    return pa.table(columns)


def split_name(name: str) -> tuple[str, str]:
    """WebDataset's rule: ``a/001.left.JPG`` is the member ``left.jpg`` of the sample ``a/001``."""
    folder, slash, base = name.rpartition("/")
    key, _, ending = base.partition(".")
    return folder + slash + key, ending.lower()
