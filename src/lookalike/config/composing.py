"""Where configs are found, which schemas they inherit, and how a composed one becomes an Experiment."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import RunMode
from hydra.version import VersionBase, getbase
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from lookalike import schemas
from lookalike.config.explaining import COMPOSING_ERRORS, explain
from lookalike.config.settings import schemas_by_group
from lookalike.config.typed import as_typed, quoted, register_sources
from lookalike.errors import ConfigError
from lookalike.machine.credentials import set_aside, set_aside_all
from lookalike.queries.vectors import brings_queries

CONFIG_NAME = "config"


def conf_folder() -> Path:
    """The configs that Lookalike ships: inside the package (a wheel) or at the top of the checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "conf"
    return inside if inside.is_dir() else package.parents[1] / "conf"


class WorkingDirectoryConf(SearchPathPlugin):
    """Lets the configs in ``conf/`` of the working directory join the shipped ones.

    Registered by hand in :func:`prepare_hydra`: in ``hydra_plugins`` it would act on every Hydra
    application of the environment. Shipped configs come first, so another project's ``conf/config.yaml``
    cannot take Lookalike's place.
    """

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        folder = Path.cwd() / "conf"
        if folder.is_dir() and folder.resolve() != conf_folder():
            search_path.append(provider="working directory", path=f"file://{folder}")


def prepare_hydra() -> None:
    """Make schemas, search path and how files are read known to Hydra; needed before anything is composed."""
    Plugins.instance().register(WorkingDirectoryConf)
    register_sources()
    register_schemas()


@contextmanager
def shipped_configs() -> Iterator[ConfigLoader]:
    """Initialise Hydra on the shipped configs and yield its loader; its errors become :class:`ConfigError`.

    Afterwards Hydra is what it was before: a notebook may use it for applications of its own. Blocks may be
    nested, and stand inside a Hydra application.
    """
    import hydra

    plugins, sources, store = Plugins.instance(), SourcesRegistry.instance(), ConfigStore.instance()
    search_paths = plugins.plugin_type_to_subclass_list[SearchPathPlugin]
    before = list(search_paths), dict(sources.types), dict(store.repo)
    application, version = GlobalHydra.instance().hydra, getbase()
    prepare_hydra()
    GlobalHydra.instance().clear()
    try:
        with hydra.initialize_config_dir(str(conf_folder()), version_base="1.3", job_name="lookalike"):
            yield GlobalHydra.instance().config_loader()
    except COMPOSING_ERRORS as error:
        raise ConfigError([explain(error)]) from error
    finally:
        search_paths[:], sources.types, store.repo = before
        GlobalHydra.instance().hydra = application
        VersionBase.instance().version_base = version


def register_schemas() -> None:
    """Store every schema under ``schema/<group>/<name>``, and the whole as ``schema/experiment``."""
    store = ConfigStore.instance()
    store.store(group="schema", name="experiment", node=schemas.Experiment, provider="lookalike")
    for group, members in schemas_by_group().items():
        for name, schema in members.items():
            store.store(group=f"schema/{group}", name=name, node=schema, provider="lookalike")


def _expand_user(path: str) -> str:
    return str(Path(path).expanduser())


def _either(wanted: str | None, otherwise: str) -> str:
    return wanted or otherwise


# Registered on import: a cluster's job unpickles the task, which imports this module, before it resolves.
OmegaConf.register_new_resolver("expanduser", _expand_user, replace=True)
OmegaConf.register_new_resolver("either", _either, replace=True)


def expand_home(overrides: Sequence[str]) -> list[str]:
    """``dataset.root=~/Pictures`` with the home folder in it: shells leave the ``~`` and Hydra refuses it."""
    home = str(Path.home())
    return [re.sub(r"(?<=[=,\[])~(?=/|,|\]|$)", lambda _: home, line) for line in overrides]


def compose(overrides: Sequence[str] = (), config_dir: str | Path | None = None) -> schemas.Experiment:
    """Return the experiment that ``overrides`` describe; :class:`ConfigError` when they do not fit."""
    lines = override_lines(overrides, config_dir)
    with shipped_configs() as loader:
        return parse(loader.load_configuration(CONFIG_NAME, lines, RunMode.RUN, from_shell=False))


def override_lines(overrides: Sequence[str], config_dir: str | Path | None = None) -> list[str]:
    """Return ``overrides`` as Hydra's grammar takes them, so that text arrives as it was typed.

    ``~`` is the home folder, passwords are set aside, and ``config_dir`` joins the search path as
    ``--config-dir`` does.
    """
    lines = as_typed(set_aside_all(expand_home(overrides), os.environ))
    if config_dir is not None:
        folder = f"file://{Path(config_dir).expanduser().resolve()}"
        lines.append(f"hydra.searchpath=[{quoted(folder)}]")
    return lines


def parse(config: DictConfig) -> schemas.Experiment:
    """The composed config as dataclasses; its ``hydra`` node, if there is one, is left out.

    Raises :class:`ConfigError` for a value that is missing (``???``), cannot be resolved, or was added with
    ``+`` although no schema knows it.
    """
    plain = config.copy()
    with open_dict(plain):
        plain.pop("hydra", None)
    try:
        experiment = OmegaConf.to_object(plain)
    except OmegaConfBaseException as error:
        reason = str(error.msg or error).partition("\n")[0]
        raise ConfigError([f"{error.full_key or 'config'}: {reason}; set it to a value"]) from error
    if not isinstance(experiment, schemas.Experiment):
        raise ConfigError(
            ["the primary config is not an experiment; let it inherit /schema/experiment@_here_"]
        )
    if unknown := list(_unknown(experiment)):
        raise ConfigError([f"there is no setting {key}; leave it out" for key in unknown])
    if isinstance(experiment.queries, schemas.AutoQueries):
        experiment.queries = suitable_queries(experiment.queries, experiment.dataset)
    if experiment.tracking.uri:
        experiment.tracking.uri = set_aside(experiment.tracking.uri, os.environ)
    return experiment


def suitable_queries(chosen: schemas.AutoQueries, dataset: schemas.Dataset) -> schemas.Queries:
    """Return the protocol where none is named: edited copies of images; of ready vectors, which cannot be
    edited, the queries that came with them, else vectors of the gallery.
    """
    kind: type[schemas.CopiesQueries | schemas.InGalleryQueries | schemas.VectorsQueries] = (
        schemas.CopiesQueries
    )
    if isinstance(dataset, schemas.VectorDataset):
        own = isinstance(dataset, schemas.EmbeddingsDataset) and brings_queries(dataset)
        kind = schemas.VectorsQueries if own else schemas.InGalleryQueries
    shared = {name: getattr(chosen, name) for name in ("seed", "duplicates")}
    if kind is schemas.CopiesQueries:
        shared["edits"] = chosen.edits
    all_of_them = kind is schemas.VectorsQueries and chosen.n == "auto"
    return kind(n=None if all_of_them else chosen.n, **shared)


def _unknown(node: Any, path: str = "") -> Iterator[str]:
    """Keys below ``node`` that its dataclasses do not have."""
    known = {f.name for f in fields(node)}
    for name, value in vars(node).items():
        if name not in known:
            yield path + name
        elif is_dataclass(value):
            yield from _unknown(value, f"{path}{name}.")
