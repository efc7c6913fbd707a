"""What `lookalike index info` says, of sound files and of others."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from lookalike.errors import IndexingError
from lookalike.index.description import describe
from lookalike.index.files import write_index
from lookalike.index.probing import probe
from lookalike.machine.environment import threads
from tests.index.galleries import D, clustered

GALLERY = clustered(1200)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with threads(1):
        yield


def filled(factory: str, metric: int = faiss.METRIC_L2) -> Any:
    index = faiss.index_factory(D, factory, metric)
    index.train(GALLERY)
    if factory.startswith("IDMap"):
        index.add_with_ids(GALLERY, np.arange(len(GALLERY)) * 3)
    else:
        index.add(GALLERY)
    return index


@pytest.mark.parametrize(
    ("factory", "expected"),
    [
        ("Flat", {"code_bytes": 4 * D, "dimensions": D}),
        ("IVF8,Flat", {"nlist": 8, "code_bytes": 4 * D, "defaults": {"nprobe": 1}, "empty_lists": 0}),
        ("IVF8_HNSW8,SQ8", {"coarse_quantiser": "HNSW8,Flat", "scalar_quantiser": "8", "code_bytes": D}),
        ("IVF8(PQ4x3),SQfp16", {"coarse_quantiser": "PQ4x3", "code_bytes": 2 * D}),
        ("PQ8x6np", {"pq_m": 8, "pq_bits": 6, "code_bytes": 6}),
        ("IVF8,PQ8x4fs", {"pq_m": 8, "pq_bits": 4}),
        ("HNSW8,Flat", {"hnsw_m": 8, "ef_construction": 40, "defaults": {"ef_search": 16}}),
        ("IVF8,PQ8x4fs,Refine(SQ8)", {"refine": "SQ8", "defaults": {"k_factor": 1.0, "nprobe": 1}}),
        ("IVF8,SQ8,RefinePanorama(FlatL2Panorama8_1)", {"refine": "FlatL2Panorama8_1"}),
        ("IVF8,FlatPanorama4_32", {"nlist": 8}),
        ("PCA8,IVF8,SQ4", {"transforms": ["PCA8"], "dimensions": D}),
        ("PCA12,SQ8", {"transforms": ["PCA12"], "code_bytes": 12}),
        ("RR16,IVF8,RaBitQ4", {"transforms": ["RR16"], "nlist": 8}),
        ("IDMap,Flat", {"id_map": True}),
        ("IMI2x2,Flat", {"coarse_quantiser": "IMI2x2", "nlist": 16}),
    ],
)
def test_every_kind_is_told_apart(factory: str, expected: dict[str, Any]) -> None:
    about = describe(filled(factory))
    assert {name: about[name] for name in expected} == expected
    assert about["factory"] == factory.removesuffix("np")
    assert (about["vectors"], about["metric"], about["trained"]) == (len(GALLERY), "l2", True)


def test_the_factory_string_makes_an_index_of_the_same_description() -> None:
    for factory in ("IVF8,Flat", "HNSW8,SQ8", "IVF8,RaBitQfs", "PQ8x4fs", "NSG16,Flat"):
        about = describe(filled(factory))
        assert describe(filled(about["factory"])) == about


def test_imbalance_counts_how_uneven_lists_are() -> None:
    index = filled("IVF4,Flat")
    sizes = np.array([index.invlists.list_size(number) for number in range(4)])
    about = describe(index)
    assert about["imbalance"] == pytest.approx(4 * (sizes**2).sum() / sizes.sum() ** 2, abs=1e-4)
    assert about["largest_list"] == sizes.max()
    empty = describe(faiss.index_factory(D, "IVF4,Flat"))
    assert (empty["imbalance"], empty["trained"], empty["vectors"]) == (None, False, 0)


def test_of_a_file_the_bytes_are_told_too(tmp_path: Path) -> None:
    write_index(filled("IVF8,SQ8", faiss.METRIC_INNER_PRODUCT), tmp_path / "a.faiss")
    about = probe(tmp_path / "a.faiss")
    size = (tmp_path / "a.faiss").stat().st_size
    assert (about["file_bytes"], about["bytes_per_vector"]) == (size, round(size / len(GALLERY), 1))
    assert about["metric"] == "ip"


def test_what_is_no_index_is_refused(tmp_path: Path) -> None:
    index = filled("IVF8,Flat")
    write_index(index, tmp_path / "whole")
    whole = (tmp_path / "whole").read_bytes()
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "garbage").write_bytes(np.random.default_rng(0).bytes(5000))
    for cut in (1, 7, 8, 100):
        (tmp_path / f"short by {cut}").write_bytes(whole[:-cut])
    faiss.write_index_binary(faiss.IndexBinaryFlat(64), str(tmp_path / "binary"))
    reasons = {
        "missing": "does not exist",
        ".": "is not a file",
        "empty": "is empty",
        "garbage": "Index type .* not recognized",
        **{f"short by {cut}": "it ends before all that it announces" for cut in (1, 7, 8, 100)},
        "binary": "not recognized",
    }
    for name, reason in reasons.items():
        with pytest.raises(IndexingError, match=reason):
            probe(tmp_path / name)


HUGE = struct.pack("<q", 2**40)


@pytest.mark.parametrize("factory", ["IVF8,Flat", "HNSW8,Flat", "PCA8,SQ8"])
def test_a_huge_count_anywhere_in_the_header_costs_nothing(factory: str, tmp_path: Path) -> None:
    """Refused, or harmless; never a crash, nor memory that is not there (the probe's process has a limit)."""
    write_index(filled(factory), tmp_path / "sound")
    sound = (tmp_path / "sound").read_bytes()
    refused = 0
    for place in range(4, 64, 12):
        (tmp_path / "made").write_bytes(sound[:place] + HUGE + sound[place + 8 :])
        try:
            probe(tmp_path / "made")
        except IndexingError as error:
            refused += 1
            assert "is not a FAISS index that can be read" in str(error)
    assert refused > 0


def test_a_crash_while_reading_is_told_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "faiss.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "made").write_bytes(b"x")
    with pytest.raises(IndexingError, match="reading it ended in SIGSEGV"):
        probe(tmp_path / "made")
