"""The original's flaws mended one at a time, on a tiny checkpoint: each is measured, and its cost told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import checkpoints
from lookalike.cli import main
from lookalike.config.composing import compose
from lookalike.datasets.sbu_captions import JSON_NAME, photo_path
from lookalike.report.costs import costs_of
from lookalike.runs.catalog import select
from tests.pipeline.command_line import records

REFERENCE = "all mended, exact"
PHOTOS = 120
FLAWS = {
    "ImageNet preprocessing": {"preprocess": "imagenet"},
    "white borders": {"preprocess": "border"},
    "not normalised": {"normalize": False},
    "rank 1 dropped": {"drop_first": True},
    "nprobe 1": {"nprobe": 1},
    "as it was": {"preprocess": "imagenet", "normalize": False, "drop_first": True, "nprobe": 1},
    "as it was, own preprocessing": {"normalize": False, "drop_first": True, "nprobe": 1},
    "as it was, own preprocessing, normalised": {"drop_first": True, "nprobe": 1},
    "all mended": {},
}
"""What each run does wrong, beside the reference, which does nothing wrong and searches exactly."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the whole experiment was run, once."""
    root = tmp_path_factory.mktemp("sbu")
    (root / "0000").mkdir()
    for row in range(PHOTOS):
        coarse = np.random.default_rng(row).integers(0, 256, (4, 6, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((60, 40)).save(root / photo_path(row))
    captions = [f"a {checkpoints.WORDS[3 + row % 7]} {row}" for row in range(PHOTOS)]
    (root / JSON_NAME).write_text(json.dumps({"captions": captions}))
    checkpoint = checkpoints.make_tiny_siglip(tmp_path_factory.mktemp("siglip"))
    home = tmp_path_factory.mktemp("home")
    asked = ["experiment=seed_paper_ablation", f"dataset.root={root}", f"model.name_or_path={checkpoint}"]
    quick = ["search.k=20", "search.repeats=1", "search.warm_up=0", "search.modes=[single,batch]"]
    more = ["queries.n=60", "index.threads=1", "model.batch_size=16", "tracking=none", f"paths.root={home}"]
    assert main(["run", *asked, *quick, *more]) == 0
    return home


def test_every_step_does_wrong_what_it_says_and_nothing_else(home: Path) -> None:
    by_name = {record["name"]: record for record in records(home)}
    assert set(by_name) == {REFERENCE, *FLAWS}
    for name, record in by_name.items():
        assert record["status"] == "finished", record["error"]
        flaws = FLAWS.get(name, {})
        config = record["config"]
        assert config["model"]["preprocess"] == flaws.get("preprocess", "checkpoint"), name
        assert config["model"]["normalize"] == flaws.get("normalize", True), name
        assert config["measures"]["drop_first"] == flaws.get("drop_first", False), name
        [point] = record["points"]
        settings = {"k": 20, "nprobe": flaws.get("nprobe", 8)}
        assert point["settings"] == ({"k": 20} if name == REFERENCE else settings), name


def test_names_tell_what_was_embedded_otherwise(home: Path) -> None:
    told = {record["name"]: record["model"]["name"] for record in records(home)}
    assert told["white borders"] == "siglip_so400m, preprocess=border"
    assert told["as it was"] == "siglip_so400m, preprocess=imagenet, not normalised"
    assert told[REFERENCE] == told["rank 1 dropped"] == "siglip_so400m"


def test_each_cost_is_the_paired_difference_from_the_reference(home: Path) -> None:
    costs = costs_of(select(home).runs, REFERENCE)
    assert {cost.row.record.name for cost in costs.others} == set(FLAWS)
    for cost in costs.others:
        for k in (1, 10, 20):
            difference = cost.differences[k]
            assert difference.queries == 60
            assert difference.mean == pytest.approx(cost.values[k] - costs.reference.values[k], abs=1e-6)
            assert difference.low <= difference.mean + 1e-9 and difference.mean - 1e-9 <= difference.high
    few_lists = next(cost for cost in costs.others if cost.row.record.name == "nprobe 1")
    assert few_lists.differences[20].high < 0, "one list in fifty loses most of what is there"


def test_the_table_is_printed_and_kept(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--root", str(home), "--costs", REFERENCE, "--no-images"]) == 0
    out = capsys.readouterr().out
    [table] = select(home).folder.glob("costs.md")
    text = table.read_text(encoding="utf-8")
    assert text in out
    lines = text.splitlines()
    assert lines[0].startswith("| run | operating point | model | hit_rate@1 | hit_rate@10 | hit_rate@20 |")
    assert {line.split(" | ")[0].removeprefix("| ") for line in lines[2:12]} == {REFERENCE, *FLAWS}
    assert lines[2].startswith(f"| {REFERENCE} | flat | siglip_so400m | ")
    assert f"written: {table}" in out


def test_a_run_of_another_name_is_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--root", str(home), "--costs", "nobody", "--no-images"]) == 2
    assert "no run is called 'nobody'; choose one of " in capsys.readouterr().err


def test_the_original_is_what_the_seed_papers_ivf_was() -> None:
    experiment = compose(["experiment=seed_paper_ablation"])
    assert (experiment.dataset.name, experiment.queries.name) == ("sbu_captions", "captions")
    assert experiment.model.name == "siglip_so400m"
    assert experiment.search.k == 100
