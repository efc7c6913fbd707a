"""Hydra's and OmegaConf's errors in plain words: what is wrong, and what to do instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from difflib import get_close_matches

from hydra.errors import (
    HydraException,
    MissingConfigException,
    OverrideParseException,
    SearchPathException,
)
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from lookalike.config.settings import identities, rule_of, settings, text_settings
from lookalike.config.typed import pasted, text_of

COMPOSING_ERRORS = (HydraException, OmegaConfBaseException)
"""What composing a config raises for a fault of the user's, beside ConfigError."""
MOST_MEANT = 4
"""Settings of one name that are still named when one of them may have been meant."""

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
        key, is_setting, value = error.override.partition("=")
        unusual = f", and quote an unusual value twice: {pasted(key, value)}" if is_setting else ""
        return f"{error.override} cannot be read; write key=value{unusual}"
    if isinstance(error, SearchPathException):
        return f"{text}; name a folder that exists"
    for pattern, words in RULES:
        match = re.match(pattern, text)
        if match:
            return words(match, cause)
    message = " ".join(text.split())
    if isinstance(cause, OmegaConfBaseException):
        message = f"{message} ({_first_line(cause)})" if message else _first_line(cause)
    return message or type(error).__name__


def suggestion(name: str, names: Collection[str]) -> str:
    """``" (did you mean nlist?)"`` when one of ``names`` is close to ``name``, else nothing."""
    close = get_close_matches(name, names, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _missing_config(error: MissingConfigException) -> str:
    group, _, name = (error.missing_cfg_file or "").rpartition("/")
    if not group or not error.options:
        return f"{_first_line(error)}; check its spelling, and --config-name and --config-dir"
    choices = ", ".join(error.options)
    return f"{group}={name} does not exist{suggestion(name, error.options)}; choose one of {choices}"


def _comma(match: re.Match[str], cause: BaseException | None) -> str:
    key, _, value = match[1].partition("=")
    name = key.lstrip("+")
    if name in text_settings():
        return (
            f"{match[1]} means a sweep, because of the comma; add -m to sweep, or, where the comma is part "
            f"of the text, quote it twice: {pasted(key, text_of(value))}"
        )
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
    return f"{what}{suggestion(name, names) or _elsewhere(key, name)}{choices}"


def _elsewhere(key: str, name: str) -> str:
    """``" (did you mean search.nprobe?)"``: settings of any section that are called so, or nearly so."""
    by_name: dict[str, list[str]] = {}
    for setting in settings():
        if setting not in identities():
            by_name.setdefault(setting.rpartition(".")[2], []).append(setting)
    close = [name] if name in by_name else get_close_matches(name, by_name, n=1)
    meant = [setting for found in close for setting in by_name[found] if setting != key]
    return f" (did you mean {' or '.join(meant)}?)" if 0 < len(meant) <= MOST_MEANT else ""


def _wrong_type(match: re.Match[str], cause: BaseException | None) -> str:
    key, _, value = match[1].lstrip("+").partition("=")
    rule = rule_of(key)
    if rule is not None:
        return f"{key} must be {rule.options()}, not {value}"
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
