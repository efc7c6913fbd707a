"""The samples of a tar: images with the texts beside them, listed once and kept in the store.

The parquet beside a tar says more: it has a row also for samples whose image could not be had.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from lookalike.datasets.fingerprints import file_fingerprint, read_parquet
from lookalike.datasets.images import EXTENSIONS
from lookalike.datasets.sets import Annotations
from lookalike.datasets.table import parquet_shape, read_columns
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
"""A longer one is not a caption; it is taken for none."""


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

    Raises DatasetError when it cannot be read or is not a tar.
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


KEY, STATUS, SUCCESS = "key", "status", "success"
"""Columns of img2dataset, and what the second holds where there is an image."""

MOST_NAMED = 5
"""Endings in a notice."""


def parquet_of(listing: Listing) -> Path:
    """``00000.parquet`` of ``00000.tar``, whether it is there or not."""
    return listing.tar.path.with_suffix(".parquet")


def annotation(source: str | None, kind: str, listings: Sequence[Listing]) -> Annotations:
    """Return one value an image, in the order of the listings; None when there is no such annotation.

    ``source``: with a dot in front the ending of a sample's own text member, else a column of the parquets.
    ``kind`` is the setting's name, for messages. Raises DatasetError for another ending, when no tar has a
    parquet, and when one lacks the column.
    """
    if not source:
        return None
    if source.startswith("."):
        if fault := text_ending_fault(kind, source):
            raise DatasetError(fault)
        values = [value for one in listings for value in one.images[source[1:]].to_pylist()]
    else:
        if not any(parquet_of(one).is_file() for one in listings):
            raise DatasetError(
                f"dataset.{kind}={source} is a column of the parquets beside the tars, and there are none; "
                f"set it to .txt for the text in the tars, or to null"
            )
        values = [value for one in listings for value in _column(one, source)]
    return values if any(value is not None for value in values) else None


def text_ending_fault(kind: str, source: str | None) -> str | None:
    """Why ``source`` cannot be what the setting ``kind`` says; None when it can."""
    if not source or not source.startswith(".") or source[1:] in TEXT_ENDINGS:
        return None
    endings = " or ".join(f".{ending}" for ending in TEXT_ENDINGS)
    return f"dataset.{kind}={source} is not a text of a sample; choose {endings}, or a column of the parquets"


def count_missing(listings: Sequence[Listing]) -> Counter[str]:
    """Return how many samples of the parquets have no image in their tar, by img2dataset's word for why.

    ``success``: the image was had and is gone, as from a tar that is cut short; ``""``: no reason is given.
    """
    missing: Counter[str] = Counter()
    for one in listings:
        parquet = parquet_of(one)
        if not parquet.is_file():
            continue
        _, columns = parquet_shape(parquet)
        if KEY not in columns:
            continue
        has_status = STATUS in columns
        read = read_columns(parquet, [KEY, *([STATUS] if has_status else [])])
        there = {number_of(key) for name in one.images["name"].to_pylist() for key in keys_of(name)}
        states = read[STATUS] if has_status else [""] * len(read[KEY])
        missing.update(
            state or ""
            for key, state in zip(read[KEY], states, strict=True)
            if key is not None and number_of(key) not in there
        )
    return missing


def number_of(key: str) -> str:
    """Return a key that is a number without the zeros in front of it and the point behind.

    Keys are ``000000003`` in a tar; a parquet that a program wrote again may hold 3, or 3.0 beside gaps.
    Others as they are, composed: a tar and a parquet may write é in two ways.
    """
    number = re.fullmatch(r"0*([0-9]+)(\.0+)?", key)
    return number[1] if number else unicodedata.normalize("NFC", key)


def notices(listings: Sequence[Listing], missing: Counter[str]) -> Iterator[str]:
    """What the user should know of the tars, a sentence each."""
    yield from _of_keys(listings)
    lost = missing.total() - missing[SUCCESS]
    if lost:
        reasons = ", ".join(
            f"{count:,} {reason.replace('_', ' ')}"
            for reason, count in missing.most_common()
            if reason not in ("", SUCCESS)
        )
        yield (
            f"{lost:,} samples have no image{f' ({reasons})' if reasons else ''}; "
            "the parquets beside the tars name them, under error_message each with its reason"
        )
    if missing[SUCCESS]:
        yield f"{missing[SUCCESS]:,} images that the parquets name are no longer in their tars"
    for one in listings:
        if one.cut:
            yield (
                f"{one.tar.path.name} is cut short ({one.cut}); its {len(one.images):,} images before that "
                "are used, write it again to have the others"
            )
    left_out = sum(one.left_out for one in listings)
    if left_out:
        yield f"{left_out:,} links, devices or names that lead out of their tar were left out"


def _of_keys(listings: Sequence[Listing]) -> Iterator[str]:
    """Samples of several images, images of one name, and members that are not images."""
    shared, example = 0, ""
    for one in listings:
        for key, count in Counter(one.images[KEY].to_pylist()).items():
            if count > 1:
                shared += count
                example = example or f"{one.tar.path.name}, sample {key}"
    if shared:
        yield (
            f"{shared:,} images share their sample with others ({example}); each is an image of the gallery, "
            "with its own text where it has one, else with that of the sample"
        )
    if replaced := sum(one.replaced for one in listings):
        yield f"{replaced:,} images are replaced by a later member of the same name, as tar does; rename them"
    if others := others_of(listings):
        yield f"{others} are not images and were left out"


def others_of(listings: Sequence[Listing]) -> str:
    """Return how many members are neither images nor what is expected beside them, by their endings."""
    others = Counter[str]()
    for one in listings:
        others.update(one.others)
    commonest = sorted(others.items(), key=lambda pair: (-pair[1], pair[0]))
    kinds = ", ".join(f"{count:,} {ending}" for ending, count in commonest[:MOST_NAMED])
    return f"{others.total():,} members of the tars ({kinds})" if others else ""


def _column(listing: Listing, column: str) -> list[str | None]:
    """One value an image, by the longest of its keys that the parquet has.

    Raises DatasetError when the parquet has two values for a key, or none of its keys is an image's.
    """
    names: list[str] = listing.images["name"].to_pylist()
    parquet = parquet_of(listing)
    if not parquet.is_file():
        return [None] * len(names)
    read = read_columns(parquet, [KEY, column])
    values: dict[str, str | None] = {}
    for key, value in zip(read[KEY], read[column], strict=True):
        if key is not None and values.setdefault(key, value) != value:
            raise DatasetError(f"{parquet} has the {KEY} {key} twice, with other {column}; keep one of them")
    by_number = {number_of(key): value for key, value in values.items()}
    if len(by_number) < len(values):
        by_number = {}  # 03 and 3 are two samples here
    found: list[str | None] = []
    matched = 0
    for name in names:
        keys = keys_of(name)
        known = values if any(key in values for key in keys) else by_number
        if known is by_number:
            keys = [number_of(key) for key in keys]
        matched += any(key in known for key in keys)
        found.append(first_of(keys, known))
    if names and values and not matched:
        raise DatasetError(
            f"{parquet} describes other samples than {listing.tar.path.name}: its {KEY} is like "
            f"{next(iter(values))}, and the images' like {keys_of(names[0])[-1]}; write their names there"
        )
    return found
