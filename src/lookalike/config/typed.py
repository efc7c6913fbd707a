"""Settings that are text arrive as they were typed: in overrides, in sweeps and in config files.

YAML and Hydra's grammar read ``2024_01_05`` as a number, ``on`` as true and ``1e3`` as 1000.0, and turn them
into text only afterwards; a bracket or an é makes them refuse the line. The schemas say which settings are
text, so their values are quoted before the grammar sees them.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.core_plugins.importlib_resources_config_source import ImportlibResourcesConfigSource
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from omegaconf import OmegaConf
from omegaconf._utils import get_yaml_loader

from lookalike.config.settings import identities, settings, text_settings
from lookalike.errors import ConfigError, parser_reason
from lookalike.machine.credentials import ENVIRONMENT, set_aside_in, set_aside_variable

GROUPS = ("dataset", "model", "queries", "index", "search", "tracking", "experiment")
"""Config groups: what is chosen there is the name of a file, which is text."""
FUNCTIONS = ("choice", "glob", "interval", "range", "shuffle", "sort", "tag", "extend_list")
"""Of Hydra's grammar: ``dataset.root=choice(a,b)`` sweeps; a folder that is called so has to be quoted."""

_LINE = re.compile(r"(?P<mode>\+{0,2})(?P<key>[\w./@$-]+?)=(?P<value>.*)", re.DOTALL)
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)
_PLAIN = re.compile(r"[A-Za-z0-9_/.:+@*%?|-]+")
_NUMBER = re.compile(
    r"[+-]?(?:(?:0|[1-9](?:_?\d)*)|(?:(?:0|[1-9](?:_?\d)*)\.|(?:0|[1-9](?:_?\d)*)?\.\d(?:_?\d)*)"
    r"|(?:(?:0|[1-9](?:_?\d)*)\.?|(?:0|[1-9](?:_?\d)*)?\.\d(?:_?\d)*)e[+-]?\d(?:_?\d)*|inf|nan)"
    r"|true|false",
    re.IGNORECASE,
)
"""What Hydra's grammar takes for a number or a truth value."""
_CALL = re.compile(rf"(?:{'|'.join(FUNCTIONS)})\s*\(.*\)", re.DOTALL)
_ENTRY = re.compile(
    r"(?P<before>[{,]\s*)(?P<name>\w+)(?P<colon>\s*:\s*)(?P<value>[^,{}\[\]'\"]+?)(?=\s*[,}])"
)
_STRING, _NULL = "tag:yaml.org,2002:str", "tag:yaml.org,2002:null"
_PACKAGE = re.compile(r"^\s*#\s*@package\s+(\S+)", re.MULTILINE)


# --- overrides ---------------------------------------------------------------------------------------------


def as_typed(lines: Sequence[str]) -> list[str]:
    """Override ``lines`` whose text Hydra's grammar reads as it was typed; doing it twice changes nothing.

    A comma still parts the values of a sweep, ``null`` is none and ``${…}`` an interpolation; text that
    stands in quotes means itself. Raises :class:`ConfigError` for lines that set what only the choice of a
    config may set, ``model.name`` for instance.
    """
    if faults := [fault for line in lines if (fault := _identity_fault(line))]:
        raise ConfigError(faults)
    return [_line_as_typed(line) for line in lines]


def quoted(text: str) -> str:
    """``text`` as Hydra's grammar takes any text that stands for itself, in single quotes."""
    return str(QuotedString(text.replace("${", "\\${"), Quote.single).with_quotes())


def pasted(key: str, text: str) -> str:
    """The override that sets ``key`` to ``text``, whatever it holds, as it is pasted into a shell."""
    whole = QuotedString(text.replace("${", "\\${"), Quote.double).with_quotes()
    return shlex.quote(f"{key}={whole}")


def text_of(value: str) -> str:
    """What was typed as the value of a text setting, without the quotes that :func:`as_typed` put there."""
    parser = OverridesParser.create()
    parts = _split_at_commas(value)
    return "".join(
        parser.parse_rule(part, "primitive").text.replace("\\${", "${") if _QUOTED.fullmatch(part) else part
        for part in parts
    )


def _identity_fault(line: str) -> str | None:
    match = _LINE.fullmatch(line)
    group = identities().get(match["key"]) if match else None
    if match is None or group is None:
        return None
    return _identity_words(match["key"], group)


