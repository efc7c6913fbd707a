"""Settings that are text arrive as they were typed, from wherever they come."""

from __future__ import annotations

import pickle
import subprocess
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import cloudpickle
import pytest
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.singleton import Singleton

from lookalike import schemas
from lookalike.config.composing import compose, prepare_hydra
from lookalike.config.settings import identities, schemas_by_group, settings, text_settings
from lookalike.config.typed import TypedFiles, TypedPackages, as_typed, quoted
from lookalike.errors import ConfigError

NUMBERS = [
    "2024_01_05",
    "2024_11",
    "true",
    "On",
    "1e3",
    "1_000.5",
    "inf",
    "NaN",
    "0x10",
    "010",
    "12:30",
    "-5",
]
"""What YAML or Hydra's grammar would make another value of."""
UNUSUAL = [
    "Fotos von José",
    "李",
    "😀",
    " in front",
    "behind ",
    "a=b=c",
    "#1",
    "(2020)",
    "Photos (2020, summer)",
    "[old] photos",
    "{a}",
    "a;b",
    "it's",
    "'half",
    'say "cheese"',
    "back\\slash",
    "ends with \\",
    "a\\'b",
    "$HOME",
    "${half",
    "100%",
    "*?",
    "a & b | c > d",
    "`ls`",
    "!x",
    "tab\there",
    "two\nlines",
    "choice",
    "nullable",
]


def settings_of(schema: type[Any]) -> Iterator[tuple[str, Any]]:
    hints = get_type_hints(schema)
    for each in fields(schema):
        yield each.name, hints[each.name]


def test_every_text_setting_of_every_schema_is_known() -> None:
    for group, members in schemas_by_group().items():
        for schema in members.values():
            for name, kind in settings_of(schema):
                assert (f"{group}.{name}" in text_settings()) == (kind in (str, str | None, list[str])), name
    assert {"paths.root", "sweep.name", "name"} <= text_settings()


def test_no_setting_is_text_in_one_choice_and_a_number_in_another() -> None:
    kinds: dict[str, set[str]] = {}
    for group, members in schemas_by_group().items():
        for schema in members.values():
            for name, kind in settings_of(schema):
                kinds.setdefault(f"{group}.{name}", set()).add(str(kind).removesuffix(" | None"))
    assert {name: kind for name, kind in kinds.items() if len(kind) > 1} == {}
    assert set(kinds) <= set(settings())


@pytest.mark.parametrize("text", [*NUMBERS, *UNUSUAL])
def test_as_typed_on_the_command_line(text: str) -> None:
    lines = [f"dataset.root={text}", f"name={text}", f"++paths.mlruns={text}"]
    once = as_typed(lines)
    assert as_typed(once) == once

    experiment = compose(["dataset=folder", *lines])

    assert (experiment.dataset.root, experiment.name, experiment.paths.mlruns) == (text,) * 3


def test_quotes_null_nothing_and_interpolations_mean_what_they_mean_in_hydra() -> None:
    lines = ["dataset=folder", "dataset.root='a b'", 'dataset.table="null"', "dataset.labels=NULL"]
    dataset = compose([*lines, "dataset.captions=", "dataset.groups=x/${search.warm_up}"]).dataset
    assert isinstance(dataset, schemas.FolderDataset)
    assert (dataset.root, dataset.table, dataset.labels) == ("a b", "null", None)
    assert (dataset.captions, dataset.groups) == ("", "x/32")


def test_usual_values_are_left_alone() -> None:
    lines = ["dataset.root=/data/photos-2024/x.y", "index=hnsw", "search.k=010", "a.b=é", "-m", "~name"]
    assert as_typed(lines) == lines


def test_lists_and_dictionaries_of_text() -> None:
    assert compose(["sweep={name: 2024_11, resume: false}"]).sweep == schemas.Sweep("2024_11", resume=False)
    assert as_typed(["queries.edits=[crop,on,1e3]"]) == ["queries.edits=[crop,on,'1e3']"]


def test_the_values_of_a_sweep() -> None:
    assert as_typed(["dataset.root=2024_01_05, a b,'x,y',(1,2),c", "dataset.root=a,[b"]) == [
        "dataset.root='2024_01_05', 'a b','x,y','(1,2)',c",
        "dataset.root=a,'[b'",
    ]
    assert as_typed(["dataset.root=choice(a,b)", "dataset.root=a\\,b"]) == [
        "dataset.root=choice(a,b)",
        "dataset.root='a,b'",
    ]


