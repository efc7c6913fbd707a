"""Tars that were made to do harm, or damaged: what is sound in them is read."""

from __future__ import annotations

import gzip
import os
import random
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from lookalike.datasets.webdataset.headers import read_members
from lookalike.errors import DatasetError
from tests.datasets.shards import jpeg, opened, write_tar, write_two_shards


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_two_shards(tmp_path / "shards")


def header(name: str = "x.jpg", size: int = 0, kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    """One header with a right checksum, whatever it announces."""
    member = tarfile.TarInfo(name)
    member.size, member.type, member.linkname = size, kind, link
    return member.tobuf(tarfile.GNU_FORMAT)


def padded(content: bytes) -> bytes:
    return content + b"\0" * (-len(content) % 512)


GOOD = header("good.jpg", len(jpeg(1))) + padded(jpeg(1))
END = b"\0" * 1024


@pytest.mark.parametrize(
    "hostile",
    [
        header("/etc/passwd.jpg", 3) + padded(b"abc"),
        header("../../outside.jpg", 3) + padded(b"abc"),
        header("a/../../outside.jpg", 3) + padded(b"abc"),
        header("link.jpg", kind=tarfile.SYMTYPE, link="/etc/passwd"),
        header("hard.jpg", kind=tarfile.LNKTYPE, link="/etc/passwd"),
        header("hard.jpg", 512, kind=tarfile.LNKTYPE, link="good.jpg"),
        header("device.jpg", kind=tarfile.CHRTYPE),
        header("block.jpg", kind=tarfile.BLKTYPE),
        header("pipe.jpg", kind=tarfile.FIFOTYPE),
        header("odd.jpg", 3, kind=b"Z") + padded(b"abc"),
    ],
)
def test_what_is_no_file_of_the_tar_is_left_out(tmp_path: Path, hostile: bytes) -> None:
    (tmp_path / "a.tar").write_bytes(hostile + GOOD + END)
    images = opened(tmp_path)
    assert list(images.ids) == ["a/good.jpg"]
    assert images.notices == ("1 links, devices or names that lead out of their tar were left out",)


TEN_GB = 10 * 2**30


@pytest.mark.parametrize(
    ("hostile", "reason"),
    [
        (header("big.jpg", TEN_GB), "it ends inside big.jpg"),
        (header("big.txt", TEN_GB), "it ends inside big.txt"),
        (header("name", TEN_GB, tarfile.GNUTYPE_LONGNAME), "announces 10,737,418,240 bytes of names"),
        (header("pax", TEN_GB, tarfile.XHDTYPE), "announces 10,737,418,240 bytes of names"),
        (header("pax", 2**70, tarfile.XGLTYPE), "it ends"),
        (header("pax", 20, tarfile.XHDTYPE) + padded(b"99999999 path=x.jpg\n"), "longer than its header"),
        (header("pax", 12, tarfile.XHDTYPE) + padded(b"-5 path=xyz\n"), "no number where one belongs"),
        (header("pax", 12, tarfile.XHDTYPE) + padded(b"0 path=abcd\n"), "longer than its header"),
        (
            header("pax", 19, tarfile.XHDTYPE) + padded(b"19 size=9999999999\n") + header("x.jpg", 3),
            "it ends inside x.jpg",
        ),
        (b"\xff" * 512, "there is no header at byte"),
    ],
)
def test_a_header_that_announces_too_much_ends_the_tar(tmp_path: Path, hostile: bytes, reason: str) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(GOOD + hostile + padded(b"abc") + END)
    with path.open("rb") as file:
        tracemalloc.start()
        members = read_members(file, path)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert [member.name for member in members.files] == ["good.jpg"]
    assert reason in str(members.cut)
    assert peak < 2**20, "nothing is allocated for what a header promises"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "hold no images"),
        (os.urandom(4000), "is not a tar file"),
        (gzip.compress(GOOD + END), "is not a tar file; it is compressed: unpack it with gunzip"),
        (GOOD[:300], "hold no images"),
        (header("sparse.jpg", 3, tarfile.GNUTYPE_SPARSE) + padded(b"abc") + GOOD + END, "has sparse members"),
        (
            header("p", 22, tarfile.XHDTYPE) + padded(b"22 GNU.sparse.major=1\n") + GOOD + END,
            "has sparse members",
        ),
        (header("notes.txt", 3) + padded(b"abc") + END, "hold no images"),
    ],
)
def test_a_tar_that_is_none_or_has_no_image_is_an_error(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(DatasetError, match=reason):
        opened(tmp_path)


def test_any_flipped_byte_is_survived(root: Path) -> None:
    tar = root / "00000.tar"
    content, dice = tar.read_bytes(), random.Random(0)
    headers = [
        start for start in range(0, len(content), 512) if content[start + 257 : start + 262] == b"ustar"
    ]
    survived = 0
    for _ in range(300):
        damaged = bytearray(content)
        damaged[dice.choice(headers) + dice.randrange(512)] ^= 1 << dice.randrange(8)
        tar.write_bytes(damaged)
        try:
            images = opened(root)
        except DatasetError:
            continue
        survived += 1
        assert all(images.size is not None and images.size(row) <= len(content) for row in range(len(images)))
    assert survived > 0


@pytest.mark.parametrize(
    ("seconds", "kept"), [(-5, -5), (2**30, 2**30), (2**39, 2**39), (2**70, 0), (-(2**70), 0)]
)
def test_no_time_of_writing_costs_an_image(seconds: int, kept: int, tmp_path: Path) -> None:
    """Before 1970, and beyond what a 64-bit number holds: GNU tar writes both."""
    write_tar(tmp_path / "a.tar", [("x.jpg", jpeg(1))], tarfile.GNU_FORMAT, seconds)
    images = opened(tmp_path)
    assert len(images) == 1
    with (tmp_path / "a.tar").open("rb") as file:
        [member] = read_members(file, tmp_path / "a.tar").files
    assert member.mtime == kept
