"""Child processes that run Python: each is started here, isolated from the folder it is started in.

``python -m`` puts the working directory first on the module search path, so that a ``faiss.py`` or
``mlflow.py`` that lies where ``lookalike`` is typed would be executed. ``-P`` prevents that in a child,
``PYTHONSAFEPATH`` in the processes that the child starts in turn (MLflow's workers, for example).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ISOLATED = ("-P",)
"""Options of the interpreter that keep the working directory off the module search path."""


def python_command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs ``module`` as a program, isolated, with this interpreter."""
    return [sys.executable, *ISOLATED, "-m", module, *arguments]


def child_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment for a child, with ``extra`` in it and grandchildren isolated too."""
    return {**os.environ, "PYTHONSAFEPATH": "1", **(extra or {})}


def run_module(
    module: str,
    *arguments: str,
    input_text: str | None = None,
    timeout_seconds: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run ``module`` as a program in a child process, isolated, and return what it printed and its exit code.

    Raises subprocess.TimeoutExpired, the child killed, after ``timeout_seconds``. A child that is to take
    no more memory than it needs calls :func:`bound_this_process`.
    """
    with subprocess.Popen(
        python_command(module, *arguments),
        stdin=subprocess.DEVNULL if input_text is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=child_environment(),
    ) as child:
        try:
            out, err = child.communicate(input_text, timeout_seconds)
        except BaseException:
            child.kill()
            raise
    return subprocess.CompletedProcess(child.args, child.returncode, out, err)


SPARE_BYTES = 512 << 20
"""Address space beyond what a file explains: tables of the libraries, and Python's."""
LEAST_CPU_SECONDS, BYTES_PER_CPU_SECOND = 10, 5_000_000
"""What reading any file may take, and what each of its bytes adds."""
WALL_TO_CPU = 10
"""So much longer than its processor time may a child take: others share the machine, disks are slow."""


def cpu_seconds_for(file_bytes: int) -> int:
    """Return the processor time that reading a sound file of that size cannot exceed."""
    return LEAST_CPU_SECONDS + file_bytes // BYTES_PER_CPU_SECOND


def bound_this_process(more_memory_bytes: int, cpu_seconds: int) -> None:
    """Take from this process what reading a sound file does not need, once its libraries are loaded.

    It may grow by ``more_memory_bytes`` of address space (Linux alone), take ``cpu_seconds`` of processor
    time in all, and leaves no core file when it crashes.
    """
    try:
        import resource
    except ImportError:
        return  # not POSIX: the parent's patience is the only bound
    bounds = [(resource.RLIMIT_CORE, 0), (resource.RLIMIT_CPU, cpu_seconds)]
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        bounds.append((resource.RLIMIT_AS, pages * resource.getpagesize() + more_memory_bytes))
    except OSError:
        pass  # macOS
    for kind, most in bounds:
        try:
            resource.setrlimit(kind, (most, most))
        except (ValueError, OSError):
            continue  # a stricter bound holds already, or this system does not know it


def how_it_ended(done: subprocess.CompletedProcess[str]) -> str:
    """Return, for a message, why a child that was to read a file gave no answer."""
    if -done.returncode in (signal.SIGXCPU, signal.SIGKILL):
        return "reading it takes more time or memory than its size explains"
    if done.returncode < 0:
        return f"reading it ended in {signal.Signals(-done.returncode).name}"
    last = (done.stderr.strip().splitlines() or [f"reading it ended with {done.returncode}"])[-1]
    if last.startswith("MemoryError"):
        return "reading it takes more memory than its size explains"
    return "".join(sign for sign in last if sign.isprintable())
