"""Every impossible experiment is found before any work, all its faults at once, each with a cure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lookalike import schemas
from lookalike.config.composing import compose
from lookalike.config.faults import known_dim
from lookalike.config.planning import count_gallery, find_faults, plan
from lookalike.datasets import SOURCES, source_of
from lookalike.errors import ConfigError
from lookalike.queries import PROTOCOLS, protocol_of
from lookalike.schemas.fields import choices_of

PIXELS = "model=pixels"


@pytest.mark.parametrize(
    ("overrides", "fault"),
    [
        (["search.k=0"], "search.k must be a positive integer, not 0"),
        (["search.k=-3"], "search.k must be a positive integer, not -3"),
        (["search.batch_size=0"], "search.batch_size must be a positive integer, not 0"),
        (
            ["search.modes=[single,treble]"],
            "each value of search.modes must be one of single, batch, saturated",
        ),
        (["search.nprobe=[]"], "search.nprobe must not be an empty list"),
        (
            ["search.nprobe=eight"],
            "search.nprobe must be a positive integer or a list of such values, not eight",
        ),
        (["index.nlist=0"], "index.nlist must be a positive integer, not 0"),
        (["index.metric=cosine"], "index.metric must be one of l2, ip, not cosine"),
        (["search.nprobe=512"], "search.nprobe=512 exceeds index.nlist=64"),
        (["search.nprobe=[65,512]"], "search.nprobe=65 exceeds index.nlist=64"),
        (["index=ivf_pq", "index.pq_m=7"], "index.pq_m=7 does not divide"),
        (["index=factory", "index.factory=IVF64"], "index.factory=IVF64"),
        (["dataset.limit=0"], "dataset.limit must be a positive integer, not 0"),
        (["dataset.limit=50", "search.k=100"], "search.k=100 exceeds the gallery's 50 images"),
        (["dataset.limit=50", "index.nlist=64"], "index.nlist needs 64 centroids and the gallery has 50"),
        (["dataset.limit=1"], "dataset=twemoji holds 1 image, and a search needs 2 or more"),
        (["queries=held_out", "queries.n=5000"], "queries.n=5000 leaves no gallery of 4,009 rows"),
        (["queries.n=some"], "queries.n must be a positive integer, auto or null for all, not some"),
        (["dataset.limit=-1"], "dataset.limit must be"),
        (["dataset.shard_size=0"], "dataset.shard_size must be"),
        (["dataset.fingerprint=name"], "dataset.fingerprint must be one of stat, content, not name"),
        (["dataset.max_bad_fraction=1.5"], "dataset.max_bad_fraction must be a number from 0 to 1, not 1.5"),
        (["queries.n=0"], "queries.n must be"),
        (
            ["queries.duplicates=maybe"],
            "queries.duplicates must be one of relevant, ignored, irrelevant, not maybe",
        ),
        (["queries=labels", "queries.by=colour"], "queries.by must be one of label, group, not colour"),
        (["measures.cutoffs=[1,0]"], "each value of measures.cutoffs must be a positive integer, not 0"),
        (["measures.cutoffs=[]"], "measures.cutoffs must not be an empty list"),
        (["measures.bootstrap=-1"], "measures.bootstrap must be an integer of 0 or more, not -1"),
        (["measures.confidence=95"], "measures.confidence must be a number between 0 and 1, not 95"),
        (
            ["model.dtype=float8"],
            "model.dtype must be one of float32, bfloat16, float16, not float8 (did you mean",
        ),
        (["model.batch_size=none"], "model.batch_size must be a positive integer or auto, not none"),
        (["model.device=gpu"], "model.device must be one of auto, cpu, cuda, cuda:N, mps, not gpu"),
        (["queries=captions"], "model=pixels has no text tower"),
        (["tracking=server", "tracking.uri=null"], "tracking=server needs an address"),
        (["tracking.uri=http://x"], "tracking.uri=http://x is not used by tracking=local"),
        (["tracking.kind=wandb"], "tracking.kind must be one of local, server, none, not wandb"),
        (["queries.edits=[crop,flip]"], "each value of queries.edits must be one of crop, resize"),
        (["store.reuse=embedings"], "not embedings (did you mean embeddings?)"),
        (["search.seconds=0"], "search.seconds must be a positive number, not 0.0"),
        (["model.batch_size=null"], "model.batch_size must be a positive integer or auto, not null"),
        (
            ["store.reuse=[embedings]"],
            "each value of store.reuse must be one of true, false, tar-listing, embeddings",
        ),
        (["dataset=folder"], "dataset.root is not set; name a folder of images: dataset.root=~/Pictures"),
        (["dataset=folder", "dataset.root=/nowhere"], "dataset.root=/nowhere does not exist"),
        (["dataset=embeddings"], "dataset.root is not set; name a file of vectors"),
        (["dataset=folder", "dataset.root=/tmp", "dataset.captions=text"], "dataset.captions=text"),
        (["dataset=folder", "dataset.root=/tmp", "dataset.table=no.csv"], "dataset.table=no.csv"),
        (
            ["dataset=folder", "dataset.root=/tmp", "queries=labels"],
            "queries=labels queries.by=label needs dataset.labels; set it to folder "
            "(the names of the images' folders) or a column of dataset.table",
        ),
        (["dataset=folder", "dataset.root=/tmp", "dataset.labels=kind"], "or dataset.labels=folder for"),
        (["queries=files"], "queries.root is not set"),
        (["queries=files", "queries.root=/nowhere"], "queries.root=/nowhere does not exist"),
        (["queries=vectors"], "queries=vectors needs ready gallery vectors"),
    ],
)
def test_fault_is_found_and_says_what_to_do(overrides: list[str], fault: str) -> None:
    found = find_faults(compose([PIXELS, *overrides]))
    assert any(fault in line for line in found), found
    assert all((";" in line or " must be " in line) and "\n" not in line for line in found)


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["search.nprobe=[1,512]"],  # the possible point is measured
        ["search.k=10"],  # cut-offs above k are not read off
        ["store.reuse=[embeddings,exact]"],
        ["index=factory", "index.factory='IVF64,PQ64x4fs,RFlat'"],
        ["queries.n=null"],
        ["dataset.limit=50"],
        ["dataset.limit=2", "queries=held_out"],
        ["tracking=server", "tracking.uri=http://127.0.0.1:1"],
    ],
)
def test_what_is_possible_has_no_faults(overrides: list[str]) -> None:
    assert find_faults(compose([PIXELS, *overrides])) == []


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
@pytest.mark.parametrize(
    "name",
    ["search.seconds", "measures.confidence", "measures.tie_tolerance", "dataset.max_bad_fraction"],
)
def test_numbers_are_finite(name: str, value: str) -> None:
    """A run of search.seconds=nan did not end."""
    found = find_faults(compose([PIXELS, "dataset=folder", "dataset.root=.", f"{name}={value}"]))
    assert f"{name} must be a finite number, not {value}" in found


def test_all_faults_come_at_once() -> None:
    experiment = compose([PIXELS, "search.k=0", "index.nlist=0", "queries=captions", "tracking.uri=x"])
    found = find_faults(experiment)
    for part in ("search.k", "index.nlist", "text tower", "tracking.uri"):
        assert sum(part in line for line in found) == 1, found


def ready_vectors(folder: Path, rows: int = 40, dim: int = 6) -> Path:
    folder.mkdir(parents=True)
    np.save(folder / "a.npy", np.ones((rows, dim), np.float32))
    return folder


def test_ready_vectors_tell_size_and_dimensions_by_their_headers(tmp_path: Path) -> None:
    root = ready_vectors(tmp_path / "vectors")
    experiment = compose(["dataset=embeddings", f"dataset.root={root}", "queries=in_gallery", "index=ivf_pq"])

    assert (count_gallery(experiment), known_dim(experiment)) == (40, 6)
    found = find_faults(experiment)
    assert any("index.pq_m=64 does not divide the vectors' 6 dimensions" in line for line in found)
    experiment.dataset.limit = 30
    assert count_gallery(experiment) == 30


def test_ready_vectors_cannot_be_edited(tmp_path: Path) -> None:
    root = ready_vectors(tmp_path / "vectors")
    found = find_faults(
        compose(["dataset=embeddings", f"dataset.root={root}", "queries=copies", "search.k=5"])
    )
    assert any("queries=copies needs images" in line for line in found)


def test_ready_vectors_need_no_model(tmp_path: Path) -> None:
    root = ready_vectors(tmp_path / "vectors", rows=4000)
    overrides = ["dataset=embeddings", f"dataset.root={root}", "queries=in_gallery", "index=flat"]
    assert find_faults(compose([*overrides, "model=transformers", "model.name_or_path=/nowhere"])) == []


def test_points_know_what_they_are_called_and_whether_they_can_be() -> None:
    experiment = compose([PIXELS, "search.nprobe=[1,8,512]", "search.ef_search=9"])
    made = plan(experiment)

    assert [(point.label, bool(point.faults)) for point in made.points] == [
        ("ivf_flat nlist=64 nprobe=1", False),
        ("ivf_flat nlist=64 nprobe=8", False),
        ("ivf_flat nlist=64 nprobe=512", True),
    ]
    one, eight, impossible = made.points
    assert (made.to_measure, made.impossible) == ([one, eight], [impossible])
    assert len({point.id for point in made.points}) == 3
    assert made.notices == ("search.ef_search is left out: index=ivf_flat has no such setting",)
    assert (made.dim, made.experiment.gallery_size) == (768, 4009)


def test_what_a_job_measures_can_be_named_or_what_it_leaves_out() -> None:
    experiment = compose([PIXELS, "search.nprobe=[1,8,512]"])
    one, eight, _ = plan(experiment).points

    experiment.sweep.points = [eight.id]
    chosen = plan(experiment)
    assert ([point.id for point in chosen.to_measure], chosen.impossible) == ([eight.id], [])

    experiment.sweep.points = [eight.id, "another's"]
    with pytest.raises(ConfigError, match=r"sweep\.points names another's, which are not points of this"):
        plan(experiment)

    experiment.sweep = schemas.Sweep(skip=[one.id])  # as sweeps of 0.1.0 told their jobs
    assert [point.id for point in plan(experiment).to_measure] == [eight.id]


def test_every_source_and_protocol_answers_for_itself() -> None:
    assert set(SOURCES) == set(choices_of(schemas.Dataset).values())
    assert set(PROTOCOLS) == set(choices_of(schemas.Queries).values()) - {schemas.AutoQueries}
    for schema, source in SOURCES.items():
        made = source(schema())  # type: ignore[call-arg]
        assert made.has_images == issubclass(schema, schemas.ImageDataset)
        assert all(";" in fault for fault in made.faults())
        for kind in ("labels", "groups", "captions"):
            lacking = made.annotation_fault(kind)
            assert lacking is None or ";" in lacking
    ready = source_of(schemas.SyntheticDataset(n=9, dim=3))
    assert ready.shape() == (9, 3)
    assert protocol_of(schemas.FilesQueries()).faults(ready) == [
        "queries=files needs images, and dataset=synthetic has vectors only; "
        "choose queries=held_out, in_gallery or vectors",
        "queries.root is not set; name a folder of query images",
    ]
