"""Hydra's door to :mod:`lookalike.sweep`: a sweeper whose jobs are a union of products.

Hydra imports this file in every application of the environment, so the rest is imported when it sweeps.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

if TYPE_CHECKING:
    from lookalike.sweep.ledger import LedgerJob, Submission
    from lookalike.sweep.task import Outcome, SweepHere, Task


ConfigStore.instance().store(
    group="hydra/sweeper",
    name="lookalike",
    provider="lookalike",
    # Not a dataclass: Hydra's scanner runs this file before it is in sys.modules, where dataclasses look.
    node={
        "_target_": "hydra_plugins.lookalike_sweeper.LookalikeSweeper",
        "max_batch_size": None,
        "params": None,  # override key -> its values, as on the command line: one product
        "blocks": [],  # each a list of overrides and a product of its own
    },
)


class LookalikeSweeper(BasicSweeper):
    """Plans before it works, goes on after failures, and always closes the parent run."""

    task: Task
    config: DictConfig
    hydra_context: HydraContext

    def __init__(
        self,
        max_batch_size: int | None = None,
        params: dict[str, Any] | None = None,
        blocks: Sequence[Sequence[str]] = (),
    ) -> None:
        super().__init__(max_batch_size, params)  # ``candidates`` reads params and blocks from the config

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep the task, which knows how to track and where progress is shown."""
        from lookalike.sweep.task import Task

        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        if not isinstance(task_function, Task):
            raise HydraException(
                "hydra/sweeper=lookalike sweeps `lookalike run` only; use hydra/sweeper=basic"
            )
        self.task = task_function

    def sweep(self, arguments: list[str]) -> None:
        """Measure what is left; SystemExit(1) in the end if a job failed, ConfigError if none is possible."""
        from lookalike.sweep.blocks import candidates
        from lookalike.sweep.plan import sweep_name
        from lookalike.sweep.run import SweepRequest, run_sweep

        options = self.config.sweep
        choice = self.config.hydra.runtime.choices.get("experiment")
        request = SweepRequest(
            name=sweep_name(options.name, choice, arguments),
            folder=Path(self.config.hydra.sweep.dir).absolute(),
            arguments=sys.argv[1:],
            resume=options.resume,
        )
        if options.detach:
            self._require_submission()
        result = run_sweep(
            candidates(self.hydra_context.config_loader, self.config, arguments, self.task.progress),
            request,
            lambda jobs, here: self._launch(jobs, request.folder, here),
            services=self.task.services,
            progress=self.task.progress,
            submit=self._submit if options.detach else None,
            on_node=getattr(self.launcher, "run_on_node", None),
        )
        if result.exit_code:
            raise SystemExit(result.exit_code)

    def _require_submission(self) -> None:
        """Only some launchers can hand jobs over and return."""
        from lookalike.errors import ConfigError

        if not hasattr(self.launcher, "submit"):
            chosen = self.config.hydra.runtime.choices.get("hydra/launcher")
            raise ConfigError(
                [
                    f"sweep.detach=true, and hydra/launcher={chosen} cannot go on without this process; "
                    "choose hydra/launcher=slurm_cpu or slurm_gpu, or leave sweep.detach out"
                ]
            )

    def _submit(
        self, jobs: Sequence[LedgerJob], folder: Path, final: Sequence[str], collect: Sequence[str]
    ) -> list[Submission]:
        self._keep_config(folder)
        submitted: list[Submission] = self.launcher.submit(jobs, final, collect)  # type: ignore[union-attr]
        return submitted

    def _keep_config(self, folder: Path) -> None:
        """Write the sweep's config where Hydra's own sweepers write it."""
        from lookalike.runs.paths import SweepPaths

        OmegaConf.save(self.config, SweepPaths(folder).composed)

    def _launch(self, jobs: Sequence[LedgerJob], folder: Path, here: SweepHere) -> list[Outcome]:
        self.task.sweep = here
        self._keep_config(folder)
        returns: list[JobReturn] = []
        for batch in self.split_overrides_to_chunks([job.overrides for job in jobs], self.max_batch_size):
            returns.extend(self.launcher.launch(batch, initial_job_idx=len(returns)))  # type: ignore[union-attr]
        self.task.release()
        return [_outcome(job) for job in returns]


def _outcome(job: JobReturn) -> Outcome:
    """What the task returned; a job that died around it failed as well."""
    from lookalike.sweep.task import Outcome

    if job.status == JobStatus.COMPLETED:
        outcome: Outcome = job.return_value
        return outcome
    return Outcome(job.working_dir or "", f"the job ended without a result: {job._return_value}", 1)
