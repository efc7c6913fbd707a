"""From ``hydra.sweeper.params``, ``.blocks`` and the command line to the jobs of a sweep, each composed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from lookalike.config.composing import parse
from lookalike.config.explaining import COMPOSING_ERRORS, explain
from lookalike.config.planning import count_gallery
from lookalike.config.typed import as_typed
from lookalike.errors import ConfigError
from lookalike.progress import Progress
from lookalike.runs.paths import SweepPaths
from lookalike.sweep.plan import Candidate

Multiply = Callable[[list[str]], list[list[str]]]
"""Override lines, some with several values, to the overrides of each job of their product."""

_BEFORE_A_KEY = re.compile(r"\s+(?=[+~]*[\w./@-]+=)")


def candidates(
    loader: ConfigLoader, config: DictConfig, arguments: Sequence[str], progress: Progress
) -> list[Candidate]:
    """Return every combination that a sweep asks for, composed, or with the reasons why it is impossible.

    ``config`` is the sweep's, composed by ``loader`` for ``arguments``; its ``hydra.sweeper`` may add
    ``params`` and ``blocks``. A dataset that several combinations have is counted once.
    """
    sweeper = config.hydra.sweeper
    parser = OverridesParser.create(config_loader=loader)
    rows: dict[str, int] = {}

    def multiply(lines: list[str]) -> list[list[str]]:
        """Hydra's product of override lines: ``a=1,2 b=range(3)`` is six jobs."""
        [jobs] = BasicSweeper.split_arguments(parser.parse_overrides(as_typed(lines)), None)
        return [list(job) for job in jobs]

    def candidate(lines: list[str]) -> Candidate:
        def count(_: object) -> int:
            key = repr((experiment.dataset, experiment.paths))
            if key not in rows:
                rows[key] = count_gallery(experiment, progress)
            return rows[key]

        try:
            experiment = parse(loader.load_sweep_config(config, lines))
            return Candidate.of(lines, experiment, count)
        except COMPOSING_ERRORS as error:
            return Candidate(tuple(lines), None, (explain(error),))
        except ConfigError as error:
            return Candidate(tuple(lines), None, error.faults)

    blocks = sweeper.blocks or ()
    if SweepPaths(Path(config.hydra.sweep.dir)).ledger.exists():  # perhaps begun when blocks were texts
        blocks = [split_text(block) if isinstance(block, str) else block for block in blocks]
    jobs = job_lines(sweeper.params or {}, blocks, arguments, multiply)
    return [candidate(lines) for lines in jobs]


def job_lines(
    params: Mapping[str, object],
    blocks: Sequence[Sequence[str]],
    arguments: Sequence[str],
    multiply: Multiply,
) -> list[list[str]]:
    """Return the overrides of every job: the union over ``blocks`` of params × block × arguments in order.

    Each block is a list of overrides; without blocks there is one product. Where two of them set the same
    thing, the later one wins, so the command line narrows what a config sweeps. Jobs with the same overrides
    come once. Raises :class:`ConfigError` for a block that is a text.
    """
    for block in blocks:
        if isinstance(block, str):
            raise ConfigError(
                [
                    f"hydra.sweeper.blocks has the text {block!r}; write a block as a list of its overrides: "
                    f"{json.dumps(split_text(block), ensure_ascii=False)}"
                ]
            )
    common = [f"{key}={value}" for key, value in params.items()]
    sweeps = [[str(line) for line in block] for block in blocks] or [[]]
    jobs = [job for block in sweeps for job in multiply([*common, *block, *arguments])]
    return [list(job) for job in dict.fromkeys(map(tuple, jobs))]


def split_text(block: str) -> list[str]:
    """Return the overrides in a block that is a text: sweeps of earlier versions have such blocks."""
    return [line for line in _BEFORE_A_KEY.split(block.strip()) if line]
