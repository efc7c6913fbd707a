"""The Python API: experiments and sweeps from a notebook, which keeps its own Hydra, logging and folders."""

from __future__ import annotations

import inspect
import logging
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import hydra
import pytest
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from PIL import Image

import lookalike
from lookalike.cli import main
from lookalike.runs.record import Record
from tests.pipeline.conftest import outcomes, paint

QUICK = ("model=pixels", "queries.n=5", "search.k=5", "search.repeats=1", "search.warm_up=0", "tracking=none")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """40 pictures, a home, and a working directory that is neither."""
    for number in range(40):
        paint(tmp_path / "pictures" / f"{number:03}.png", number)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.delenv("LOOKALIKE_HOME", raising=False)
    overrides = (*QUICK, "dataset=folder", f"dataset.root={tmp_path / 'pictures'}")
    return SimpleNamespace(pictures=tmp_path / "pictures", home=tmp_path / "home", overrides=overrides)


def test_from_overrides_to_found_images(here: SimpleNamespace) -> None:
    experiment = lookalike.compose(*here.overrides, "index=ivf_flat", "index.nlist=4", root=here.home)
    record = lookalike.run_experiment(experiment)
    assert record.status == "finished"
    [folder] = here.home.glob("outputs/*/*")
    assert Record.load(folder) == record
    frame = lookalike.points(record)
    assert frame["nlist"].tolist() == [4]
    assert frame["knn_recall_at_5"].tolist() == [record.points[0].curve("knn_recall")[5]]
    result = lookalike.open_run("latest", root=here.home).search(here.pictures / "007.png", k=3)
    assert result.ids[0] == "007.png"
    assert len(result.ids) == 3
    assert list(Path.cwd().iterdir()) == [], "all of it lies below the root"


def test_the_second_call_reuses_what_the_first_made_and_so_does_the_command(here: SimpleNamespace) -> None:
    experiment = lookalike.compose(*here.overrides, "index=flat", root=here.home)
    assert set(outcomes(lookalike.run_experiment(experiment)).values()) == {"built"}
    assert set(outcomes(lookalike.run_experiment(experiment)).values()) == {"reused"}
    assert main(["run", *here.overrides, "index=flat", f"paths.root={here.home}"]) == 0
    last = max(map(Record.load, here.home.glob("outputs/*/*")), key=lambda record: record.started)
    assert set(outcomes(last).values()) == {"reused"}


def test_a_sweep_is_records_and_a_data_frame(here: SimpleNamespace) -> None:
    records = lookalike.run_sweep(
        *here.overrides, "index=flat,ivf_flat", "sweep.name=two", root=here.home, quiet=True
    )
    assert [record.index["family"] for record in records] == ["flat", "ivf_flat"]
    by_name = lookalike.points("two", root=here.home)
    by_record = lookalike.points(records)
    assert by_name.drop(columns="folder").equals(by_record.drop(columns="folder"))
    assert lookalike.points([records[0], "two"], root=here.home).shape == by_record.shape
    assert (here.home / "multirun/two/comparison.md").is_file(), "as the command leaves it"
    assert main(["sweep", "status", "two", "--root", str(here.home)]) == 0
    assert lookalike.draw_front(records).format == "PNG"


def test_a_sweep_with_a_name_goes_on_where_it_was(here: SimpleNamespace) -> None:
    named = (*here.overrides, "sweep.name=lists")
    first = lookalike.run_sweep(*named, "index=flat", root=here.home, quiet=True)
    both = lookalike.run_sweep(*named, "index=flat,ivf_flat", root=here.home, quiet=True)
    assert len(both) == 2
    assert first[0] in both


def test_blocks_are_a_union_of_products(here: SimpleNamespace) -> None:
    blocks = [["index=flat"], ["index=ivf_flat", "index.nlist=2,4"]]
    records = lookalike.run_sweep(*here.overrides, blocks=blocks, root=here.home, quiet=True)
    assert [point.label for record in records for point in record.points] == [
        "flat",
        "ivf_flat nlist=2 nprobe=2",
        "ivf_flat nlist=4 nprobe=4",
    ]


