"""Hydra's and OmegaConf's errors in our words: what is wrong, and what to do instead."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Collection

from hydra.errors import (
    HydraException,
    MissingConfigException,
    OverrideParseException,
    SearchPathException,
)
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError, YAMLError

from lookalike.errors import parser_reason

COMPOSING_ERRORS = (HydraException, OmegaConfBaseException, YAMLError, UnicodeDecodeError)
"""What composing a config raises for a fault of the user's; see also :func:`while_reading_yaml`."""
YAML_READER = "hydra._internal.core_plugins.file_config_source"

Rule = tuple[str, Callable[[re.Match[str], BaseException | None], str]]


def explain(error: Exception) -> str:
    """Cause and cure, on one line, for an error that composing a config raised.

    Falls back on the error's own words, so nothing is lost where Hydra says something new.
    """
    text = str(error)
    cause = error.__cause__ or error.__context__
    if isinstance(error, MissingConfigException):
        return _missing_config(error)
    if isinstance(error, OverrideParseException):
        return f"{error.override} cannot be read; write key=value, and quote an unusual value: key='…'"
    if isinstance(error, SearchPathException):
        return f"{text}; name a folder that exists"
    if isinstance(error, YAMLError | UnicodeDecodeError):
        return _no_yaml(error)
    for pattern, words in RULES:
        match = re.match(pattern, text)
        if match:
            return words(match, cause)
    said = " ".join(text.split())
    if isinstance(cause, OmegaConfBaseException):
        said = f"{said} ({_first_line(cause)})" if said else _first_line(cause)
    return said or type(error).__name__


def while_reading_yaml(error: BaseException) -> bool:
    """Whether an error was raised while Hydra read a file: a run may raise the like for other reasons."""
    return any(
        frame.f_globals.get("__name__") == YAML_READER for frame, _ in traceback.walk_tb(error.__traceback__)
    )


def suggestion(name: str, names: Collection[str]) -> str:
    """``" (did you mean nlist?)"`` when one of ``names`` is close to ``name``, else nothing."""
    from difflib import get_close_matches

    close = get_close_matches(name, names, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _missing_config(error: MissingConfigException) -> str:
    group, _, name = (error.missing_cfg_file or "").rpartition("/")
    if not group or not error.options:
        return f"{_first_line(error)}; check its spelling, and --config-name and --config-dir"
    choices = ", ".join(error.options)
    return f"{group}={name} does not exist{suggestion(name, error.options)}; choose one of {choices}"


def _no_yaml(error: YAMLError | UnicodeDecodeError) -> str:
    """With the file and the line, which PyYAML knows of nearly every fault."""
    if isinstance(error, UnicodeDecodeError):
        return f"a YAML file of --config-dir or conf/ is not UTF-8 ({parser_reason(error)}); save it as UTF-8"
    mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
    place = f"{mark.name}, line {mark.line + 1} is" if mark else "a config file is"
    reason = (error.problem if isinstance(error, MarkedYAMLError) else None) or parser_reason(error)
    return f"{place} no YAML ({reason}); mend it"


def _comma(match: re.Match[str], cause: BaseException | None) -> str:
    key, _, value = match[1].partition("=")
    if key == "index.factory":
        return f"{match[1]} holds a comma, which means a sweep; quote it twice: '{key}=\"{value}\"'"
    as_list = f", or write a list: {key}=[{value}]" if "." in key else ""
    return f"{match[1]} means a sweep, because of the comma; add -m to sweep{as_list}"


def _unknown_key(match: re.Match[str], cause: BaseException | None) -> str:
    key = match[1]
    section, _, name = key.rpartition(".")
    node = cause.parent_node if isinstance(cause, OmegaConfBaseException) else None
    names = [str(there) for there in node if there != "hydra"] if isinstance(node, DictConfig) else []
    chosen = node.get("family", node.get("name")) if isinstance(node, DictConfig) and section else None
    what = f"{section}={chosen} has no {name}" if chosen else f"there is no {key}"
    choices = (
        f"; it has {', '.join(names)}" if section and names else "; `lookalike run --help` lists the groups"
    )
    return f"{what}{suggestion(name, names)}{choices}"


def _wrong_type(match: re.Match[str], cause: BaseException | None) -> str:
    return f"{match[1]}: {_first_line(cause)}; give a value of the right type"


def _wrong_file(match: re.Match[str], cause: BaseException | None) -> str:
    key = re.search(r"full_key: (\S+)", match.string)
    where = f" at {key[1]}" if key else ""
    return f"config {match[1]}{where}: {match[2].rstrip('.')}; mend that file or its defaults list"


RULES: tuple[Rule, ...] = (
    (r"Ambiguous value for argument '(.*)'", _comma),
    (r"Sweep parameters '(.*)' requires --multirun", lambda match, _: f"{match[1]} is a sweep; add -m"),
    (
        r"Could not override '(.*)'\.\s+Did you mean to override (.*)\?",
        lambda match, _: f"{match[1]} is not chosen anywhere; did you mean {match[2]}?",
    ),
    (r"Could not override '(.*)'", _unknown_key),
    (r"Error merging override (.*)", _wrong_type),
    (r"In '(.*)': \w+ raised while composing config:\s*(.*)", _wrong_file),
)
"""What Hydra's messages begin with, and how to say it."""


def _first_line(error: BaseException | None) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")
