"""SBU Captions (Ordonez et al., 2011) as it is extracted: a million photos by number, and their captions.

The photo of line i of the annotations is ``{i // 1000:04}/{i % 1000:03}.jpg``. Most of the links behind the
collection have died, so that photos are missing in every copy of it: a missing one is not a row of the set.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lookalike import schemas
from lookalike.datasets.folder import files_as_images
from lookalike.datasets.ids import LazyTexts, nested_sample, printable
from lookalike.datasets.sets import ImageSet
from lookalike.datasets.source import Source, expand_root
from lookalike.datasets.table import MARKS, SAVE_AS_UTF8
from lookalike.errors import DatasetError, foreign_parser
from lookalike.progress import SILENT, Progress
from lookalike.store.store import Store

FOLDER_ROWS = 1000
"""Photos of one folder."""
JSON_NAME = "sbu-captions-all.json"
LINES_NAME = "SBU_captioned_photo_dataset_captions.txt"
URLS_NAME = "SBU_captioned_photo_dataset_urls.txt"
"""Beside the captions, line by line; read only to see that no line is lost."""
SCANNERS = 16
"""Folders listed at once: on a network file system each listing waits for the server."""

Rows = npt.NDArray[np.int64]


class SbuCaptionsSource(Source[schemas.SbuCaptionsDataset]):
    """SBU Captions: a million photos by number, and their captions."""

    def open(self, progress: Progress = SILENT, store: Store | None = None) -> ImageSet:
        """Return the photos that are there, in the order of the annotations, with their captions.

        Ids are the paths below ``config.root``. Photos that the annotations know and the folders do not hold
        are counted in a notice and in ``missing``. Raises DatasetError when there is no photo at all, no
        annotation file, or one that is not as published.
        """
        config = self.config
        root = expand_root(config.root, "dataset.root")
        file = find_annotations(root, config.annotations)
        captions, spelled_out = read_captions(file)
        there = _photos(root, progress)
        known = there[there < len(captions)]
        if not len(known):
            raise DatasetError(
                f"{root} holds none of the photos 0000/000.jpg … that {file.name} describes; name the folder "
                "that holds the folders 0000 to 0999"
            )
        found = LazyTexts(len(known), lambda row: photo_path(int(known[row])))
        rows = known[nested_sample(found, config.limit, config.seed, "dataset")]
        folder = printable(os.fspath(root))
        ids = LazyTexts(len(rows), lambda row: photo_path(int(rows[row])))
        images = files_as_images(
            ids,
            LazyTexts(len(rows), lambda row: f"{root}/{ids[row]}"),
            LazyTexts(len(rows), lambda row: f"{folder}/{ids[row]}"),
            config,
            progress,
        )
        return replace(
            images,
            captions=[captions[row] for row in rows.tolist()],
            notices=tuple(_notices(len(captions), len(known), len(there) - len(known), spelled_out, file)),
            missing=len(captions) - len(known),
        )

    def count(self, progress: Progress = SILENT, store: Store | None = None) -> int:
        """Return how many photos the folders hold; DatasetError when these cannot be listed."""
        config = self.config
        return len(_photos(expand_root(config.root, "dataset.root"), progress))

    def faults(self) -> list[str]:
        try:
            find_annotations(expand_root(self.config.root, "dataset.root"), self.config.annotations)
        except DatasetError as error:
            return [str(error)]
        return []

    def annotation_fault(self, kind: str) -> str | None:
        if kind == "captions":
            return None
        return f"{kind}, which dataset={self.config.name} does not have; choose queries=captions"


def photo_path(row: int) -> str:
    """The photo of a line of the annotations, counted from 0, relative to the folder of all."""
    return f"{row // FOLDER_ROWS:04}/{row % FOLDER_ROWS:03}.jpg"


def find_annotations(root: Path, named: str | None) -> Path:
    """Return the file of captions: ``named`` (relative to ``root`` unless absolute), or one of the published
    names in ``root`` or the folder above. DatasetError when there is none.
    """
    if named:
        file = root / Path(named).expanduser()
        if not file.is_file():
            raise DatasetError(f"dataset.annotations={named} does not exist in {root}; name a file")
        return file
    above = root.resolve().parent
    for file in (folder / name for folder in (root, above) for name in (JSON_NAME, LINES_NAME)):
        if file.is_file():
            return file
    raise DatasetError(
        f"neither {JSON_NAME} nor {LINES_NAME} is in {root} or above it; put one there, or name it: "
        "dataset.annotations=FILE"
    )


def read_captions(file: Path) -> tuple[list[str | None], int]:
    """Return the caption of every line, without blanks around it, None where it is empty; and how many are
    not UTF-8: their odd bytes are spelled out.

    ``file``: one JSON object of parallel lists (``.json``), or text whose lines end in ``\\n`` and nothing
    else. Raises DatasetError when it is not, or when the urls beside the text have another number of lines.
    """
    with foreign_parser(f"{file} cannot be read", "download it again"):
        content = file.read_bytes()
        if file.suffix.lower() == ".json":
            captions, spelled_out = _from_json(content, file), 0
        else:
            captions, spelled_out = _from_lines(content, file)
    return [caption.strip() or None for caption in captions], spelled_out


def _from_json(content: bytes, file: Path) -> Sequence[str]:
    lists = _parallel_lists(content, file)
    lengths = {name: len(values) for name, values in lists.items()}
    captions = lists.get("captions")
    if captions is None or not all(isinstance(caption, str) for caption in captions):
        raise DatasetError(f"{file} has no list of texts called captions; use {JSON_NAME} as published")
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{length:,} {name}" for name, length in lengths.items())
        raise DatasetError(f"the lists of {file} are not parallel ({listed}); download it again")
    return captions


def _parallel_lists(content: bytes, file: Path) -> dict[str, list[Any]]:
    with foreign_parser(f"{file} is not whole JSON", "download it again"):
        annotations = json.loads(content, object_pairs_hook=_each_name_once)
    if not isinstance(annotations, dict):
        raise DatasetError(f"{file} is not one object of parallel lists; use {JSON_NAME} as published")
    return {name: values for name, values in annotations.items() if isinstance(values, list)}


def _each_name_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """As ``dict``, which would keep the last of several."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name in found if sum(other == name for other, _ in pairs) > 1)
        raise ValueError(f"it has several lists called {twice}")
    return found