@pytest.mark.parametrize("text", ["a,b", "a, b", "it's, 1e3,x\"", "2024_01_05,[", "é,${half", "x\\,,y", "{,"])
def test_a_comma_is_a_sweep_and_the_message_is_what_a_shell_takes(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose(["dataset=folder", f"dataset.root={text}"])
    _, _, cure = str(caught.value).partition("quote it twice: ")

    pasted = subprocess.run(["bash", "-c", f"printf %s {cure}"], capture_output=True, text=True, check=True)

    assert compose(["dataset=folder", pasted.stdout]).dataset.root == text.replace("\\,", ",")


def test_as_written_in_config_files(tmp_path: Path) -> None:
    names = ("root", "labels", "groups", "captions", "table", "table_path_column")
    (tmp_path / "dataset").mkdir()
    for begin in range(0, len(NUMBERS), len(names)):
        written = dict(zip(names, NUMBERS[begin:], strict=False))
        lines = "".join(f"{name}: {text}\n" for name, text in written.items())
        path = tmp_path / f"dataset/mine{begin}.yaml"
        path.write_text(f"defaults: [folder, _self_]\nlimit: 1_000\n{lines}")
        dataset = compose([f"dataset=mine{begin}"], tmp_path).dataset
        assert {name: getattr(dataset, name) for name in written} == written
        assert dataset.limit == 1000


def test_nothing_written_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset/mine.yaml").write_text(
        "defaults: [folder, _self_]\nroot: null\ntable: ~\nlabels:\ngroups: 'null'\n"
    )
    dataset = compose(["dataset=mine"], tmp_path).dataset
    assert isinstance(dataset, schemas.FolderDataset)
    assert (dataset.root, dataset.table, dataset.labels, dataset.groups) == (None, None, None, "null")


def test_as_written_in_a_users_experiment(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset/2024_11.yaml").write_text("defaults: [folder, _self_]\nroot: 1e3\n")
    (tmp_path / "experiment/on.yaml").write_text(
        "# @package _global_\ndefaults: [override /dataset: 2024_11]\nsweep:\n  name: 2024_11\nname: off\n"
        "queries:\n  edits: [crop, yes]\nsearch:\n  k: 1_0\n"
    )
    experiment = compose(["experiment=on"], tmp_path)
    assert (experiment.sweep.name, experiment.name, experiment.dataset.root) == ("2024_11", "off", "1e3")
    assert isinstance(experiment.queries, schemas.CopiesQueries)
    assert (experiment.queries.edits, experiment.search.k) == (["crop", "yes"], 10)
    assert compose(["dataset=2024_11"], tmp_path).dataset.root == "1e3"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"root: [", "is not YAML"),
        (b"root:\t- x\n  y", "is not YAML"),
        (b"root: caf\xe9\n", "is not UTF-8 ("),
        (b"[" * 20_000, "is not YAML ("),
        (b"just words\n", "holds no settings"),
    ],
)
def test_a_file_that_is_no_config_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset/mine.yaml").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        compose(["dataset=mine"], tmp_path)
    assert said in str(caught.value) and str(tmp_path / "dataset/mine.yaml") in str(caught.value)
    assert "\n" not in str(caught.value) and ";" in str(caught.value)


def test_a_config_folder_may_be_called_anything(tmp_path: Path) -> None:
    folder = tmp_path / "it's, [mine] 李"
    (folder / "dataset").mkdir(parents=True)
    (folder / "dataset/mine.yaml").write_text("defaults: [folder, _self_]\nname: mine\n")
    assert compose(["dataset=mine"], folder).dataset.name == "mine"
    assert quoted("${x}") == "'\\${x}'"


def test_identities_are_the_fields_that_a_base_class_leaves_open() -> None:
    assert set(identities()) == {"dataset.name", "model.name", "queries.name", "index.family"}
    assert all(
        is_dataclass(kind) or name == "name" for name, kind in get_type_hints(schemas.Experiment).items()
    )
    assert {field.name for field in fields(schemas.Model)} >= {"name"}


@pytest.mark.parametrize("key", ["dataset.name", "model.name", "queries.name", "index.family"])
@pytest.mark.parametrize("line", ["{}=foo", "+{}=foo", "++{}=a,b"])
def test_what_is_chosen_cannot_be_called_otherwise(key: str, line: str) -> None:
    group = key.partition(".")[0]
    with pytest.raises(ConfigError, match=f"{key} says which {group} it is .*; leave it out"):
        compose([line.format(key)])


def test_nor_in_an_experiment_but_in_a_config_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "model").mkdir()
    (tmp_path / "experiment/mine.yaml").write_text("# @package _global_\nmodel:\n  name: siglip_base\n")
    (tmp_path / "model/tiny.yaml").write_text("defaults: [pixels, _self_]\nname: tiny\nside: 4\n")
    with pytest.raises(ConfigError, match=r"mine\.yaml: model\.name says which model it is"):
        compose(["experiment=mine"], tmp_path)
    assert compose(["model=tiny"], tmp_path).model.name == "tiny"


def test_a_job_restores_the_sources_and_hydra_registers_its_own_beside_them() -> None:
    """What a cluster's node does, see ``Singleton.set_state``."""
    prepare_hydra()
    state = pickle.loads(cloudpickle.dumps(Singleton.get_state()))
    Singleton.set_state(state)
    assert SourcesRegistry.instance().types["file"] is TypedFiles
    assert SourcesRegistry.instance().types["pkg"] is TypedPackages