def test_a_block_is_a_list() -> None:
    with pytest.raises(lookalike.UserError, match="the block 'index=flat' is a text; write a list"):
        lookalike.run_sweep(blocks=["index=flat"])


def test_a_job_that_fails_is_a_record_and_the_others_go_on(here: SimpleNamespace) -> None:
    lookalike.run_experiment(lookalike.compose(*here.overrides, "index=flat", root=here.home), quiet=True)
    for picture in here.pictures.glob("*.png"):
        picture.write_bytes(b"no picture any more")
    records = lookalike.run_sweep(*here.overrides, "index=flat,hnsw", root=here.home, quiet=True)
    assert {record.status for record in records} == {"failed"}
    assert lookalike.points(records)["error"].notna().all()


def test_a_config_that_sweeps_is_swept(here: SimpleNamespace, tmp_path: Path) -> None:
    (tmp_path / "mine/experiment").mkdir(parents=True)
    (tmp_path / "mine/experiment/both.yaml").write_text(
        "# @package _global_\nhydra:\n  mode: MULTIRUN\n  sweeper:\n    params:\n      index: flat,hnsw\n"
    )
    chosen = (*here.overrides, "experiment=both")
    with pytest.raises(lookalike.UserError, match="experiment=both is a sweep; call"):
        lookalike.compose(*chosen, config_dir=tmp_path / "mine")
    records = lookalike.run_sweep(*chosen, config_dir=tmp_path / "mine", root=here.home, quiet=True)
    assert [record.index["family"] for record in records] == ["flat", "hnsw"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ("index=flat,hnsw",),
            "index=flat,hnsw means a sweep, because of the comma; call lookalike",
        ),
        (("index=nope",), "index=nope does not exist; choose one of"),
        (("index=flat", "index.nlist=3"), "index=flat has no nlist"),
        (("hydra/launcher=slurm_cpu",), "hydra/launcher=slurm_cpu is for the command line"),
        (("search.k=some",), "search.k must be a positive integer, not some"),
    ],
)
def test_what_does_not_compose_is_one_sentence(overrides: tuple[str, ...], message: str) -> None:
    with pytest.raises(lookalike.UserError) as raised:
        lookalike.compose(*overrides)
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)
    assert not GlobalHydra.instance().is_initialized()


def test_faults_come_before_any_work_all_at_once(here: SimpleNamespace) -> None:
    faulty = lookalike.compose(*here.overrides, "search.k=0", "measures.confidence=2", root=here.home)
    with pytest.raises(lookalike.UserError, match=r"search\.k must be a positive integer, not 0") as raised:
        lookalike.run_experiment(faulty)
    assert len(str(raised.value).splitlines()) == 2
    with pytest.raises(lookalike.UserError, match=r"search\.k must be a positive integer, not 0"):
        lookalike.run_sweep(*here.overrides, "search.k=0", "index=flat,hnsw", root=here.home)
    with pytest.raises(lookalike.UserError, match="there are no finished runs under"):
        lookalike.points(root=here.home)
    with pytest.raises(lookalike.UserError, match="there are no finished runs under"):
        lookalike.open_run(root=here.home)
    assert not here.home.exists()


def test_lines_are_shown_once_or_not_at_all(here: SimpleNamespace, capfd: pytest.CaptureFixture[str]) -> None:
    experiment = lookalike.compose(*here.overrides, "index=flat", root=here.home)
    lookalike.run_experiment(experiment, quiet=True)
    assert capfd.readouterr() == ("", "")
    for _ in range(2):
        lookalike.run_experiment(experiment)
        shown = capfd.readouterr()
        assert shown.err.count("embeddings: reused") == 1
        assert shown.out == ""


def hydra_now() -> tuple[object, ...]:
    """What a Hydra application of the caller's own would start from."""
    return (
        GlobalHydra.instance().hydra,
        hydra.version.getbase(),
        list(Plugins.instance().plugin_type_to_subclass_list[SearchPathPlugin]),
        dict(SourcesRegistry.instance().types),
        sorted(ConfigStore.instance().repo),
    )


