"""Faults of a command line in one sentence, with what was probably meant; argparse would print its usage."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

from lookalike.errors import UserError


class Parser(argparse.ArgumentParser):
    """Raises :class:`UserError` for what it cannot read; its subparsers do as well."""

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """The options; UserError that names the first argument that nothing takes."""
        options, left = self.parse_known_args(args, namespace)
        if left:
            refuse_unknown(self, self.prog, left)
        return options

    def error(self, message: str) -> NoReturn:
        """Raise the fault that argparse found, on one line."""
        raise UserError(parsing_error(self, self.prog, message))


def refuse_unknown(parser: argparse.ArgumentParser, command: str, unknown: Sequence[str]) -> NoReturn:
    """Raise UserError for the first of the arguments ``unknown`` that ``parser`` has no use for."""
    argument = next((each for each in unknown if each.startswith("-")), unknown[0])
    flag = argument.partition("=")[0]
    if not flag.startswith("-"):
        raise UserError(f"{command} has no use for {argument}; leave it out (`{command} --help`)")
    close = get_close_matches(flag, list(_options_of(parser)), n=1)
    cure = f"did you mean {close[0]}?" if close else f"`{command} --help` says what it takes"
    raise UserError(f"{command} has no {flag}; {cure}")


def parsing_error(parser: argparse.ArgumentParser, command: str, message: str) -> str:
    """What argparse says of a fault, with a cure."""
    words = " ".join(message.split())
    for action in parser._actions:
        if "invalid choice: " not in words or not isinstance(action.choices, dict):
            continue
        wrong = words.partition("invalid choice: ")[2].partition(" (")[0].strip("'\"")
        close = get_close_matches(wrong, action.choices, n=1)
        cure = f"did you mean {close[0]}?" if close else f"choose one of {', '.join(action.choices)}"
        return f"{command} has no {wrong}; {cure}"
    return f"{command}: {words}; `{command} --help` says what it takes"


def _options_of(parser: argparse.ArgumentParser) -> Iterator[str]:
    """The flags of ``parser`` and of what it hands on to."""
    for action in parser._actions:
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from _options_of(below)


def add_root_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--root``, see :func:`~lookalike.machine.filesystems.results_root`."""
    parser.add_argument(
        "--root", help="paths.root of the runs; default: LOOKALIKE_HOME, else the working directory"
    )
