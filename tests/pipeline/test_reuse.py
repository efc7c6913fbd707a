"""What a change rebuilds, and what it must not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lookalike.index.families.flat import FlatIndex
from lookalike.index.families.ivf_flat import IvfFlatIndex
from lookalike.schemas import (
    CopiesQueries,
    FolderDataset,
    InGalleryQueries,
    PixelsModel,
    Search,
    StoreOptions,
)
from tests.notes import Notes
from tests.pipeline.conftest import RunOf, outcomes, paint

ALL = {"embeddings", "queries", "exact", "index", "serving"}


def built(record: Any) -> set[str]:
    return {stage for stage, outcome in outcomes(record).items() if outcome == "built"}


def ivf(nlist: int = 8, nprobe: int = 2, **more: Any) -> IvfFlatIndex:
    return IvfFlatIndex(nlist=nlist, point={"nprobe": nprobe}, **more)


def search(**changes: Any) -> Search:
    return Search(**({"k": 10, "warm_up": 1, "repeats": 1} | changes))


def test_the_first_run_builds_all_and_the_second_reuses_all(run_of: RunOf) -> None:
    assert built(run_of()) == ALL
    assert built(run_of()) == set()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"search": search(nprobe=[1, 4, 8])}, id="nprobe"),
        pytest.param({"search": search(batch_size=7)}, id="batch size"),
        pytest.param({"search": search(threads=1, single_threads=2)}, id="threads"),
        pytest.param({"search": search(modes=["single", "batch", "saturated"])}, id="modes"),
        pytest.param({"model": PixelsModel(workers=1, batch_size=3, device="cpu")}, id="how to embed"),
    ],
)
def test_search_settings_and_devices_rebuild_nothing(run_of: RunOf, change: dict[str, Any]) -> None:
    run_of()
    assert built(run_of(**change)) == set()


@pytest.mark.parametrize(
    ("change", "rebuilt"),
    [
        pytest.param({"index": ivf(nlist=4)}, {"index", "serving"}, id="nlist"),
        pytest.param({"index": FlatIndex()}, {"index", "serving"}, id="family"),
        pytest.param({"index": ivf(seed=7)}, {"index", "serving"}, id="index seed"),
        pytest.param({"index": ivf(metric="ip")}, {"exact", "index", "serving"}, id="metric"),
        pytest.param({"model": PixelsModel(side=8)}, ALL, id="model"),
        pytest.param({"model": PixelsModel(normalize=False)}, ALL, id="normalisation"),
        pytest.param({"queries": CopiesQueries(n=6)}, {"queries", "exact"}, id="queries"),
        pytest.param({"search": search(k=20)}, {"exact"}, id="deeper k"),
    ],
)
def test_a_change_rebuilds_what_depends_on_it(
    run_of: RunOf, change: dict[str, Any], rebuilt: set[str]
) -> None:
    run_of()
    assert built(run_of(**change)) == rebuilt
    assert built(run_of()) == set(), "what was there before stays"


def test_the_reason_is_said(run_of: RunOf) -> None:
    run_of()
    notes = Notes()
    record = run_of(notes, index=ivf(nlist=4))
    assert any(line.startswith("index: built") and "nlist 8 → 4" in line for line in notes.said)
    assert "embeddings: reused" in notes.said
    assert next(stage for stage in record.stages if stage["stage"] == "index")["reason"] == "nlist 8 → 4"


@pytest.mark.parametrize("change", ["added last", "added first", "removed", "repainted"])
def test_one_changed_image_costs_at_most_one_forward_pass(run_of: RunOf, pictures: Path, change: str) -> None:
    run_of(queries=InGalleryQueries(n=None))
    match change:
        case "added last":
            paint(pictures / "zebras" / "1.png", 1001)
        case "added first":
            paint(pictures / "ants" / "1.png", 1002)
        case "removed":
            (pictures / "cats" / "001.png").unlink()
        case "repainted":
            paint(pictures / "cats" / "001.png", 1003)
    notes = Notes()
    record = run_of(notes, queries=InGalleryQueries(n=None))
    assert built(record) == ALL
    embeddings = next(line for line in notes.said if line.startswith("embeddings"))
    embedded = 0 if change == "removed" else 1
    assert f"{embedded} embedded, {80 - (change in ('removed', 'repainted'))} rows copied" in embeddings


def test_a_larger_sample_reuses_what_a_smaller_one_embedded(run_of: RunOf, pictures: Path) -> None:
    run_of(dataset=FolderDataset(root=str(pictures), limit=30))
    notes = Notes()
    run_of(notes, dataset=FolderDataset(root=str(pictures), limit=50))
    assert any("20 embedded, 30 rows copied" in line for line in notes.said)


@pytest.mark.parametrize(
    ("reuse", "rebuilt"), [(False, ALL), (["embeddings", "queries", "exact"], {"index", "serving"})]
)
def test_reuse_can_be_refused(run_of: RunOf, reuse: Any, rebuilt: set[str]) -> None:
    run_of()
    record = run_of(store=StoreOptions(reuse=reuse))
    assert built(record) == rebuilt
    assert {stage["reason"] for stage in record.stages if stage["outcome"] == "built"} == {"reuse is off"}


def test_a_damaged_index_is_built_again_and_said_so(run_of: RunOf, tmp_path: Path) -> None:
    run_of()
    (file,) = (tmp_path / "store").rglob("index.faiss")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    notes = Notes()
    record = run_of(notes)
    assert "index" in built(record)
    assert any("index.faiss" in line for line in [*notes.said, *notes.warned])


def test_an_index_whose_shards_were_indexed_apart_says_what_merging_took(
    run_of: RunOf, pictures: Path
) -> None:
    dataset = FolderDataset(root=str(pictures), shard_size=30)
    index = run_of(dataset=dataset, index=ivf(shards_apart=True)).index
    assert index["parts"] == 3
    assert 0 < index["merge_seconds"] < index["add_seconds"]
    again = run_of(dataset=dataset, index=ivf()).index
    assert again["parts"] == 3, "the merged index is the same index"
    in_one_go = run_of(dataset=dataset, index=ivf(nlist=4)).index
    assert not in_one_go.keys() & {"parts", "merge_seconds"}


def test_what_encoding_takes_is_measured_with_the_queries_and_kept_for_reused_runs(run_of: RunOf) -> None:
    first, second = run_of(), run_of()
    for record in (first, second):
        [point] = record.points
        metrics = point.metrics
        assert metrics["encode_p50_ms"] == record.timing["encoding"]["p50_ms"]
        sums = metrics["encode_p50_ms"] + metrics["latency_single_p50_ms"]
        assert metrics["end_to_end_p50_ms"] == pytest.approx(sums, rel=0.5)
        assert metrics["end_to_end_p95_ms"] >= metrics["encode_p95_ms"]
    assert first.timing["encoding"] == second.timing["encoding"], "measured then"
    other = run_of(search=search(single_threads=2))
    assert "encoding" not in other.timing, "on other terms, and no model is loaded for it"
    assert not {name for name in other.points[0].metrics if name.startswith(("encode", "end_to_end"))}
    loaded = run_of(search=search(single_threads=2, encoding=True))
    assert loaded.timing["encoding"]["threads"] == 2
    assert "encoding" not in run_of(search=search(encoding=False)).timing