def _identity_words(key: str, group: str) -> str:
    return (
        f"{key} says which {group} it is and comes from the choice {group}=…; leave it out, or give yours a "
        f"name in a config of its own, conf/{group}/NAME.yaml"
    )


def _line_as_typed(line: str) -> str:
    match = _LINE.fullmatch(line)
    if match is None:
        return line
    key, value = match["key"], match["value"]
    kind = settings().get(key)
    if value.startswith("{") and kind is not str:
        return _head(match) + _ENTRY.sub(lambda entry: _entry_as_typed(key, entry), value)
    if key in GROUPS or "/" in key:
        return line if value.startswith("[") else _head(match) + _values_as_typed(value)
    if kind == list[str] and value.startswith("[") and value.endswith("]"):
        return f"{_head(match)}[{_values_as_typed(value[1:-1])}]"
    if kind is str:
        return _head(match) + _values_as_typed(value)
    return line


def _head(match: re.Match[str]) -> str:
    return f"{match['mode']}{match['key']}="


def _entry_as_typed(section: str, entry: re.Match[str]) -> str:
    """``name: 2024_11`` in ``sweep={name: 2024_11}``."""
    is_text = settings().get(f"{section}.{entry['name']}") is str
    value = _value_as_typed(entry["value"]) if is_text else entry["value"]
    return f"{entry['before']}{entry['name']}{entry['colon']}{value}"


def _values_as_typed(value: str) -> str:
    parts = _split_at_commas(value)
    if len(parts) == 1:
        return _value_as_typed(value) if value else value
    return "".join(part if i % 2 else _value_as_typed(part) for i, part in enumerate(parts))


def _value_as_typed(value: str) -> str:
    if value.lower() == "null" or _QUOTED.fullmatch(value) or _CALL.fullmatch(value):
        return value
    if _PLAIN.fullmatch(value) and not _NUMBER.fullmatch(value):
        return value
    text = value.replace("\\,", ",")  # how Hydra's grammar writes a comma that parts nothing
    return str(QuotedString(_without_half_interpolations(text), Quote.single).with_quotes())


def _split_at_commas(value: str) -> list[str]:
    """The values of a sweep and, between them, the commas with the blanks around them.

    A comma in quotes or in brackets that are closed again parts nothing.
    """
    whole = _commas_outside(value, with_brackets=True)
    commas = _commas_outside(value, with_brackets=False) if whole is None else whole
    parts, begin = [], 0
    for comma in commas or []:
        end = len(value[:comma].rstrip())
        after = comma + 1 + len(value[comma + 1 :]) - len(value[comma + 1 :].lstrip())
        parts += [value[begin:end], value[end:after]]
        begin = after
    return [*parts, value[begin:]]


def _commas_outside(value: str, with_brackets: bool) -> list[int] | None:
    """Places of the commas outside of quotes and brackets; None when a bracket is not closed."""
    pairs = {"(": ")", "[": "]", "{": "}"}
    commas: list[int] = []
    waiting: list[str] = []
    place, begins = 0, True
    while place < len(value):
        mark = value[place]
        if begins and (match := _QUOTED.match(value, place)):
            place, begins = match.end(), False
            continue
        if mark == "," and not waiting and value[place - 1 : place] != "\\":
            commas.append(place)
        if with_brackets and mark in pairs:
            waiting.append(pairs[mark])
        elif with_brackets and mark in pairs.values() and (not waiting or waiting.pop() != mark):
            return None
        begins = mark in ",([{" or (begins and mark.isspace())
        place += 1
    return None if waiting else commas


def _without_half_interpolations(text: str) -> str:
    """OmegaConf reads ``${`` as the beginning of an interpolation, also where it never ends."""
    return re.sub(r"\$\{(?![^{}]*(?:\{[^{}]*\}[^{}]*)*\})", r"\\${", text)


# --- config files ------------------------------------------------------------------------------------------


class TypedFiles(FileConfigSource):
    """Config files of a folder."""

    def load_config(self, config_path: str) -> ConfigResult:
        """Raise ConfigLoadError when there is no such file, ConfigError when it cannot be read."""
        return _load(self, config_path, Path(self.path, self._normalize_file_name(config_path)))


class TypedPackages(ImportlibResourcesConfigSource):
    """Config files inside a Python package."""

    def load_config(self, config_path: str) -> ConfigResult:
        """Raise ConfigLoadError when there is no such file, ConfigError when it cannot be read."""
        return _load(self, config_path, files(self.path).joinpath(self._normalize_file_name(config_path)))


