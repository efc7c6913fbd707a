from __future__ import annotations

from dataclasses import asdict

import faiss
import pytest

from lookalike import schemas
from lookalike.index.families import families as all_families
from lookalike.index.families.brute_force import BruteForceIndex
from lookalike.index.families.factory import FactoryIndex, named_numbers
from lookalike.index.families.flat import FlatIndex
from lookalike.index.families.hnsw import HnswIndex
from lookalike.index.families.ivf_flat import IvfFlatIndex
from lookalike.index.families.ivf_pq import IvfPqIndex
from lookalike.index.families.ivf_pq_fastscan_refine import IvfPqFastscanRefineIndex
from lookalike.index.families.ivf_rabitq import IvfRabitqIndex
from lookalike.index.families.opq_ivf_pq import OpqIvfPqIndex
from lookalike.index.structure import blank_index
from tests.index.galleries import D, families


@pytest.mark.parametrize("config", families()[1:], ids=lambda config: config.family)
def test_faiss_makes_every_family(config: schemas.Index) -> None:
    index = blank_index(config.factory_string(D), D, "l2")
    assert index.d == D
    assert index.ntotal == 0


@pytest.mark.parametrize(
    ("config", "factory"),
    [
        (BruteForceIndex(), ""),
        (IvfFlatIndex(nlist=50), "IVF50,Flat"),
        (IvfPqIndex(nlist=50, pq_m=8, pq_bits=6), "IVF50,PQ8x6np"),
        (IvfPqFastscanRefineIndex(nlist=50, pq_m=8), "IVF50,PQ8x4fs,Refine(SQ8)"),
        (OpqIvfPqIndex(nlist=50, pq_m=8), "OPQ8_128,IVF50,PQ8x8np"),
        (OpqIvfPqIndex(nlist=50, pq_m=8, opq_d=64), "OPQ8_64,IVF50,PQ8x8np"),
        (HnswIndex(hnsw_m=16), "HNSW16,Flat"),
        (IvfRabitqIndex(nlist=50, bits=4, refine="Flat"), "RR128,IVF50,RaBitQ4,Refine(Flat)"),
        (FactoryIndex(factory="SQ4"), "SQ4"),
    ],
)
def test_factory_strings(config: schemas.Index, factory: str) -> None:
    assert config.factory_string(128) == factory


@pytest.mark.parametrize(
    ("factory", "settings", "nlist"),
    [
        ("Flat", (), None),
        ("IVF64,Flat", ("nprobe",), 64),
        ("IMI2x4,Flat", ("nprobe",), 256),
        ("HNSW32,SQ8", ("ef_search",), None),
        ("PQ16,RFlat", ("k_factor",), None),
        ("OPQ8,IVF1024_HNSW32,PQ8x4fs,Refine(SQ8)", ("nprobe", "ef_search", "k_factor"), 1024),
        ("IVF1k,Flat", ("nprobe",), 1024),
        ("IVF2M_HNSW,PQ8", ("nprobe", "ef_search"), 2 * 1024**2),
        ("HNSW,Flat", ("ef_search",), None),
        ("PCA16,HNSW8_SQ8", ("ef_search",), None),
        ("IVF1k(HNSW16),Flat", ("nprobe", "ef_search"), 1024),
        ("IVF64(IVF8,Flat),Flat", ("nprobe",), 64),
        ("IVF8,SQ8,RefinePanorama(FlatL2Panorama8_1)", ("nprobe", "k_factor"), 8),
        ("SQ8,Refine(HNSW16)", ("k_factor",), None),
        ("SQ8,Refine(IVF8,Flat)", ("k_factor",), None),
    ],
)
def test_settings_and_lists_of_a_factory_string(
    factory: str, settings: tuple[str, ...], nlist: int | None
) -> None:
    config = FactoryIndex(factory=factory)
    assert config.search_settings() == settings
    assert config.list_count() == nlist


