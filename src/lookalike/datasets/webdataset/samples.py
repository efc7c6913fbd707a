"""What the parquets beside the tars say: a row a sample, also of those whose image could not be had."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from lookalike.datasets.sets import Annotations
from lookalike.datasets.table import parquet_shape, read_columns
from lookalike.datasets.webdataset.listing import TEXT_ENDINGS, Listing, first_of, keys_of
from lookalike.errors import DatasetError

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
    return f"dataset.{kind}={source} is no text of a sample; choose {endings}, or a column of the parquets"


def count_missing(listings: Sequence[Listing]) -> Counter[str]:
    """Return how many samples of the parquets have no image in their tar, by img2dataset's word for why.

    ``success``: the image was had and is gone, as from a tar that is cut short; ``""``: nothing is said.
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
    """Samples of several images, images of one name, and members that are no images."""
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
        yield f"{others} are no images and were left out"


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
