"""``lookalike run``: a Hydra application, with its errors in our words."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import NoReturn

import hydra
from hydra._internal.hydra import Hydra
from hydra._internal.utils import get_args_parser
from hydra.core.utils import configure_log
from hydra.types import RunMode
from omegaconf import DictConfig

from lookalike.cli import FULL_ERROR, complain
from lookalike.cli.parsing import parsing_error, refuse_unknown
from lookalike.config.composing import CONFIG_NAME, conf_folder, expand_home, prepare_hydra
from lookalike.config.explaining import COMPOSING_ERRORS, explain
from lookalike.config.typed import as_typed
from lookalike.errors import UserError
from lookalike.machine.credentials import conceal_all, set_aside_all
from lookalike.machine.filesystems import OTHER_ROOT
from lookalike.progress import RichProgress
from lookalike.runs.record import Record
from lookalike.schemas import Experiment
from lookalike.sweep.task import Services, Task

MISUSE = ("Only one of --", "The --resolve flag")
"""How Hydra's plain ValueErrors about its flags begin."""


COMMAND = "lookalike run"
SHOWING = ("--cfg", "-c", "--info", "-i")
"""Flags of Hydra that show a config instead of running it."""
QUIET, JSON = "--quiet", "--json"
"""Ours, not Hydra's: no lines but warnings, and then only the results' folder; one JSON object instead."""


class ForScripts(Services):
    """Ends with what a program reads: the folder of the results, or all of them as JSON."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json

    def report(self, experiment: Experiment, records: Sequence[Record], folder: Path) -> None:
        """One line on standard output."""
        from lookalike.sweep.closing import report_json

        if self.as_json:
            report_json(records, folder)
        else:
            print(folder)


def main(arguments: Sequence[str], task: Task | None = None) -> int:
    """Take all that Hydra's users expect: overrides, -m, --cfg, --info, --config-dir, hydra.*, completion."""
    if {"-h", "--help"} & set(arguments):
        from lookalike.cli.help import print_run_help

        print_run_help()
        return 0
    quiet, as_json = QUIET in arguments, JSON in arguments
    arguments = [argument for argument in arguments if argument not in (QUIET, JSON)]
    arguments = set_aside_all(arguments, os.environ)
    services = ForScripts(as_json) if quiet or as_json else Services()
    prepare_hydra()
    application = hydra.main(str(conf_folder()), CONFIG_NAME, version_base="1.3")(
        task or Task(RichProgress(quiet), services)
    )
    try:
        with (
            _hydra_raises(),
            _composed_once(arguments),
            _command_line(arguments),
            _shown_without_secrets(arguments),
        ):
            application()
    except COMPOSING_ERRORS as error:
        if os.environ.get(FULL_ERROR) == "1":
            raise
        complain(explain(error))
        return 2
    except ValueError as error:
        if not str(error).startswith(MISUSE):
            raise
        complain(f"{error}; leave one out")
        return 2
    except OSError as error:  # of Hydra, which makes the folder of the output; the task returns its own
        if error.filename is None or os.environ.get(FULL_ERROR) == "1":
            raise
        complain(f"{error.filename} cannot be written ({error.strerror}); {OTHER_ROOT}")
        return 2
    except SystemExit as end:  # argparse, and Task for a run that failed
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    return 0


@contextmanager
def _shown_without_secrets(arguments: Sequence[str]) -> Iterator[None]:
    """What ``--cfg`` and ``--info`` print may quote a secret from the environment, which is left out."""
    if not any(argument.partition("=")[0] in SHOWING for argument in arguments):
        yield
        return
    shown = io.StringIO()
    try:
        with redirect_stdout(shown):
            yield
    finally:
        print(conceal_all(shown.getvalue()), end="")


@contextmanager
def _hydra_raises() -> Iterator[None]:
    """Hydra raises its errors instead of printing them and exiting."""
    before = os.environ.get(FULL_ERROR)
    os.environ[FULL_ERROR] = "1"
    try:
        yield
    finally:
        del os.environ[FULL_ERROR]
        if before is not None:
            os.environ[FULL_ERROR] = before


@contextmanager
def _composed_once(arguments: Sequence[str]) -> Iterator[None]:
    """Let Hydra compose the config of a single run once, instead of also to see that it is not a sweep.

    That is a tenth of a second of each run. Where this is a sweep after all, Hydra goes its usual way.
    """
    if {"-m", "--multirun"} & set(arguments):
        yield
        return
    compose, get_mode = Hydra.compose_config, Hydra.get_mode
    composed: dict[tuple[str | None, ...], DictConfig] = {}

    def mode_of(self: Hydra, config_name: str | None, overrides: list[str]) -> RunMode | None:
        try:
            config = compose(self, config_name, overrides, RunMode.RUN)
        except Exception:  # a sweep's overrides, or faults that are raised again where it is run
            mode: RunMode | None = get_mode(self, config_name, overrides)
            return mode
        if config.hydra.mode == RunMode.MULTIRUN:
            return RunMode.MULTIRUN
        composed[config_name, *overrides] = config
        return RunMode.RUN

    def compose_unless_done(
        self: Hydra, config_name: str | None, overrides: list[str], run_mode: RunMode, **options: bool
    ) -> DictConfig:
        config = composed.pop((config_name, *overrides), None) if run_mode == RunMode.RUN else None
        if config is None:
            return compose(self, config_name, overrides, run_mode, **options)
        if options.get("with_log_configuration"):
            configure_log(config.hydra.hydra_logging, config.hydra.verbose)
        return config

    Hydra.compose_config = compose_unless_done  # type: ignore[method-assign, assignment]
    Hydra.get_mode = mode_of  # type: ignore[method-assign]
    try:
        yield
    finally:
        Hydra.compose_config, Hydra.get_mode = compose, get_mode  # type: ignore[method-assign]


def arranged(arguments: Sequence[str]) -> list[str]:
    """Overrides, then flags with their values: Hydra's parser takes no override after ``a=1 -m``.

    Raises UserError for a flag that there is not, or that misses its value: Hydra would print its usage.
    """
    parser = get_args_parser()
    with_value = {
        flag for action in parser._actions if action.nargs is None for flag in action.option_strings
    }
    overrides: list[str] = []
    flags: list[str] = []
    for argument in arguments:
        is_value = bool(flags) and flags[-1] in with_value
        is_override = "=" in argument and not argument.startswith("-") and not is_value
        (overrides if is_override else flags).append(argument)

    def refuse(message: str) -> NoReturn:
        raise UserError(parsing_error(parser, COMMAND, message))

    parser.error = refuse  # type: ignore[method-assign]
    for flag in (QUIET, JSON):
        parser.add_argument(flag, action="store_true")
    _, left = parser.parse_known_args([*overrides, *flags])
    if left:
        refuse_unknown(parser, COMMAND, left)
    return [*overrides, *flags]


@contextmanager
def _command_line(arguments: Sequence[str]) -> Iterator[None]:
    """Hydra reads ``sys.argv``; it is given the verb's arguments."""
    before = sys.argv
    sys.argv = ["lookalike", *as_typed(expand_home(arranged(arguments)))]
    try:
        yield
    finally:
        sys.argv = before