# A cluster's job restores Hydra's registry, these in it, and only then registers Hydra's own: it takes two
# classes of one name for the same and keeps the first, and refuses any other.
TypedFiles.__name__ = FileConfigSource.__name__
TypedPackages.__name__ = ImportlibResourcesConfigSource.__name__


def register_sources() -> None:
    """Let Hydra read config files by the sources of this module: text as written, without passwords."""
    SourcesRegistry.instance().types |= {"file": TypedFiles, "pkg": TypedPackages}


def _load(source: ConfigSource, config_path: str, file: Any) -> ConfigResult:
    if not file.is_file():
        raise ConfigLoadError(f"Config not found : {file}")
    try:
        text = file.read_text(encoding="utf-8")
        content = read_yaml(text, config_path)
    except UnicodeDecodeError as fault:
        raise ConfigError([f"{file} is not UTF-8 ({parser_reason(fault)}); save it as UTF-8"]) from None
    except OSError as fault:
        raise ConfigError([f"{file} cannot be read ({fault.strerror}); mend that"]) from None
    except (yaml.YAMLError, RecursionError) as fault:
        raise ConfigError([_no_yaml(file, fault)]) from None
    except _Misplaced as fault:
        raise ConfigError([f"{file}: {fault}"]) from None
    if not isinstance(content, dict):
        raise ConfigError([f"{file} holds no settings; write lines such as `limit: 100`"])
    return ConfigResult(
        config=OmegaConf.create(content),
        path=f"{source.scheme()}://{source.path}",
        provider=source.provider,
        header=source._get_header_dict(text[:512]),
    )


def _no_yaml(file: Any, fault: Exception) -> str:
    """With the line, which PyYAML knows of nearly every fault."""
    mark = fault.problem_mark if isinstance(fault, yaml.MarkedYAMLError) else None
    line = f", line {mark.line + 1}" if mark else ""
    reason = (fault.problem if isinstance(fault, yaml.MarkedYAMLError) else None) or parser_reason(fault)
    return f"{file}{line} is not YAML ({reason}); mend it"


class _Misplaced(Exception):
    """A setting that stands where it may not."""


@lru_cache(maxsize=512)
def read_yaml(text: str, config_path: str) -> Any:
    """The content of a config of Hydra's, ``config_path`` being ``group/name``: text settings as written.

    Passwords in addresses are set aside. Raises ``yaml.YAMLError``. Hydra composes each run twice, and a
    sweep once a point, of the same files: what was read is kept, so it is not to be changed.
    """
    loader = get_yaml_loader()(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return {}
        package = _package_of(text, config_path)
        own_group = config_path.partition("/")[0] if package == config_path.rpartition("/")[0] else None
        _mark_text(node, package.replace("/", "."), own_group)
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _package_of(text: str, config_path: str) -> str:
    """Where the settings of a config go: into its group, unless its first lines say otherwise."""
    group = config_path.rpartition("/")[0]
    match = _PACKAGE.search(text[:512])
    if match is None or match[1] == "_group_":
        return group
    return "" if match[1] == "_global_" else match[1]


def _mark_text(node: yaml.Node, path: str, own_group: str | None, is_text: bool = False) -> None:
    """Make text of the scalars below ``node`` that are text settings or override lines.

    ``own_group``: whose identity the file may set, being one of its configs.
    """
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            below = f"{path}.{key.value}".lstrip(".")
            group = identities().get(below)
            if group is not None and group != own_group:
                raise _Misplaced(_identity_words(below, group))
            of_lines = path == "hydra.sweeper.params" or below.startswith("hydra.sweeper.blocks")
            names_files = below == "defaults" or below.endswith(".defaults")
            _mark_text(
                value, below, own_group, is_text or of_lines or names_files or below in text_settings()
            )
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _mark_text(item, path, own_group, is_text)
    elif isinstance(node, yaml.ScalarNode):
        if is_text and node.style is None and node.tag != _NULL:
            node.tag = _STRING
        if path.startswith(ENVIRONMENT) and node.tag != _NULL:
            node.tag, node.value = (
                _STRING,
                set_aside_variable(path.removeprefix(ENVIRONMENT), node.value, os.environ),
            )
        elif node.tag == _STRING:
            node.value = set_aside_in(node.value, os.environ)
