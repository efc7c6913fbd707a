"""The edits of the ``copies`` protocol: what happens to images on their way through the web.

An edit is a pure function of an RGB image and a seeded generator. Strengths are relative to the image's size,
so that an edit does as much to a 72 px emoji as to a photo, and chosen to be neither trivial nor hopeless.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

Edit = Callable[[Image.Image, np.random.Generator], Image.Image]

EDITS_VERSION = 1
"""Raised whenever an edited image looks different from before; part of every copy's fingerprint."""

WORKING_SIDE = 1024
"""Longer images are scaled down to this side first: no model sees more, and every edit would take seconds."""


def fit(image: Image.Image) -> Image.Image:
    """Return the image, scaled down to ``WORKING_SIDE`` if it is larger."""
    scale = WORKING_SIDE / max(image.size)
    return image if scale >= 1 else _scaled(image, scale, scale)


def crop(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """Keep a rectangle of 60 % of the area and the same proportions, anywhere."""
    width, height = (max(1, round(side * 0.6**0.5)) for side in image.size)
    left = int(random.integers(image.width - width + 1))
    top = int(random.integers(image.height - height + 1))
    return image.crop((left, top, left + width, top + height))


def resize(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """Shrink to 40 % of the sides, and one of them, at random, to 75 % of that: small and squeezed."""
    across, down = (0.3, 0.4) if random.integers(2) else (0.4, 0.3)
    return _scaled(image, across, down)


def rotate(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """Turn by 15 to 25 degrees either way; nothing is cut off, the corners are filled with white."""
    angle = random.uniform(15, 25) * random.choice([-1, 1])
    return image.rotate(angle, Image.Resampling.BICUBIC, expand=True, fillcolor="white")


def jpeg(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """Save at a JPEG quality of 10 to 25: visible blocks, ringing and smeared colours."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=int(random.integers(10, 26)))
    return Image.open(file, formats=["JPEG"]).convert("RGB")


def blur(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """Gaussian blur with a radius of 2 to 3 % of the shorter side."""
    return image.filter(ImageFilter.GaussianBlur(min(image.size) * random.uniform(0.02, 0.03)))


def colour(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """Fade (saturation, contrast and brightness) and tint, as an old print or a filter does."""
    faded = ImageEnhance.Color(image).enhance(random.uniform(0.2, 0.5))
    faded = ImageEnhance.Contrast(faded).enhance(random.uniform(0.5, 0.75))
    faded = ImageEnhance.Brightness(faded).enhance(random.uniform(0.8, 1.15))
    tint = random.uniform(0.75, 1.1, size=3)
    tinted = np.asarray(faded, dtype=np.float64) * tint
    return Image.fromarray(np.rint(tinted.clip(0, 255)).astype(np.uint8))


def overlay(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """Cover a band of 30 % of the height, at the top or the bottom, with lines of something like text.

    Drawn without a font, so that it looks the same on every machine.
    """
    covered = image.copy()
    draw = ImageDraw.Draw(covered)
    width, height = image.size
    band = max(1, round(0.3 * height))
    top = int(random.choice([0, height - band]))
    paper, ink = ("white", "black") if random.integers(2) else ("black", "white")
    draw.rectangle((0, top, width - 1, top + band - 1), fill=paper)
    for line in (0.2, 0.6):
        upper, lower = top + band * line, top + band * (line + 0.25)
        left = 0.05 * width
        while left < 0.85 * width:
            word = random.uniform(0.06, 0.2) * width
            draw.rectangle((left, upper, min(left + word, 0.95 * width), lower), fill=ink)
            left += word + 0.035 * width
    return covered


EDITS: Mapping[str, Edit] = MappingProxyType(
    {edit.__name__: edit for edit in (crop, resize, rotate, jpeg, blur, colour, overlay)}
)
"""Every edit by the name that ``queries.edits`` calls it."""


def _scaled(image: Image.Image, across: float, down: float) -> Image.Image:
    size = (max(1, round(image.width * across)), max(1, round(image.height * down)))
    return image.resize(size, Image.Resampling.BICUBIC)
