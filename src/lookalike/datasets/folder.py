"""A folder tree of image files: scanned once, sampled, labelled by its folders or by a table beside it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from PIL import Image

from lookalike import schemas
from lookalike.datasets.fingerprints import content_fingerprints, stat_fingerprints
from lookalike.datasets.ids import Names, id_of, nested_sample, printable
from lookalike.datasets.images import (
    EXTENSIONS,
    HEIC_CURE,
    HEIC_EXTENSIONS,
    PREFIX_BYTES,
    UNREADABLE_EXTENSIONS,
    decode,
    looks_like_an_image,
    open_file,
    reads_heic,
)
from lookalike.datasets.sets import Annotations, ImageSet
from lookalike.datasets.source import Source, expand_root, root_fault
from lookalike.datasets.table import read_columns
from lookalike.errors import DatasetError
from lookalike.progress import SILENT, Progress
from lookalike.store.store import Store

FOLDER_LABELS = "folder"
"""The value of ``dataset.labels`` that means: the name of the image's folder."""


class FolderSource(Source[schemas.FolderDataset]):
    """Image files below a folder, and a table beside them."""

    def open(self, progress: Progress = SILENT, store: Store | None = None) -> ImageSet:
        """Return the images below ``config.root`` with what ``config.table`` says of them.

        Images that the table does not name have no label, group or caption, or, with ``config.table_only``,
        are left out, before ``config.limit`` counts. Raises DatasetError when the root is unset, missing or
        holds no image, and for the table's faults (see :func:`_annotate`).
        """
        config = self.config
        root = expand_root(config.root, "dataset.root")
        images = scan_images(root, replace(config, limit=None) if config.table_only else config, progress)
        if config.labels == FOLDER_LABELS:
            images = replace(images, labels=[_folder_of(id_, root) for id_ in images.ids])
        columns = {
            kind: column
            for kind, column in (
                ("labels", None if config.labels == FOLDER_LABELS else config.labels),
                ("groups", config.groups),
                ("captions", config.captions),
            )
            if column is not None
        }
        if not config.table_only:
            return _annotate(images, root, columns, config) if columns else images
        images = _annotate(images, root, columns, config)
        return images.take(nested_sample(images.ids, config.limit, config.seed, "dataset"))

    def count(self, progress: Progress = SILENT, store: Store | None = None) -> int:
        if self.config.table_only:
            return len(FolderSource(replace(self.config, limit=None)).open(progress))
        root = expand_root(self.config.root, "dataset.root")
        with progress.bar("listing images", None, "images"):
            return count_images(root)

    def faults(self) -> list[str]:
        fault = root_fault(self.config.root, "a folder of images", "~/Pictures")
        if not self.config.root:
            return [fault] if fault else []
        return [*([fault] if fault else []), *_table_faults(self.config)]

    def annotation_fault(self, kind: str) -> str | None:
        if getattr(self.config, kind):
            return None
        folders = "folder (the names of the images' folders) or " if kind == "labels" else ""
        return f"dataset.{kind}; set it to {folders}a column of dataset.table"


def _table_faults(config: schemas.FolderDataset) -> Iterator[str]:
    columns = {"labels": config.labels, "groups": config.groups, "captions": config.captions}
    for name, column in columns.items():
        if column and not config.table and not (name == "labels" and column == FOLDER_LABELS):
            folders = ", or dataset.labels=folder for the names of folders" if name == "labels" else ""
            yield (
                f"dataset.{name}={column} is a column of no table; set dataset.table to a CSV or "
                f"parquet{folders}"
            )
    if config.table_only and not config.table:
        yield "dataset.table_only=true needs a table; set dataset.table to a CSV or parquet"
    if (
        config.table
        and not (Path(config.root or "").expanduser() / Path(config.table).expanduser()).is_file()
    ):
        yield f"dataset.table={config.table} does not exist in dataset.root; name a CSV or parquet file"


