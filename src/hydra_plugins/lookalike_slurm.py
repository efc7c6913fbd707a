"""Hydra's door to SLURM, ``hydra/launcher=slurm_cpu`` and ``slurm_gpu``: two phases, awaited or left alone.

Hydra imports this file in every application of the environment, so the rest is imported when it launches.
Without submitit (an extra) the launcher is there all the same, and says what is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

try:
    from hydra_plugins.hydra_submitit_launcher.submitit_launcher import SlurmLauncher
except ImportError:
    SlurmLauncher = Launcher

if TYPE_CHECKING:
    from lookalike.progress import Progress
    from lookalike.sweep.ledger import LedgerJob, Submission


class LookalikeSlurmLauncher(SlurmLauncher):  # type: ignore[misc, valid-type]
    """Builds first, each artifact once; then times, each job with a node for itself."""

    config: DictConfig
    hydra_context: HydraContext
    task_function: TaskFunction

    def __init__(self, **parameters: Any) -> None:
        plain = {key: _plain(value) for key, value in parameters.items()}
        self.submitit_folder = plain.pop("submitit_folder")
        self.phases = {"build": plain.pop("build", None) or {}, "time": plain.pop("timing", None) or {}}
        self.params = plain

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what jobs need; ConfigError when such jobs cannot be submitted, before anything is done."""
        from lookalike.errors import ConfigError
        from lookalike.sweep.slurm.submission import missing_parts

        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config
        if faults := missing_parts() or self._cluster.faults():
            raise ConfigError(faults)
        if refusal := self._cluster.refusal():
            raise ConfigError([refusal])

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Submit, wait for the timing jobs and return what they returned; Ctrl-C takes all of them back."""
        from lookalike.sweep.slurm.jobs import cancel_jobs, wait_for

        jobs = [self._described(overrides) for overrides in job_overrides]
        submissions, awaited = self._cluster.submit_phases(
            jobs, self, partial(self._arguments, initial_job_idx)
        )
        self._show_submissions(submissions)
        try:
            return wait_for(awaited, self.progress)
        except KeyboardInterrupt:
            cancel_jobs([each.job_id for each in submissions])
            raise

    def __call__(self, *arguments: Any) -> JobReturn:
        """Do one job, on a node; RuntimeError when its time ran out, with what the user may do."""
        from lookalike.sweep.slurm.node import OutOfTime, warned

        try:
            with warned():
                done: JobReturn = super().__call__(*arguments)
        except OutOfTime as end:
            raise RuntimeError(str(end)) from None
        return done

    def submit(
        self, jobs: Sequence[LedgerJob], final: Sequence[str], collect: Sequence[str]
    ) -> list[Submission]:
        """Submit the builds, the timing after them, then ``final`` and ``collect``; waits for none.

        These are commands; ``final`` may be none. UserError when SLURM refuses; then nothing of it stays in
        the queue.
        """
        from lookalike.sweep.ledger import COLLECT, FINAL
        from lookalike.sweep.slurm.jobs import cancel_jobs

        submissions, _ = self._cluster.submit_phases(jobs, self, partial(self._arguments, 0))
        try:
            for phase, command in ((FINAL, final), (COLLECT, collect)):
                if command:
                    after = [each.job_id for each in submissions if each.phase != "build"]
                    submissions.append(self._cluster.submit_command(command, phase, after))
        except BaseException:
            cancel_jobs([each.job_id for each in submissions])
            raise
        return submissions

    def run_on_node(self, command: Sequence[str]) -> None:
        """Run ``command`` on a node as jobs that are timed get it, and wait; Ctrl-C takes it back.

        UserError when SLURM refuses it, JobLost when it fails.
        """
        from lookalike.sweep.ledger import FINAL
        from lookalike.sweep.slurm.jobs import cancel_jobs, wait_for_command

        submission = self._cluster.submit_command(command, FINAL)
        self._show_submissions([submission])
        try:
            wait_for_command(submission.job_id, Path(submission.folder), self.progress)
        except KeyboardInterrupt:
            cancel_jobs([submission.job_id])
            raise

    @property
    def progress(self) -> Progress:
        """The task's."""
        from lookalike.progress import SILENT

        return getattr(self.task_function, "progress", SILENT)

    @property
    def _cluster(self) -> Any:
        from lookalike.sweep.slurm.submission import Cluster

        return Cluster(self.params, self.phases, Path(self.submitit_folder).absolute())

    def _arguments(self, first: int, jobs: Sequence[LedgerJob], phase: str) -> list[tuple[Any, ...]]:
        """What a node calls the launcher with, which is pickled: see its base class."""
        only = ["sweep.phase=build"] if phase == "build" else []
        state = Singleton.get_state()
        return [
            ([*job.overrides, *only], "hydra.sweep.dir", first + number, f"{phase} {first + number}", state)
            for number, job in enumerate(jobs)
        ]

    def _described(self, overrides: Sequence[str]) -> LedgerJob:
        """One of Hydra's jobs as the ledger knows them: what matters here is what it builds."""
        from lookalike.config.composing import parse
        from lookalike.config.planning import plan
        from lookalike.sweep.ledger import LedgerJob
        from lookalike.sweep.plan import builds_key

        config = self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))
        sweep = getattr(self.task_function, "sweep", None)
        planned = sweep.plans.get(config.hydra.sweep.subdir) if sweep else None
        experiment = (planned or plan(parse(config))).experiment
        return LedgerJob("", list(overrides), [], {}, builds_key(experiment))

    def _show_submissions(self, submissions: Sequence[Submission]) -> None:
        counts = ", ".join(f"{len(each.tasks) or 1} to {each.phase} ({each.job_id})" for each in submissions)
        self.progress.say(f"SLURM: {counts}")


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
