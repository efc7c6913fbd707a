"""Tar shards as one set of images, read in place."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lookalike import schemas
from lookalike.datasets.fingerprints import content_fingerprints
from lookalike.datasets.ids import LazyTexts, id_of, nested_sample, printable
from lookalike.datasets.images import decode
from lookalike.datasets.sets import Annotations, ImageSet
from lookalike.datasets.source import Source
from lookalike.datasets.webdataset.samples import (
    Listing,
    Tar,
    annotation,
    count_missing,
    list_tar,
    notices,
    others_of,
    text_ending_fault,
)
from lookalike.errors import DatasetError, ImageError
from lookalike.progress import SILENT, Progress
from lookalike.store.store import Store

Rows = npt.NDArray[np.int64]
LARGEST_IMAGE_BYTES = 1 << 28
"""A member is read as a whole; no photo is larger."""


class WebdatasetSource(Source[schemas.WebdatasetDataset]):
    """Tar shards, read in place."""

    def open(self, progress: Progress = SILENT, store: Store | None = None) -> ImageSet:
        """Return the images of the tars in ``config.root``, tar by tar and ordered by name within each.

        Ids are the tar's name without its ending and the member's: ``00000/0000003.jpg``. The headers of a
        tar are read once and kept in ``store``, if there is one. Samples of the parquets beside the tars that
        have no image are counted in a notice and in ``missing``; so are tars that are cut short, whose images
        before the cut are used. Raises DatasetError when there is no tar or image, when a file is not a tar,
        or when an annotation is not where the config says.
        """
        config = self.config
        tars = [Tar.at(path) for path in find_tars(config.root)]
        listings = _list_all(tars, progress, store)
        shards = _Shards(listings)
        if not shards.n:
            others = others_of(listings)
            raise DatasetError(
                f"the {len(tars):,} tars of {config.root} hold no images"
                f"{f', but {others}' if others else ''}; name other tars"
            )
        everything = LazyTexts(shards.n, shards.id)
        rows = np.array(nested_sample(everything, config.limit, config.seed, "dataset"), dtype=np.int64)
        missing = count_missing(listings)
        max_pixels = config.max_pixels

        def read(row: int) -> bytes:
            return shards.read(int(rows[row]))

        images = ImageSet(
            ids=LazyTexts(len(rows), lambda row: shards.id(int(rows[row]))),
            fingerprints=LazyTexts(len(rows), lambda row: shards.fingerprint(int(rows[row]))),
            locations=LazyTexts(len(rows), lambda row: shards.location(int(rows[row]))),
            load=lambda row: decode(read(row), max_pixels),
            labels=_of_rows(annotation(config.labels, "labels", listings), rows),
            groups=_of_rows(annotation(config.groups, "groups", listings), rows),
            captions=_of_rows(annotation(config.captions, "captions", listings), rows),
            max_bad_fraction=config.max_bad_fraction,
            shard_size=config.shard_size,
            notices=tuple(notices(listings, missing)),
            missing=missing.total(),
            read=read,
            size=lambda row: int(shards.sizes[rows[row]]),
            open=lambda row: io.BytesIO(read(row)),
            max_pixels=max_pixels,
        )
        if config.fingerprint == "content":
            return replace(images, fingerprints=content_fingerprints(images, progress))
        return images

    def count(self, progress: Progress = SILENT, store: Store | None = None) -> int:
        """Return how many images the tars hold, by their headers; raises DatasetError as for opening them."""
        config = self.config
        tars = [Tar.at(path) for path in find_tars(config.root)]
        return sum(len(listing.images) for listing in _list_all(tars, progress, store))

    def faults(self) -> list[str]:
        settings = ("captions", "labels", "groups")
        faults = [text_ending_fault(kind, getattr(self.config, kind)) for kind in settings]
        try:
            find_tars(self.config.root)
        except DatasetError as error:
            faults.append(str(error))
        return [fault for fault in faults if fault]

    def annotation_fault(self, kind: str) -> str | None:
        if getattr(self.config, kind):
            return None
        return f"dataset.{kind}; set it to .txt, .cls or a column of the parquets beside the tars"


def _list_all(tars: Sequence[Tar], progress: Progress, store: Store | None) -> list[Listing]:
    with progress.bar("listing tars", len(tars), "tars") as bar:
        listings = []
        for tar in tars:
            listings.append(list_tar(tar, store))
            bar.advance()
    return listings


def find_tars(root: str | None) -> list[Path]:
    """Return the ``.tar`` files of a folder (not of folders in it), by name, or the one that is named.

    DatasetError when there is none.
    """
    if not root:
        raise DatasetError("dataset.root is not set; name a folder of tar shards, or one tar")
    path = Path(root).expanduser()
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DatasetError(f"dataset.root={root} does not exist; name a folder of tar shards, or one tar")
    try:
        tars = sorted(entry for entry in path.iterdir() if entry.suffix == ".tar")
    except OSError as error:
        raise DatasetError(f"{root} cannot be listed ({error.strerror}); check its permissions") from error
    if not tars:
        raise DatasetError(f"dataset.root={root} holds no .tar file; name the folder that img2dataset wrote")
    return tars


class _Shards:
    """The images of all tars, by one row number."""

    def __init__(self, listings: Sequence[Listing]) -> None:
        self.tars = [listing.tar for listing in listings]
        self.prints = [tar.fingerprint for tar in self.tars]
        self.stems = [id_of(tar.path.name.removesuffix(".tar")) for tar in self.tars]
        self.names = [listing.images["name"] for listing in listings]
        self.starts = np.cumsum([0, *(len(names) for names in self.names)], dtype=np.int64)
        self.n = int(self.starts[-1])
        self.offsets, self.sizes, self.mtimes = (
            np.concatenate([listing.images[column].to_numpy() for listing in listings])
            for column in ("offset", "size", "mtime")
        )

    def place(self, row: int) -> tuple[int, str]:
        """The tar and the member's name."""
        tar = int(np.searchsorted(self.starts, row, side="right")) - 1
        return tar, self.names[tar][row - int(self.starts[tar])].as_py()

    def id(self, row: int) -> str:
        tar, name = self.place(row)
        return f"{self.stems[tar]}/{name}"

    def location(self, row: int) -> str:
        tar, name = self.place(row)
        return f"{printable(os.fspath(self.tars[tar].path))}, member {name}"

    def fingerprint(self, row: int) -> str:
        tar, _ = self.place(row)
        return f"{self.sizes[row]:x}-{self.offsets[row]:x}-{self.mtimes[row]:x}-{self.prints[tar]}"

    def read(self, row: int) -> bytes:
        """The member's bytes; ImageError when the tar is no longer what was listed. Thread-safe."""
        tar = self.tars[int(np.searchsorted(self.starts, row, side="right")) - 1]
        size = int(self.sizes[row])
        if size > LARGEST_IMAGE_BYTES:
            raise ImageError(f"{size:,} bytes are too many for one image in a tar")
        try:
            with tar.path.open("rb") as file:
                status = os.fstat(file.fileno())
                if (status.st_size, status.st_mtime_ns) != (tar.size, tar.mtime_ns):
                    raise ImageError("its tar has changed since it was listed")
                return os.pread(file.fileno(), size, int(self.offsets[row]))
        except OSError as error:
            raise ImageError(error.strerror or type(error).__name__) from error


def _of_rows(values: Annotations, rows: Rows) -> Annotations:
    return None if values is None else [values[row] for row in rows.tolist()]
