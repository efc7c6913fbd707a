"""Where configs come from, and what keeps them honest."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from omegaconf import OmegaConf

from lookalike import schemas
from lookalike.config.composing import compose, conf_folder, expand_home, parse
from lookalike.config.settings import schemas_by_group
from lookalike.errors import ConfigError
from lookalike.index.families.flat import FlatIndex


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


MINE = "defaults:\n  - folder\n  - _self_\nname: mine\nroot: ~/photos\nlabels: folder\n"


def test_a_users_dataset_joins_from_config_dir(tmp_path: Path) -> None:
    write(tmp_path / "dataset/mine.yaml", MINE)

    dataset = compose(["dataset=mine"], config_dir=tmp_path).dataset

    assert dataset == schemas.FolderDataset(name="mine", root="~/photos", labels="folder")


def test_a_users_dataset_joins_from_conf_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "conf/dataset/mine.yaml", MINE)
    monkeypatch.chdir(tmp_path)

    assert compose(["dataset=mine"]).dataset.name == "mine"


def test_another_projects_conf_does_not_replace_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "conf/config.yaml", "lr: 0.1\n")
    write(tmp_path / "conf/model/pixels.yaml", "layers: 50\n")
    monkeypatch.chdir(tmp_path)

    assert isinstance(compose(["model=pixels"]).model, schemas.PixelsModel)


def test_a_users_typo_is_an_error_by_name(tmp_path: Path) -> None:
    write(tmp_path / "dataset/mine.yaml", MINE + "rot: 3\n")

    with pytest.raises(ConfigError, match="Key 'rot' not in 'FolderDataset'"):
        compose(["dataset=mine"], config_dir=tmp_path)


@pytest.mark.parametrize("override", ["index.nlist=3", "index.hnsw_m=3"])
def test_a_setting_of_another_family_is_an_error(override: str) -> None:
    with pytest.raises(ConfigError, match="index=flat has no"):
        compose(["index=flat", override])


def test_schemas_are_not_among_the_choices() -> None:
    with pytest.raises(ConfigError, match="dataset=default does not exist"):
        compose(["dataset=default"])
    assert {path.stem for path in (conf_folder() / "search").glob("*.yaml")} > set(
        schemas_by_group()["search"]
    )


def test_everything_lies_under_the_environments_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOKALIKE_HOME", "/data/lookalike")
    assert compose([]).paths.root == "/data/lookalike"
    assert compose(["paths.root=/else"]).paths.root == "/else"


def test_a_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert expand_home(["dataset.root=~/Pictures", "a=~", "b=[~/x,~/y]", "c=~/x,~/y"]) == [
        "dataset.root=/home/me/Pictures",
        "a=/home/me",
        "b=[/home/me/x,/home/me/y]",
        "c=/home/me/x,/home/me/y",
    ]
    untouched = ["~sweep.name", "a=x~/y", "a=~you/x", "a='~/x'"]
    assert expand_home(untouched) == untouched


def test_plus_does_not_smuggle_in_what_no_schema_knows() -> None:
    with pytest.raises(ConfigError) as caught:
        compose(["+search.nprobes=3", "+colour=red"])
    assert caught.value.faults == (
        "there is no setting search.nprobes; leave it out",
        "there is no setting colour; leave it out",
    )


def test_a_value_that_cannot_be_resolved_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^name: .*NOBODY_SET_THIS.*; set it to a value$"):
        compose(["name=${oc.env:NOBODY_SET_THIS}"])


def test_parse_refuses_what_is_no_experiment() -> None:
    with pytest.raises(ConfigError, match="schema/experiment"):
        parse(OmegaConf.create({"k": 3}))


def test_parse_leaves_the_config_as_it_was() -> None:
    config = OmegaConf.structured(schemas.Experiment)
    config.dataset, config.model = schemas.TwemojiDataset(), schemas.PixelsModel()
    config.queries, config.index = schemas.CopiesQueries(), FlatIndex()
    whole = OmegaConf.merge({"hydra": {"mode": None}}, config)

    parse(OmegaConf.merge(config))
    assert "hydra" in whole


def test_a_wheels_conf_inside_the_package_comes_first(tmp_path: Path) -> None:
    """The package as a wheel lays it out: conf/ inside, nothing above it."""
    import lookalike

    package = tmp_path / "site-packages/lookalike"
    shutil.copytree(
        Path(lookalike.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__", "conf")
    )
    shutil.copytree(conf_folder(), package / "conf")
    code = "from lookalike.config.composing import conf_folder, compose; compose([]); print(conf_folder())"

    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(package.parent), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.strip() == str(package / "conf"), done.stderr


def test_where_no_queries_are_named_it_is_what_suits_the_dataset(tmp_path: Path) -> None:
    vectors = np.eye(4, dtype=np.float32)
    np.save(tmp_path / "v.npy", vectors)
    with h5py.File(tmp_path / "v.hdf5", "w") as file:
        file["train"] = file["test"] = vectors
    (tmp_path / "exported/queries").mkdir(parents=True)
    for name in ("exported/img_emb.npy", "exported/queries/vectors.npy"):
        np.save(tmp_path / name, vectors)
    assert compose([]).queries == schemas.CopiesQueries(n="auto")
    assert compose(["queries.n=3", "queries.edits=[crop]"]).queries == schemas.CopiesQueries(
        n=3, edits=["crop"]
    )
    for root, expected in (
        ("v.npy", schemas.InGalleryQueries(n=3)),
        ("v.hdf5", schemas.VectorsQueries(n=3)),
        ("exported", schemas.VectorsQueries(n=3)),
        ("gone.npy", schemas.InGalleryQueries(n=3)),
    ):
        chosen = compose(["dataset=embeddings", f"dataset.root={tmp_path / root}", "queries.n=3"])
        assert chosen.queries == expected, root