def _from_lines(content: bytes, file: Path) -> tuple[Sequence[str], int]:
    """Lines end at ``\\n``: what else Unicode calls a line break is part of a caption."""
    for mark, encoding in MARKS:
        if content.startswith(mark):
            content = content.decode(encoding).encode()
            break
    captions = _lines(content)
    urls = file.with_name(URLS_NAME)
    if urls.is_file() and (count := len(_lines(urls.read_bytes()))) != len(captions):
        raise DatasetError(
            f"{file} has {len(captions):,} lines and {urls.name} {count:,}, so captions would be those of "
            "other photos; download both again"
        )
    spelled_out = 0
    texts = []
    for line in captions:
        try:
            texts.append(line.decode("utf-8"))
        except UnicodeDecodeError:
            texts.append(line.decode("utf-8", "backslashreplace"))
            spelled_out += 1
    return texts, spelled_out


def _lines(content: bytes) -> list[bytes]:
    lines = content.split(b"\n")
    return lines[:-1] if lines[-1] == b"" else lines


def _photos(root: Path, progress: Progress) -> Rows:
    """Rows of the photos that are there, ascending: each folder is listed once, and no photo is looked at."""
    folders = [name for name in _names(root, r"\d{4}") if (root / name).is_dir()]
    with ThreadPoolExecutor(SCANNERS) as pool, progress.bar("listing photos", len(folders), "folders") as bar:
        rows: list[int] = []
        for folder, names in zip(
            folders, pool.map(lambda one: list(_names(root / one, r"\d{3}\.jpg")), folders), strict=True
        ):
            rows += (FOLDER_ROWS * int(folder) + int(name[:3]) for name in names)
            bar.advance()
    return np.sort(np.array(rows, dtype=np.int64))


def _names(folder: Path, pattern: str) -> Iterator[str]:
    """Entries of ``folder`` with such a name; DatasetError when it cannot be listed."""
    wanted = re.compile(pattern, re.ASCII)
    try:
        with os.scandir(folder) as entries:
            yield from (entry.name for entry in entries if wanted.fullmatch(entry.name))
    except OSError as error:
        raise DatasetError(f"{folder} cannot be listed ({error.strerror}); check its permissions") from error


def _notices(described: int, there: int, undescribed: int, spelled_out: int, file: Path) -> Iterator[str]:
    if spelled_out:
        yield (
            f"{spelled_out:,} captions of {file.name} are not UTF-8 and hold \\x and a number for odd bytes; "
            f"{SAVE_AS_UTF8}"
        )
    if there < described:
        yield (
            f"{described - there:,} of {described:,} photos are missing, as dead links leave them; "
            f"{there:,} are there"
        )
    if undescribed:
        yield f"{undescribed:,} photos are beyond the last line of {file.name} and were left out"