def test_hydra_and_logging_stay_the_callers(here: SimpleNamespace, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own/config.yaml").write_text("mine: 1\n")
    root = logging.getLogger()
    logs = (list(root.handlers), root.level, list(logging.getLogger("lookalike").handlers))
    with hydra.initialize_config_dir(str(tmp_path / "own"), version_base="1.3"):
        before = hydra_now()
        experiment = lookalike.compose(*here.overrides, "index=flat", root=here.home)
        lookalike.run_experiment(experiment, quiet=True)
        lookalike.run_sweep(*here.overrides, "index=flat,hnsw", root=here.home, quiet=True)
        assert hydra_now() == before
        assert hydra.compose("config").mine == 1, "the caller's application goes on"
    assert not GlobalHydra.instance().is_initialized()
    assert (list(root.handlers), root.level, list(logging.getLogger("lookalike").handlers)) == logs


def test_configs_of_the_working_directory_join(here: SimpleNamespace) -> None:
    Path("conf/dataset").mkdir(parents=True)
    Path("conf/dataset/mine.yaml").write_text(f"defaults: [folder, _self_]\nroot: {here.pictures}\n")
    assert lookalike.compose("dataset=mine").dataset.root == str(here.pictures)  # type: ignore[attr-defined]


# --- searching ----------------------------------------------------------------


def test_an_open_run_finds_images_by_path_or_by_image(here: SimpleNamespace) -> None:
    chosen = (*here.overrides, "index=ivf_flat", "index.nlist=4", "search.nprobe=1")
    lookalike.run_experiment(lookalike.compose(*chosen, root=here.home), quiet=True)
    run = lookalike.open_run(root=here.home)
    picture = here.pictures / "011.png"
    with Image.open(picture) as image:
        found = [run.search(query, k=4) for query in (picture, str(picture), image)]
    assert [result.ids for result in found] == [found[0].ids] * 3
    assert found[0].ids[0] == "011.png"
    assert found[0].images()[0].size == (48, 48)
    frame = found[0].frame()
    assert frame["id"].tolist() == found[0].ids
    assert frame["path"][0] == str(picture)
    assert found[0]._repr_png_().startswith(b"\x89PNG"), "what a notebook shows"
    assert len(repr(found[0]).splitlines()) == 1
    assert len(run.search(picture).ids) == 10, "as `lookalike query` does by default"
    compared = run.search(picture, k=10, compare=True, nprobe=4)
    assert compared.comparison is not None
    assert compared.comparison.recall == 1, "all lists were visited"


def test_what_cannot_be_searched_for_is_one_sentence(here: SimpleNamespace) -> None:
    lookalike.run_experiment(lookalike.compose(*here.overrides, "index=flat", root=here.home), quiet=True)
    run = lookalike.open_run(root=here.home)
    with pytest.raises(lookalike.UserError, match=r"nowhere\.png cannot be searched for: .*; name another"):
        run.search("nowhere.png")
    with pytest.raises(lookalike.UserError, match="index=flat has no setting nprobe"):
        run.search(here.pictures / "000.png", nprobe=3)
    with pytest.raises(lookalike.UserError, match="k=41 does not fit a gallery of 40 images"):
        run.search(here.pictures / "000.png", k=41)
    with pytest.raises(lookalike.UserError, match="text"):
        run.search("a cat asleep")


# --- what is exported ----------------------------------------------------------------


def test_importing_lookalike_stays_light() -> None:
    code = "import lookalike, sys; print({'pandas', 'numpy', 'hydra', 'PIL', 'rich'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
    with pytest.raises(AttributeError, match="has no attribute 'load_everything'"):
        lookalike.load_everything  # noqa: B018


@pytest.mark.parametrize("name", sorted({*lookalike.__all__} - {"UserError", "__version__"}))
def test_what_is_exported_is_typed_and_explained(name: str) -> None:
    function = getattr(lookalike, name)
    assert name in dir(lookalike)
    signature = inspect.signature(function)
    assert signature.return_annotation is not inspect.Signature.empty
    assert all(each.annotation is not inspect.Parameter.empty for each in signature.parameters.values())
    if name != "load_runs":
        assert f"lookalike.{name}(" in inspect.getdoc(function), "an example"
