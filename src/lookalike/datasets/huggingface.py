"""Any image dataset of Hugging Face ``datasets``: saved to disk, a folder of its files, or from the hub.

The package is called ``datasets``; it is an extra, imported here when such a dataset is opened. It finds the
files and knows their types; rows are read from its memory-mapped Arrow tables and decoded as all images are.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lookalike import schemas
from lookalike.datasets.fingerprints import content_fingerprints
from lookalike.datasets.ids import LazyTexts, nested_sample
from lookalike.datasets.images import decode
from lookalike.datasets.sets import Annotations, ImageSet
from lookalike.datasets.source import Source
from lookalike.errors import DatasetError, ImageError, foreign_parser
from lookalike.progress import SILENT, Progress
from lookalike.store.store import Store

if TYPE_CHECKING:
    import pyarrow as pa

SAVED = ("state.json", "dataset_dict.json")
"""What save_to_disk leaves in a folder."""
HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")

Rows = npt.NDArray[np.int64]


class HuggingfaceSource(Source[schemas.HuggingfaceDataset]):
    """A dataset of the package ``datasets``."""

    def open(self, progress: Progress = SILENT, store: Store | None = None) -> ImageSet:
        """Return the images of one split, with captions, labels and groups of the columns that are named.

        Class labels become their names. Ids are those of ``config.ids``, else the row numbers. Raises
        DatasetError when the package is missing, when there is no such dataset, split or column, when a
        column holds no images, or when ids repeat.
        """
        config = self.config
        data = _load(config)
        table = data.data.table
        with _in_our_words(str(config.name_or_path)):
            table.validate()
        _check_columns(config, data.column_names)
        images = _Images(table, config.images or _only_image_column(data), _files_fingerprint(data))
        ids = _ids(table, config.ids)
        rows = np.array(nested_sample(ids, config.limit, config.seed, "dataset"), dtype=np.int64)
        place, max_pixels = f"{config.name_or_path}, {config.split}", config.max_pixels

        def read(row: int) -> bytes:
            return images.read(int(rows[row]))

        def column(name: str | None) -> Annotations:
            return None if name is None else _texts(data, name, rows)

        found = ImageSet(
            ids=[ids[row] for row in rows.tolist()],
            fingerprints=LazyTexts(len(rows), lambda row: images.fingerprint(int(rows[row]))),
            locations=LazyTexts(len(rows), lambda row: images.location(int(rows[row]), place)),
            load=lambda row: decode(read(row), max_pixels),
            labels=column(config.labels),
            groups=column(config.groups),
            captions=column(config.captions),
            max_bad_fraction=config.max_bad_fraction,
            shard_size=config.shard_size,
            read=read,
            size=lambda row: images.size(int(rows[row])),
            open=lambda row: io.BytesIO(read(row)),
            max_pixels=max_pixels,
        )
        if config.fingerprint == "content":
            return replace(found, fingerprints=content_fingerprints(found, progress))
        return found

    def count(self, progress: Progress = SILENT, store: Store | None = None) -> int:
        """Return the rows of the split: of a dataset of the hub as its info tells them, where it does.

        Raises DatasetError as :func:`open_huggingface` does for the dataset.
        """
        config = self.config
        source = find_source(config)
        if isinstance(source, str):
            package = _package()
            with _quiet(package), _in_our_words(source):
                builder = package.load_dataset_builder(source, config.subset, revision=config.revision)
                announced = (builder.info.splits or {}).get(config.split)
            if announced is not None and announced.num_examples:
                return int(announced.num_examples)
        return len(_load(config))

    def faults(self) -> list[str]:
        try:
            find_source(self.config)
        except DatasetError as error:
            return [str(error)]
        return []

    def annotation_fault(self, kind: str) -> str | None:
        return None if getattr(self.config, kind) else f"dataset.{kind}; set it to a column of the dataset"


class _Images:
    """The cells of one column: bytes and path, as the feature Image stores them, or bytes alone."""

    def __init__(self, table: pa.Table, name: str, files: str) -> None:
        import pyarrow as pa

        self.column, self.files = table.column(name), files
        kind = self.column.type
        self.structs = pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0
        if not (self.structs or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
            raise DatasetError(
                f"dataset.images={name} holds {kind}, no images; name a column of encoded images, such as "
                "the feature Image of the package datasets"
            )

    def read(self, row: int) -> bytes:
        """The encoded image; ImageError when there is none. Thread-safe."""
        with foreign_parser("the cell cannot be read", "write the dataset again", ImageError):
            content, path = self._cell(row)
            if content is not None:
                return bytes(content.as_py())
            if path is None:
                raise ImageError("the cell is empty")
            file = Path(path)
            if not file.is_file():  # a device would never end
                raise ImageError(f"{path} is not a file of this machine")
            return file.read_bytes()

    def size(self, row: int) -> int:
        """Bytes of the encoded image; 0 when there is none."""
        content, path = self._cell(row)
        if content is not None:
            return int(content.as_buffer().size)
        status = _status(path)
        return 0 if status is None else status.st_size

    def fingerprint(self, row: int) -> str:
        """By the dataset's files and the row in them; of an image in a file of its own, by that as well.

        None of them by its place: a cache that was moved or copied is the same dataset.
        """
        content, path = self._cell(row)
        status = None if content is not None else _status(path)
        own = "" if status is None else f"-{status.st_mtime_ns:x}"
        return f"{self.size(row):x}-{row:x}{own}-{self.files}"

    def location(self, row: int, place: str) -> str:
        """The image's own file, or the dataset (``place``) and the row in it."""
        content, path = self._cell(row)
        return f"{place}, row {row}" if content is not None or path is None else path

    def _cell(self, row: int) -> tuple[Any, str | None]:
        """The bytes as an Arrow scalar, not copied, and the path; None for what is not there."""
        cell = self.column[row]
        if not cell.is_valid:
            return None, None
        if not self.structs:
            return cell, None
        content = cell["bytes"]
        path = cell["path"].as_py() if "path" in cell else None
        return (content if content.is_valid else None), path