@pytest.mark.parametrize(
    "factory",
    [
        *(
            "Flat",
            "IVF1k,Flat",
            "IVF1M_HNSW,SQ8",
            "IVF2k(HNSW8),Flat",
            "IMI2x5,PQ8",
            "OPQ8_16,IVF64,PQ8x4fsr",
        ),
        *(
            "HNSW",
            "PCA16,HNSW8,Flat",
            "IVF8,SQ8,RefinePanorama(FlatL2Panorama8_1)",
            "PQ8,Refine(PQ16)",
            "LSH",
        ),
        *("SQ8,RFlat", "IVF16(IVF4,Flat),Flat", "SQ8,Refine(HNSW16)", "IVF64_NSG16,FlatPanorama4", "NSG16"),
    ],
)
def test_a_factory_string_is_read_as_faiss_reads_it(factory: str) -> None:
    index = blank_index(factory, D, "l2")
    lists = faiss.try_extract_index_ivf(index)
    graph = faiss.downcast_index(
        index.index if "PCA" in factory else index if lists is None else lists.quantizer
    )
    config = FactoryIndex(factory=factory)
    assert config.list_count() == (lists and lists.nlist)
    assert config.search_settings() == tuple(
        name
        for name, has in {
            "nprobe": lists is not None,
            "ef_search": hasattr(graph, "hnsw"),
            "k_factor": hasattr(index, "k_factor"),
        }.items()
        if has
    )


def test_a_number_of_lists_has_one_name() -> None:
    assert named_numbers("IVF1k,Flat") == named_numbers("IVF1024,Flat")


@pytest.mark.parametrize("config", families(), ids=lambda config: config.family)
def test_sound_configs_have_no_faults(config: schemas.Index) -> None:
    assert config.faults() == []
    assert config.faults(D, 1000) == []


@pytest.mark.parametrize(
    ("config", "d", "n", "words"),
    [
        (
            FlatIndex(metric="cosine"),
            None,
            None,
            "index.metric must be one of l2, ip, not cosine",
        ),
        (IvfFlatIndex(nlist=0), None, None, "index.nlist must be a positive integer, not 0"),
        (FlatIndex(threads=-1), None, None, "index.threads must be a positive integer, not -1"),
        (IvfFlatIndex(train_size=0), None, None, "index.train_size must be a positive integer, not 0"),
        (HnswIndex(hnsw_m=1), None, None, "index.hnsw_m must be an integer from 2 to 1024, not 1"),
        (IvfRabitqIndex(bits=10), None, None, "index.bits must be an integer from 1 to 9, not 10"),
        (IvfRabitqIndex(refine="SQ3"), None, None, "index.refine must be one of SQ8, Flat, not SQ3"),
        (
            IvfPqIndex(pq_m=60),
            1280,
            None,
            "index.pq_m=60 does not divide the vectors' 1280 dimensions; try 64 or 40",
        ),
        (IvfPqIndex(pq_m=2000), 1280, None, "try 1280"),
        (
            OpqIvfPqIndex(pq_m=60, opq_d=256),
            None,
            None,
            "index.pq_m=60 does not divide index.opq_d=256; try 64 or 32",
        ),
        (
            IvfFlatIndex(nlist=512),
            D,
            300,
            "index.nlist needs 512 centroids and the gallery has 300 vectors",
        ),
        (IvfPqIndex(nlist=8, pq_m=8), D, 200, "index.pq_bits needs 256 centroids"),
        (
            IvfFlatIndex(nlist=64, train_size=50),
            D,
            300,
            "index.train_size=50 is fewer vectors; raise",
        ),
        (FactoryIndex(), None, None, "index.factory is empty"),
        (FactoryIndex(factory="IVF64"), None, None, "'index.factory=\"IVF64,Flat\"'"),
        (FactoryIndex(factory="Flot"), D, None, "could not parse index string Flot"),
        (FactoryIndex(factory="IVF8,PQ7"), D, None, "should be a multiple"),
        (FactoryIndex(factory="LSH", metric="ip"), D, None, "index.factory=LSH"),
        (FactoryIndex(factory="HNSW8_PQ8", metric="ip"), D, None, "does not know metric=ip"),
        (FactoryIndex(factory="IDMap,Flat"), D, None, "IDMap has to go"),
        (FactoryIndex(factory="IVF999,Flat"), D, 100, "999 centroids"),
        (FactoryIndex(factory="IVF1k,Flat"), D, 1000, "1,024 centroids"),
        (FactoryIndex(factory="PQ8x12"), D, 1000, "index.factory needs 4,096 centroids"),
        (FactoryIndex(factory="IVF1K,Flat"), D, None, "could not parse index string IVF1K,Flat"),
        (FactoryIndex(factory="LSH", metric="ip"), None, None, "it requires metric == METRIC_L2"),
        (FactoryIndex(factory="IVF64(Flat,Flat"), None, None, "unbalanced parentheses"),
        (FactoryIndex(factory="IVF9999999999,Flat"), None, None, "a number in it is out of range"),
        (FactoryIndex(factory="IVF0,Flat"), None, None, "it has no lists"),
        (FactoryIndex(factory="Residual8,PQ8"), D, None, "does not search it"),
        (FactoryIndex(factory="MinMax,SQ8"), None, None, "nothing can be added to it"),
        (FactoryIndex(factory="SQ8,Refine(IVF8,Flat)"), D, None, "finds finer codes by position"),
        (FactoryIndex(factory="SQ8,RefinePanorama(Flat)"), D, None, "FlatL2Panorama8_1 and the like"),
    ],
)
def test_faults_name_cause_and_cure(config: schemas.Index, d: int | None, n: int | None, words: str) -> None:
    (fault,) = config.faults(d, n)
    assert words in fault
    assert "/" not in fault.replace("bit/", "")  # none of FAISS's source paths
    assert "Error" not in fault


