"""The images of one tar with the texts beside them: listed once, kept in the store."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from lookalike.datasets.fingerprints import file_fingerprint
from lookalike.datasets.images import EXTENSIONS
from lookalike.datasets.known import read_parquet
from lookalike.datasets.webdataset.headers import Member, Members, read_members
from lookalike.errors import DatasetError, foreign_parser
from lookalike.store.recipe import Recipe
from lookalike.store.store import Store

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")

LISTING_VERSION = 2
LISTING_KIND = "tar-listing"
TABLE = "images.parquet"
TEXT_ENDINGS = ("txt", "cls")
"""Members whose text is listed with the image: a caption, a class."""
SIDE_ENDINGS = frozenset({*TEXT_ENDINGS, "json"})
"""Members that are expected beside images."""
MOST_ENDINGS, LONGEST_ENDING = 8, 20
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
        """Changes with its name, its size, the time it was written and its ends; not with its place."""
        return file_fingerprint(self.path, self.size, self.mtime_ns)


@dataclass(frozen=True)
class Listing:
    """What one tar holds."""

    tar: Tar
    images: pa.Table
    """A row an image, ordered by name: ``name``, ``key`` (what all members of its sample share), ``offset``,
    ``size`` (int64, bytes), ``mtime`` (int64, seconds), ``txt`` and ``cls`` (texts or null)."""
    left_out: int
    cut: str | None
    replaced: int = 0
    """Images that a later member of the same name replaces, as tar does."""
    others: Mapping[str, int] = field(default_factory=dict)
    """How many members have an ending that is none of an image, a text or a JSON: the commonest endings."""


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
        read_parquet(artifact.file(TABLE)),
        **{name: artifact.facts[name] for name in ("left_out", "cut", "replaced", "others")},
    )


def _list(tar: Tar) -> tuple[pa.Table, dict[str, Any]]:
    with foreign_parser(f"{tar.path} cannot be read", "write it again"), tar.path.open("rb") as file:
        members = read_members(file, tar.path)
        images, facts = _table(members, file)
        return images, {"left_out": members.left_out, "cut": members.cut, **facts}


def _table(members: Members, file: BinaryIO) -> tuple[pa.Table, dict[str, Any]]:
    """The images, and what else there is. Of members with the same name the last one counts, as for tar."""
    import pyarrow as pa

    images: dict[str, Member] = {}
    texts: dict[str, dict[str, str]] = {ending: {} for ending in TEXT_ENDINGS}
    replaced, others = 0, Counter[str]()
    for member in members.files:
        stem, ending = split_name(member.name)
        if stem.rpartition("/")[2].startswith("._"):
            others["._*"] += 1  # what macOS adds to a file, under the file's own ending
        elif f".{ending}" in EXTENSIONS:
            replaced += member.name in images
            images[member.name] = member
        elif ending in texts and member.size <= LONGEST_TEXT:
            content = os.pread(file.fileno(), member.size, member.offset)
            texts[ending][stem] = content.decode("utf-8", "replace").strip()
        elif ending not in SIDE_ENDINGS:
            others[f".{ending[:LONGEST_ENDING]}" if ending else "no ending"] += 1
    rows = [images[name] for name in sorted(images)]
    columns = {
        "name": pa.array([member.name for member in rows], pa.string()),
        "key": pa.array([keys_of(member.name)[-1] for member in rows], pa.string()),
        **{
            name: pa.array([getattr(member, name) for member in rows], pa.int64())
            for name in ("offset", "size", "mtime")
        },
        **{
            ending: pa.array([first_of(keys_of(member.name), found) or None for member in rows], pa.string())
            for ending, found in texts.items()
        },
    }
    named = dict(others.most_common(MOST_ENDINGS))
    if rest := others.total() - sum(named.values()):
        named["of other endings"] = rest
    return pa.table(columns), {"replaced": replaced, "others": named}


def split_name(name: str) -> tuple[str, str]:
    """``a/001.left.JPG`` is a ``jpg`` called ``a/001.left``."""
    folder, slash, base = name.rpartition("/")
    stem, dot, ending = base.rpartition(".")
    if not dot:
        return name, ""
    return folder + slash + stem, ending.lower()


def keys_of(name: str) -> list[str]:
    """What a sample's other members may share with an image's name, the longest first.

    ``a/001.left.jpg`` goes with ``a/001.left.txt``, else with ``a/001.txt``: by WebDataset's rule a key ends
    at the first dot, and one sample may have several images. ``IMG_2020.01.05.jpg`` has its own text
    nevertheless.
    """
    stem, _ = split_name(name)
    folder, slash, base = stem.rpartition("/")
    parts = base.split(".")
    return [folder + slash + ".".join(parts[:end]) for end in range(len(parts), 0, -1)]


def first_of(keys: Iterable[str], values: Mapping[str, T]) -> T | None:
    """Return the value of the first key that has one."""
    return next((values[key] for key in keys if key in values), None)