def _status(path: str | None) -> os.stat_result | None:
    try:
        return None if path is None else Path(path).stat()
    except (OSError, ValueError):
        return None


def _load(config: schemas.HuggingfaceDataset) -> Any:
    """The split as a ``datasets.Dataset``; no code of the dataset's own is ever run."""
    source = find_source(config)
    package = _package()
    with _quiet(package), _in_our_words(source):
        if isinstance(source, Path) and any((source / name).is_file() for name in SAVED):
            return _split(package.load_from_disk(str(source)), config)
        revision = None if isinstance(source, Path) else config.revision
        return package.load_dataset(str(source), config.subset, split=config.split, revision=revision)


def find_source(config: schemas.HuggingfaceDataset) -> Path | str:
    """Return the folder that the config names, or the dataset of the hub; DatasetError when it is neither."""
    name = config.name_or_path
    if not name:
        raise DatasetError(
            "dataset.name_or_path is not set; name a folder, or a dataset of the hub: owner/name"
        )
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if path.exists() or not HUB_ID.fullmatch(name):
        fault = "is not a folder" if path.exists() else "does not exist"
        raise DatasetError(
            f"dataset.name_or_path={name} {fault}; name a folder, or a dataset of the hub: owner/name"
        )
    return name


def _package() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise DatasetError(
            "dataset=huggingface needs the package datasets; pip install 'lookalike[huggingface]'"
        ) from error
    if not hasattr(datasets, "load_from_disk"):
        place = getattr(datasets, "__file__", None) or next(iter(datasets.__path__))
        raise DatasetError(
            f"{place} takes the place of the package datasets; run lookalike elsewhere, or rename it"
        )
    return datasets


def _split(saved: Any, config: schemas.HuggingfaceDataset) -> Any:
    """The split of what was saved: a dataset that was saved alone has no other."""
    if not isinstance(saved, dict):
        return saved
    if config.split not in saved:
        raise DatasetError(
            f"{config.name_or_path} has no split {config.split}; set dataset.split to one of "
            f"{', '.join(saved)}"
        )
    return saved[config.split]


@contextmanager
def _quiet(package: Any) -> Iterator[None]:
    """Turn off the package's progress bars, which would draw over ours."""
    bars = package.are_progress_bars_disabled()
    package.disable_progress_bars()
    try:
        yield
    finally:
        if not bars:
            package.enable_progress_bars()


@contextmanager
def _in_our_words(source: Path | str) -> Iterator[None]:
    """The package raises nearly anything; its first line is the reason."""
    what = "its files" if isinstance(source, Path) else "the name, dataset.revision"
    cure = f"check {what}, dataset.subset and dataset.split"
    with foreign_parser(f"{source} cannot be opened as a dataset", cure):
        try:
            yield
        except ConnectionError as error:
            raise DatasetError(
                f"{source} is not on this machine and the hub cannot be reached ({_first_line(error)}); open "
                "it once while online, which keeps it in the hub's cache, or set dataset.name_or_path to a "
                "folder"
            ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _check_columns(config: schemas.HuggingfaceDataset, present: Sequence[str]) -> None:
    settings = ("images", "captions", "labels", "groups", "ids")
    missing = [
        f"dataset.{setting}={column}"
        for setting in settings
        if (column := getattr(config, setting)) and column not in present
    ]
    if missing:
        raise DatasetError(
            f"{', '.join(missing)} is not a column of {config.name_or_path}, which has {', '.join(present)}"
        )


def _only_image_column(data: Any) -> str:
    package = _package()
    found = [name for name, feature in data.features.items() if isinstance(feature, package.Image)]
    if len(found) != 1:
        raise DatasetError(
            f"the columns of images are {', '.join(found) or 'none'}, of {', '.join(data.column_names)}; "
            "name one with dataset.images="
        )
    return str(found[0])


def _ids(table: pa.Table, column: str | None) -> Sequence[str]:
    if column is None:
        return LazyTexts(len(table), str)
    with foreign_parser(f"the column {column} cannot be read", "write the dataset again"):
        values = table.column(column)
        values.validate(full=True)
        ids = [None if value is None else str(value) for value in values.to_pylist()]
    if None in ids:
        raise DatasetError(f"row {ids.index(None)} has no {column}; set dataset.ids to a column without gaps")
    if len(set(ids)) < len(ids):
        raise DatasetError(
            f"the values of {column} repeat; set dataset.ids=null, or to a column of unique ids"
        )
    return [str(id_) for id_ in ids]


def _texts(data: Any, column: str, rows: Rows) -> list[str | None]:
    """A column as texts: class labels by name, of several texts in a cell the first."""
    names = getattr(data.features[column], "names", None)
    values = data.data.table.column(column)

    def text(value: Any) -> str | None:
        if isinstance(value, list):
            value = value[0] if value else None
        if value is None or value == "":
            return None
        if names is not None and isinstance(value, int):
            return str(names[value]) if 0 <= value < len(names) else None  # −1: not labelled
        return str(value)

    with foreign_parser(f"the column {column} cannot be read", "write the dataset again"):
        values.validate(full=True)
        return [text(values[row].as_py()) for row in rows.tolist()]


def _files_fingerprint(data: Any) -> str:
    """Changes when one of the dataset's Arrow files does, not when all of them move."""
    digest = hashlib.blake2b(digest_size=8)
    for file in data.cache_files:
        path = Path(file["filename"])
        status = path.stat()
        digest.update(f"{path.name}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    return digest.hexdigest()