def test_division_by_unknown_dimensions_is_left_open() -> None:
    config = FactoryIndex(factory="IVF8,PQ7")
    assert config.faults() == []
    assert config.faults(14) == []
    assert len(config.faults(16)) == 1


def test_a_comma_in_the_string_needs_no_advice_on_commas() -> None:
    (fault,) = FactoryIndex(factory="IVF64,Flot").faults(D)
    assert "quoted" not in fault


def test_faiss_ignores_no_family_metric() -> None:
    for config in families("ip")[1:]:
        index = blank_index(config.factory_string(D), D, "ip")
        assert index.metric_type == faiss.METRIC_INNER_PRODUCT, config.family


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (BruteForceIndex(), "brute_force builds none"),
        (HnswIndex(), "a graph's links lead to vectors of its own part only"),
        (IvfPqFastscanRefineIndex(nlist=64, pq_m=8), "a refine step finds finer codes by position"),
        (IvfRabitqIndex(nlist=64), "a refine step"),
        (FactoryIndex(factory="IVF8,PQ8x4fs"), "fast-scan list"),
    ],
    ids=lambda value: getattr(value, "family", ""),
)
def test_shards_apart_are_for_families_that_can_merge(config: schemas.Index, words: str) -> None:
    config.shards_apart = True
    [fault] = config.faults(128)
    assert fault.startswith("index.shards_apart=true ")
    assert words in fault
    assert fault.endswith(f"leave it out of index={config.family}")


def test_shards_apart_of_unknown_dimensions_are_checked_later() -> None:
    assert HnswIndex(shards_apart=True).faults() == []
    assert OpqIvfPqIndex(nlist=64, shards_apart=True, pq_m=8).faults(128) == []
    assert OpqIvfPqIndex(shards_apart=True, pq_m=8).faults(128) == [], "before lists are chosen"


SIZES = (60, 5_000, 1_000_000)
FAMILIES = all_families()


@pytest.mark.parametrize("family", sorted(FAMILIES))
@pytest.mark.parametrize("n", SIZES)
def test_candidates_are_possible_resolved_and_differ(family: str, n: int) -> None:
    config = FAMILIES[family](family) if family != "factory" else FactoryIndex(factory="IVF64,SQ8")
    found = config.candidates(n, 768, k=10)
    assert len({repr(asdict(index)) for index in found}) == len(found)
    for index in found:
        assert index.faults(768, n) == []
        assert index.resolved(n, 10) == index
        assert set(index.ladder) <= {"nprobe", "ef_search", "k_factor"}
        assert all(index.ladder[name] for name in index.search_settings())
    if n > 60 or family in ("auto", "flat", "brute_force", "hnsw", "ivf_flat", "ivf_sq8", "ivf_rabitq"):
        assert found


def test_candidates_of_inverted_lists_lie_around_the_suitable_number() -> None:
    """As FAISS advises: about 4·√n."""
    found = IvfFlatIndex().candidates(1_000_000, 768)
    assert [index.list_count() for index in found] == [1024, 4096, 16384]
    assert [IvfPqIndex(nlist=None).candidates(60, 768)] == [[]], "256 centroids cannot be made of 60 vectors"