def scan_images(root: Path, config: schemas.ImageDataset, progress: Progress = SILENT) -> ImageSet:
    """Return the image files below ``root``, sorted by id, sampled down to ``config.limit``.

    Hidden files and folders are skipped; links are followed, but not into a folder that contains them. A
    fingerprint is made of size and mtime_ns (``config.fingerprint=stat``) or of the bytes (``content``),
    never of the root: a folder that moves keeps its ids and fingerprints. Raises DatasetError when there is
    no image.
    """
    scan = _Scan()
    found = sorted((id_of(path), path) for path in scan.walk(str(root), "", frozenset()))
    if not found:
        which = " that can be read" if scan.left_out else ""
        raise DatasetError(f"{root} holds no images{which} ({scan.what_was_seen()}); {scan.cure()}")
    kept = nested_sample([id_ for id_, _ in found], config.limit, config.seed, "dataset")
    ids = [found[row][0] for row in kept]
    paths = [os.path.join(root, found[row][1]) for row in kept]  # noqa: PTH118 (Path costs 5 µs a file)
    images = files_as_images(ids, paths, [printable(path) for path in paths], config, progress)
    return replace(images, notices=tuple(scan.notices()))


def files_as_images(
    ids: Sequence[str],
    paths: Sequence[str],
    locations: Sequence[str],
    config: schemas.ImageDataset,
    progress: Progress = SILENT,
) -> ImageSet:
    """Return the image files of ``paths`` as a set, with the fingerprints that ``config`` asks for."""
    max_pixels = config.max_pixels

    def load(row: int) -> Image.Image:
        return decode(Path(paths[row]), max_pixels)

    images = ImageSet(
        ids=ids,
        fingerprints=[],
        locations=locations,
        load=load,
        max_bad_fraction=config.max_bad_fraction,
        shard_size=config.shard_size,
        size=lambda row: os.stat(paths[row]).st_size,  # noqa: PTH116
        open=lambda row: open_file(paths[row]),
        max_pixels=max_pixels,
    )
    fingerprints = (
        content_fingerprints(images, progress)
        if config.fingerprint == "content"
        else stat_fingerprints(paths, images.content_hash)
    )
    return replace(images, fingerprints=fingerprints)


def count_images(root: Path) -> int:
    """Return how many image files lie below ``root``, a listing; DatasetError when there is none."""
    return sum(1 for _ in _Scan().walk(str(root), "", frozenset()))


WITHOUT_ENDING = "without an ending"
LONGEST_ENDING = 12
"""Characters; what is longer behind a dot is part of a name."""
MOST_KINDS = 6
"""Endings that a message names."""


@dataclass
class _Scan:
    """One walk through a tree, and what it left out."""

    heic: bool = field(default_factory=reads_heic)
    """Whether HEIC files are images that can be read."""
    seen: int = 0
    unreadable_folders: int = 0
    loops: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    """Images that cannot be read, by the ending of their names."""
    others: Counter[str] = field(default_factory=Counter)
    """Files that are not images, by the ending of their names."""

    def walk(self, folder: str, prefix: str, above: frozenset[tuple[int, int]]) -> Iterator[str]:
        """Yield the images' paths relative to the tree's root, in no particular order."""
        folders = []
        try:
            status = os.stat(folder)  # noqa: PTH116
            here = (status.st_dev, status.st_ino)
            if here in above:
                self.loops += 1
                return
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir():
                        folders.append(entry)
                    elif self._is_image(entry):
                        yield prefix + entry.name
        except OSError:
            if not above:
                raise DatasetError(f"{folder} cannot be listed; check its permissions") from None
            self.unreadable_folders += 1
        for entry in folders:
            yield from self.walk(entry.path, f"{prefix}{entry.name}/", above | {here})

    def _is_image(self, entry: os.DirEntry[str]) -> bool:
        if not entry.is_file():
            return False
        self.seen += 1
        extension = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122
        if extension in EXTENSIONS and (self.heic or extension not in HEIC_EXTENSIONS):
            return True
        if extension in EXTENSIONS | UNREADABLE_EXTENSIONS:
            self.left_out[extension] += 1
        elif len(extension) > LONGEST_ENDING or not extension[1:].isalnum():
            kind = self.left_out if _begins_like_an_image(entry.path) else self.others
            kind[WITHOUT_ENDING] += 1
        else:
            self.others[extension] += 1
        return False

    def what_was_seen(self) -> str:
        """``12 files seen: 10 .heic, 2 .txt``."""
        kinds = f": {_counted(self.left_out + self.others)}" if self.seen else ""
        return f"{self.seen:,} {'file' if self.seen == 1 else 'files'} seen{kinds}"

    def cure(self) -> str:
        """What to do about the images that cannot be read; what to do without any."""
        if not self.left_out:
            return "name another folder"
        cures = []
        if not self.heic and HEIC_EXTENSIONS & self.left_out.keys():
            cures.append(f"{HEIC_CURE} to have .heic read")
        if WITHOUT_ENDING in self.left_out:
            cures.append("give images without an ending their own: .jpg, .png")
        if UNREADABLE_EXTENSIONS & self.left_out.keys():
            cures.append("convert the others to JPEG or PNG" if cures else "convert them to JPEG or PNG")
        return ", ".join(cures)

    def notices(self) -> Iterator[str]:
        if self.left_out:
            count = self.left_out.total()
            yield (
                f"{count:,} {'image was' if count == 1 else 'images were'} left out "
                f"({_counted(self.left_out)}); {self.cure()}"
            )
        if self.unreadable_folders:
            yield f"{self.unreadable_folders:,} folders could not be listed; check their permissions"
        if self.loops:
            link = "link" if self.loops == 1 else "links"
            yield f"{self.loops:,} {link} to a folder above, which would lead round in a circle: not followed"


