"""Tracking settings on the command line of other verbs than ``run``: ``tracking=server tracking.uri=…``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from lookalike.cli.parsing import add_root_option
from lookalike.config.composing import compose
from lookalike.errors import UserError
from lookalike.machine.filesystems import results_root
from lookalike.schemas import Tracking

GROUP = "tracking"


def add_home_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--root`` and ``--config-dir``."""
    add_root_option(parser)
    parser.add_argument("--config-dir", help="a folder with your own configs")


def root_of(options: argparse.Namespace) -> Path:
    """Return the root that ``--root`` or the environment names. Raises UserError without such a folder."""
    root = results_root(options.root)
    if not root.is_dir():
        raise UserError(f"there is no folder {root}; name the paths.root of your runs with --root")
    return root


def is_override(argument: str) -> bool:
    """Return whether ``argument`` sets something of the group ``tracking``."""
    return argument.partition("=")[0].lstrip("+").split(".")[0] == GROUP and "=" in argument


def compose_tracking(overrides: Sequence[str], config_dir: str | None) -> Tracking:
    """Return the tracking config that ``overrides`` compose. Raises ConfigError when they do not fit."""
    return compose(overrides, config_dir).tracking
