"""From ``hydra.sweeper.params``, ``.blocks`` and the command line to the jobs of a sweep, each composed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from lookalike.config.composing import parse
from lookalike.config.explaining import COMPOSING_ERRORS, explain
from lookalike.config.faults import count_gallery
from lookalike.config.typed import as_typed
from lookalike.errors import ConfigError
from lookalike.progress import Progress
from lookalike.sweep.plan import Candidate

Multiply = Callable[[list[str]], list[list[str]]]
"""Override lines, some with several values, to the overrides of each job of their product."""

OPENING = {"[": "]", "(": ")", "{": "}"}
QUOTES = "'\""


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

    jobs = job_lines(sweeper.params or {}, sweeper.blocks or (), arguments, multiply)
    return [candidate(lines) for lines in jobs]


def job_lines(
    params: Mapping[str, object],
    blocks: Sequence[str | Sequence[str]],
    arguments: Sequence[str],
    multiply: Multiply,
) -> list[list[str]]:
    """The overrides of every job: the union over ``blocks`` of params × block × arguments, in that order.

    Where two of them set the same thing, the later one wins, so the command line narrows what a config
    sweeps. Without blocks there is one product. Jobs with the same overrides come once.
    """
    common = [f"{key}={value}" for key, value in params.items()]
    sweeps: list[list[str]] = [split_block(block) for block in blocks] or [[]]
    jobs = [job for block in sweeps for job in multiply([*common, *block, *arguments])]
    return [list(job) for job in dict.fromkeys(map(tuple, jobs))]


def split_block(block: str | Sequence[str]) -> list[str]:
    """``"index=ivf_flat search.nprobe=[1, 8]"`` to its overrides: blanks in quotes and brackets do not part.

    A block may be a list of overrides as well. Raises :class:`ConfigError` for a quote or bracket that
    does not end.
    """
    if not isinstance(block, str):
        return [str(line) for line in block]
    overrides: list[str] = []
    current = ""
    waiting_for: list[str] = []  # closing quote and brackets, innermost last
    for mark in block:
        if waiting_for and mark == waiting_for[-1]:
            waiting_for.pop()
        elif waiting_for and waiting_for[-1] in QUOTES:
            pass  # everything else inside quotes is text
        elif mark in QUOTES:
            waiting_for.append(mark)
        elif mark in OPENING:
            waiting_for.append(OPENING[mark])
        if mark.isspace() and not waiting_for:
            overrides.append(current)
            current = ""
        else:
            current += mark
    if waiting_for:
        raise ConfigError([f"hydra.sweeper.blocks: no {waiting_for[-1]} ends {block!r}; add it"])
    return [override for override in [*overrides, current] if override]
