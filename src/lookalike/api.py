"""Experiments and sweeps from Python: in this process, with nothing of Hydra or logging left changed.

``lookalike`` exports these functions, and beside them ``points`` (:mod:`lookalike.report.frame`) and
``open_run`` (:mod:`lookalike.search`). What the caller can mend is raised as
:class:`~lookalike.errors.UserError`, whose message is one sentence of cause and cure; ConfigError, one of
them, has a sentence for each fault.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.config_loader import ConfigLoader
from hydra.types import RunMode
from omegaconf import DictConfig

from lookalike.config.composing import CONFIG_NAME, override_lines, parse, shipped_configs
from lookalike.config.typed import quoted
from lookalike.errors import ConfigError, UserError
from lookalike.machine.credentials import set_aside_all
from lookalike.progress import RichProgress
from lookalike.runs.paths import HomePaths
from lookalike.runs.record import Record
from lookalike.schemas import Experiment
from lookalike.sweep.blocks import candidates
from lookalike.sweep.ledger import LedgerJob
from lookalike.sweep.plan import OF_THE_SWEEP, sweep_name
from lookalike.sweep.run import Launch, SweepRequest
from lookalike.sweep.run import run_sweep as run_jobs
from lookalike.sweep.task import Outcome, Place, Services, SweepHere, Task

if TYPE_CHECKING:
    from PIL.Image import Image

    from lookalike.report.frame import Runs

OF_COMMANDS = ("hydra.", "hydra/", "sweep.detach=")
"""How overrides begin that choose where and how `lookalike run` runs its jobs."""


def compose(
    *overrides: str, root: str | Path | None = None, config_dir: str | Path | None = None
) -> Experiment:
    """Return the experiment that ``overrides`` describe, as `lookalike run` takes them.

    root: ``paths.root``, below which everything is written; default: LOOKALIKE_HOME, else the working
        directory.
    config_dir: a folder of configs of your own, as ``--config-dir``; ``conf/`` of the working directory is
        always one.

    Raises ConfigError when an override does not fit, or when they describe a sweep.

        lookalike.compose("dataset=folder", "dataset.root=~/Pictures", "index=ivf_flat", "index.nlist=64")
    """
    lines = _lines(overrides, root, config_dir)
    try:
        with shipped_configs() as loader:
            config = loader.load_configuration(CONFIG_NAME, lines, RunMode.RUN, from_shell=False)
    except ConfigError as error:
        faults = [fault.replace("add -m", "call lookalike.run_sweep") for fault in error.faults]
        raise ConfigError(faults) from error.__cause__
    if config.hydra.mode == RunMode.MULTIRUN:
        raise ConfigError([f"{' '.join(overrides)} is a sweep; call lookalike.run_sweep"])
    return parse(config)


def run_experiment(experiment: Experiment, *, quiet: bool = False) -> Record:
    """Perform or reuse every stage, measure every operating point, and return the record.

    The record lies in a new folder below ``<root>/outputs`` and is tracked as ``experiment.tracking`` says.
    quiet: show warnings only, instead of a line for each stage.

    Raises ConfigError with every fault that is known before any work, UserError for what comes up later. A
    run that failed or was interrupted after its first stage leaves a record as well.

        record = lookalike.run_experiment(lookalike.compose("model=pixels", "index=hnsw"))
    """
    folder = HomePaths(Path(experiment.paths.root).expanduser()).new_run(datetime.now())
    outcome = Task(RichProgress(quiet), _NoClosingTable()).perform(experiment, Place(folder.absolute()))
    return outcome.record or Record.load(folder)


def run_sweep(
    *overrides: str,
    blocks: Sequence[Sequence[str]] = (),
    root: str | Path | None = None,
    config_dir: str | Path | None = None,
    quiet: bool = False,
) -> list[Record]:
    """Run every combination of ``overrides``, one after the other, and return the records of the sweep.

    overrides: as `lookalike run -m` takes them: a comma separates values, ``index=flat,hnsw``. With
        ``sweep.name=…`` the same call does only what is missing or failed.
    blocks: several products instead of one, each a list of overrides: ``["index=hnsw", "search.k=10,100"]``.
    root, config_dir, quiet: as for :func:`compose` and :func:`run_experiment`.

    A job that fails is a record with ``status`` failed and its ``error``; the others go on. Raises
    ConfigError with every reason when no combination is possible, UserError when another process works on
    the sweep.

        records = lookalike.run_sweep("model=pixels", "index=flat,ivf_flat", "search=ladder")
    """
    lines = _lines(overrides, root, config_dir)
    if texts := [block for block in blocks if isinstance(block, str)]:
        raise ConfigError([f"the block {text!r} is a text; write a list of overrides" for text in texts])
    if blocks:
        products = [f"[{','.join(map(quoted, set_aside_all(block, os.environ)))}]" for block in blocks]
        lines.append(f"hydra.sweeper.blocks=[{','.join(products)}]")
    progress = RichProgress(quiet)
    with shipped_configs() as loader:
        config = loader.load_configuration(CONFIG_NAME, lines, RunMode.MULTIRUN, from_shell=False)
        arguments = list(config.hydra.overrides.task)
        choice = config.hydra.runtime.choices.get("experiment")
        request = SweepRequest(
            name=sweep_name(config.sweep.name, choice, arguments),
            folder=Path(config.hydra.sweep.dir).absolute(),
            arguments=["-m", *lines],
            resume=config.sweep.resume,
        )
        combinations = candidates(loader, config, arguments, progress)
        task = Task(progress, _NoClosingTable())
        launch = _launcher(task, loader, config)
        result = run_jobs(combinations, request, launch, services=task.services, progress=progress)
    return list(result.records)


def draw_front(
    of: Runs = None, *, root: str | Path | None = None, title: str = "Recall against latency"
) -> Image:
    """Return the recall–latency figure of operating points as an image, which a notebook shows.

    of, root: as for ``lookalike.points``. One colour an index family, its front connected; points that were
    not measured on equal terms get panels of their own. Raises UserError when nothing is found, or no point
    has both a recall and a latency.

        lookalike.draw_front("emoji").save("front.png")
    """
    from PIL import Image

    from lookalike.report.frame import chosen_runs
    from lookalike.report.pareto import draw_figure

    png = io.BytesIO()
    try:
        figure = draw_figure([run.record for run in chosen_runs(of, root)], title)
    except ValueError as error:
        raise UserError(f"{error}; time single queries: search.modes=[single,batch]") from error
    figure.savefig(png, format="png")
    return Image.open(png)


class _NoClosingTable(Services):
    """A notebook shows what it wants of the records."""

    def report(self, experiment: Experiment, records: Sequence[Record], folder: Path) -> None:
        """Print nothing."""


def _lines(overrides: Sequence[str], root: str | Path | None, config_dir: str | Path | None) -> list[str]:
    """Override lines as Hydra's grammar takes them; ConfigError for those that only a command can follow."""
    if of_commands := [line for line in overrides if line.startswith(OF_COMMANDS)]:
        raise ConfigError([f"{line} is for the command line; call `lookalike run`" for line in of_commands])
    lines = override_lines(overrides, config_dir)
    if root is not None:
        lines.append(f"paths.root={quoted(str(Path(root).expanduser().resolve()))}")
    return lines


def _launcher(task: Task, loader: ConfigLoader, config: DictConfig) -> Launch:
    """Return what runs the jobs of a sweep one after the other."""

    def run_job(job: LedgerJob, number: int) -> Outcome:
        own = tuple(line for line in job.overrides if not line.startswith(OF_THE_SWEEP))
        place = Place(Path(config.hydra.sweep.dir, job.folder).absolute(), own, in_sweep=True, number=number)
        return task.attempt(lambda: parse(loader.load_sweep_config(config, job.overrides)), place)

    def launch(jobs: Sequence[LedgerJob], here: SweepHere) -> list[Outcome]:
        task.sweep = here
        outcomes = [run_job(job, number) for number, job in enumerate(jobs)]
        task.release()
        return outcomes

    return launch
