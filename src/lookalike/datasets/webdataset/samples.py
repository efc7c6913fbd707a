"""What the parquets beside the tars say: a row a sample, also of those whose image could not be had."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from lookalike.datasets.sets import Annotations
from lookalike.datasets.table import parquet_shape, read_columns
from lookalike.datasets.webdataset.listing import TEXT_ENDINGS, Listing
from lookalike.errors import DatasetError

KEY, STATUS, SUCCESS = "key", "status", "success"
"""Columns of img2dataset, and what the second holds where there is an image."""


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
        there = set(one.images[KEY].to_pylist())
        states = read[STATUS] if has_status else [""] * len(read[KEY])
        missing.update(state or "" for key, state in zip(read[KEY], states, strict=True) if key not in there)
    return missing


def notices(listings: Sequence[Listing], missing: Counter[str]) -> Iterator[str]:
    """What the user should know of the tars, a sentence each."""
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


def _column(listing: Listing, column: str) -> list[str | None]:
    keys: list[str] = listing.images[KEY].to_pylist()
    parquet = parquet_of(listing)
    if not parquet.is_file():
        return [None] * len(keys)
    read = read_columns(parquet, [KEY, column])
    value_of = dict(zip(read[KEY], read[column], strict=True))
    return [value_of.get(key) for key in keys]