def _counted(kinds: Counter[str]) -> str:
    """``10 .heic, 2 .txt and 5 more``."""
    named = sorted(kinds.items(), key=lambda kind: (-kind[1], kind[0]))[:MOST_KINDS]
    rest = kinds.total() - sum(count for _, count in named)
    return ", ".join(f"{count:,} {kind}" for kind, count in named) + (f" and {rest:,} more" if rest else "")


def _begins_like_an_image(path: str) -> bool:
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return looks_like_an_image(file.read(PREFIX_BYTES))
    except OSError:
        return False


def _folder_of(id_: str, root: Path) -> str:
    return PurePosixPath(id_).parent.name or root.resolve().name


def _annotate(
    images: ImageSet, root: Path, columns: dict[str, str], config: schemas.FolderDataset
) -> ImageSet:
    """Add the table's ``columns`` (labels, groups, captions -> column name) to the images.

    A table may write names composed or decomposed, see :class:`Names`. Raises DatasetError when the table or
    a column is missing, when it names an image twice, or when it names
    none of the images. Rows without an image and images without a row are a notice.
    """
    if not config.table:
        only = {"table_only": "true"} if config.table_only else {}
        settings = " ".join(f"dataset.{kind}={column}" for kind, column in (columns | only).items())
        raise DatasetError(f"{settings} needs a table; name a CSV or parquet file with dataset.table=")
    table = root / Path(config.table).expanduser()
    path_column = config.table_path_column
    values = read_columns(table, [path_column, *columns.values()])
    names = Names(images.ids)
    row_of: dict[str, int] = {}
    for row, named in enumerate(values[path_column]):
        if named is None:
            continue
        id_ = names.find(named) or names.find(relative := _relative(named, root)) or relative
        if row_of.setdefault(id_, row) != row:
            rows = f"rows {row_of[id_] + 1} and {row + 1}"
            raise DatasetError(f"{table} names {id_} twice ({rows}); keep one of them")
    matched = [row_of.get(id_) for id_ in images.ids]
    without_row = matched.count(None)
    if without_row == len(images):
        example = next(iter(row_of), "nothing")
        raise DatasetError(
            f"{table} names none of the images: its column {path_column} holds {example}, the images are "
            f"called {images.ids[0]}; write paths relative to {root}, or set dataset.table_path_column"
        )
    notices = list(images.notices)
    if without_row and config.table_only:
        notices.append(
            f"{without_row:,} of {len(images):,} images have no row in {table.name} and were left out "
            "(dataset.table_only)"
        )
        images = images.take([place for place, row in enumerate(matched) if row is not None])
        matched = [row for row in matched if row is not None]
    elif without_row:
        notices.append(f"{without_row:,} of {len(images):,} images have no row in {table.name}")
    without_image = len(row_of) - (len(matched) - matched.count(None))
    if without_image and config.limit is None:
        notices.append(f"{without_image:,} rows of {table.name} name no image below {root}")
    annotations: dict[str, Annotations] = {
        kind: [None if row is None else values[column][row] for row in matched]
        for kind, column in columns.items()
    }
    return replace(
        images,
        labels=annotations.get("labels", images.labels),
        groups=annotations.get("groups"),
        captions=annotations.get("captions"),
        notices=tuple(notices),
    )


def _relative(named: str, root: Path) -> str:
    """``./a//b.jpg``, ``a\\b.jpg`` and the absolute path all mean ``a/b.jpg``."""
    path = os.path.normpath(named.replace("\\", "/"))
    if os.path.isabs(path):  # noqa: PTH117
        path = os.path.relpath(path, root.absolute())
    return PurePosixPath(path).as_posix()
