"""What is handed to SLURM: jobs that build, then jobs that are timed, one that times again, one that gathers.

Jobs that need the same artifacts share one build job. Timing waits for all builds, so that it finds
everything made and has its node for itself. A timing job whose build failed makes up for it, or fails with
a record of its own: nothing is decided by a build job's end.
"""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lookalike.errors import UserError
from lookalike.runs.paths import SweepPaths
from lookalike.sweep.ledger import BUILD, COLLECT, FINAL, TIME, LedgerJob, Submission
from lookalike.sweep.slurm.jobs import PATIENCE, cancel_jobs

if TYPE_CHECKING:
    from submitit import Job

LARGEST_ARRAY = 1000
"""Tasks in one array; SLURM takes 1,001 unless a site says otherwise."""
COLLECTOR = {"cpus_per_task": 1, "mem_gb": 4, "timeout_min": 60, "exclusive": None, "gpus_per_node": None}
"""Resources of the job that gathers."""
ONLY_NOW = ("not available (down", "ReqNodeNotAvail")
"""Of sbatch's objections, those that time may mend."""
NUMBERS = (
    "timeout_min",
    "cpus_per_task",
    "gpus_per_node",
    "mem_gb",
    "signal_delay_s",
    "max_num_timeout",
    "array_parallelism",
)
NAMES = {  # ours, which are Hydra's launcher's -> submitit's for sbatch
    "name": "job_name",
    "timeout_min": "time",
    "mem_gb": "mem",
}

Arguments = Callable[[Sequence[LedgerJob], str], list[tuple[Any, ...]]]
"""(jobs, phase) -> what each task of the array calls its function with."""


def missing_parts() -> list[str]:
    """Return why nothing can be submitted from here, each with its cure."""
    faults = []
    try:
        import submitit  # noqa: F401
    except ImportError:
        faults.append(
            "submitit is not installed, and hydra/launcher=slurm_* needs it; "
            "pip install 'lookalike[slurm]', or leave hydra/launcher out"
        )
    if shutil.which("sbatch") is None or shutil.which("srun") is None:
        faults.append(
            "there is no sbatch here, so this machine is not of a SLURM cluster; "
            "run it on a login node, or leave hydra/launcher out"
        )
    return faults


@dataclass(frozen=True)
class Cluster:
    """How jobs are given to SLURM: ``hydra.launcher``, without Hydra."""

    parameters: Mapping[str, Any]
    """Of every job, by the names in ``conf/hydra/launcher``; None: the site's own default."""
    phases: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """``build`` and ``time``: what differs there; None: as everywhere."""
    folder: Path = SweepPaths(Path()).submissions / "%j"
    """Submitit's: scripts, logs and results; ``%j`` becomes the job's number."""
    largest_array: int = LARGEST_ARRAY

    def faults(self) -> list[str]:
        """Return what is wrong with the parameters, as far as it shows without SLURM."""
        settings = [(f"hydra.launcher.{name}", name, value) for name, value in self.parameters.items()]
        for phase, differing in self.phases.items():
            key = "timing" if phase == TIME else phase
            settings += [(f"hydra.launcher.{key}.{name}", name, value) for name, value in differing.items()]
        return [
            f"{path}={value} must be a number of at least 0"
            for path, name, value in settings
            if name in NUMBERS and value is not None and not _is_number(value)
        ]

    def refusal(self) -> str | None:
        """Return why SLURM refuses such jobs, asked without submitting any; None when it would take them.

        A partition without a free or working node is no reason: jobs may wait for it.
        """
        for phase in (BUILD, TIME):
            script = self._executor(phase)._make_submission_file_text("true", "trial")
            reason = _ask_sbatch(script)
            if reason is not None:
                return reason
        return None

    def submit_phases(
        self, jobs: Sequence[LedgerJob], function: Callable[..., Any], arguments: Arguments
    ) -> tuple[list[Submission], list[Job[Any]]]:
        """Submit the builds and, after them, the timing of ``jobs``; return also the timing jobs, in order.

        ``function`` is pickled for each task; its ``checkpoint`` says what one does that is started again.
        Raises :class:`UserError` when SLURM refuses; what was submitted before is taken back.
        """
        submissions: list[Submission] = []
        timing: list[Job[Any]] = []
        builds = list({job.builds: job for job in reversed(jobs)}.values())[::-1]
        try:
            for phase, whose in ((BUILD, builds), (TIME, list(jobs))):
                after = [each.job_id for each in submissions if each.phase == BUILD]
                for begin in range(0, len(whose), self.largest_array):
                    part = whose[begin : begin + self.largest_array]
                    made = self._submit_array(function, arguments(part, phase), phase, after)
                    number = made[0].job_id.partition("_")[0]
                    submissions.append(
                        Submission(phase, number, [job.folder for job in part], str(self.folder))
                    )
                    timing += made if phase == TIME else []
        except BaseException:
            with contextlib.suppress(UserError):
                cancel_jobs([each.job_id for each in submissions])
            raise
        return submissions, timing

    def submit_command(self, command: Sequence[str], phase: str, after: Sequence[str] = ()) -> Submission:
        """Submit one job that runs ``command`` once all jobs in ``after`` have ended, well or not.

        ``phase``: ``collect``, or ``final``, which gets what jobs that are timed get: a node for itself.
        """
        executor = self._executor(phase, after)
        if phase == COLLECT:
            executor.update_parameters(use_srun=False)
        with _refusals(), self._private_folder():
            job = executor._submit_command(shlex.join(command))
        return Submission(phase, job.job_id, [], str(self.folder))

    def _submit_array(
        self,
        function: Callable[..., Any],
        arguments: Sequence[tuple[Any, ...]],
        phase: str,
        after: Sequence[str],
    ) -> list[Job[Any]]:
        with _refusals(), self._private_folder():
            executor = self._executor(phase, after)
            submitted: list[Job[Any]] = executor.map_array(function, *zip(*arguments, strict=True))
        return submitted

    @contextlib.contextmanager
    def _private_folder(self) -> Iterator[None]:
        """Make submitit's folder; what is written there while the block runs is for this user alone.

        Pickles are programs: another user who could write them would run code as this one on a node.
        """
        before = os.umask(0o077)
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            if self.folder.parent.name == Cluster.folder.parent.name:  # also one that an older version made
                self.folder.parent.chmod(0o700)
            yield
        finally:
            os.umask(before)

    def _executor(self, phase: str, after: Sequence[str] = ()) -> Any:
        from lookalike.sweep.slurm.node import Executor

        own = self.phases.get(TIME if phase == FINAL else phase, {})
        differing = {name: value for name, value in own.items() if value is not None}
        options = {**self.parameters, **(COLLECTOR if phase == COLLECT else differing)}
        executor = Executor(self.folder, max_num_timeout=int(options.pop("max_num_timeout", None) or 0))
        executor.update_parameters(**_for_sbatch(options, phase, after))
        return executor


def _for_sbatch(options: dict[str, Any], phase: str, after: Sequence[str]) -> dict[str, Any]:
    """The parameters of submitit's executor; None and false are left out."""
    options = {name: value for name, value in options.items() if value is not None and value is not False}
    extra = {"requeue": True} if options.pop("requeue", False) else {"no-requeue": True}
    options["additional_parameters"] = extra | dict(options.get("additional_parameters", {}))
    options["ntasks_per_node"] = 1
    options["name"] = f"{options.get('name', 'lookalike')}-{phase}"
    if after:
        options["dependency"] = "afterany:" + ":".join(after)
    options["srun_args"] = ["--ntasks=1"]  # srun would fill a node that the job has for itself
    if "cpus_per_task" in options:  # since SLURM 22.05, srun no longer takes it from the job it is in
        options["srun_args"].append(f"--cpus-per-task={options['cpus_per_task']}")
    if "timeout_min" in options and "signal_delay_s" in options:  # a warning at the very start would be none
        options["signal_delay_s"] = min(options["signal_delay_s"], int(options["timeout_min"] * 60 / 4))
    if "mem_gb" in options:
        options["mem_gb"] = f"{int(options['mem_gb'] * 1024)}M"
    return {NAMES.get(name, name): value for name, value in options.items()}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _ask_sbatch(script: str) -> str | None:
    """Why SLURM would refuse ``script``; None when it would not, or does not say."""
    try:
        answer = subprocess.run(
            ["sbatch", "--test-only"],
            input=script,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    busy = any(word in answer.stderr for word in ONLY_NOW)
    return _refused(answer.stderr) if answer.returncode and not busy else None


def _refused(output: str) -> str:
    """The last word of sbatch, with what to do about it."""
    lines = [line.removeprefix("sbatch: ").removeprefix("error: ") for line in output.strip().splitlines()]
    reason = lines[-1].removeprefix("allocation failure: ") if lines else "no reason given"
    return (
        f"SLURM refuses such jobs ({reason}); give a partition, account, qos, constraint, time, memory and "
        "processors that this cluster has: hydra.launcher.partition=..."
    )


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """Turn sbatch's refusal into one sentence; submitit also prints it, which is once too often."""
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    except (FailedJobError, FailedSubmissionError) as error:
        raise UserError(_refused(str(error))) from None
