"""Child processes that run Python: each is started here, isolated from the folder it is started in.

``python -m`` puts the working directory first on the module search path, so that a ``faiss.py`` or
``mlflow.py`` that lies where ``lookalike`` is typed would be executed. ``-P`` prevents that in a child,
``PYTHONSAFEPATH`` in the processes that the child starts in turn (MLflow's workers, for example).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping

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
    memory_bytes: int | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run ``module`` as a program in a child process, isolated, and return what it printed and its exit code.

    ``memory_bytes`` bounds the child's address space where the system can (Linux); an allocation beyond
    it fails in the child. Raises subprocess.TimeoutExpired, the child killed, after ``timeout_seconds``.
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
        if memory_bytes is not None:
            _bound_memory(child.pid, memory_bytes)
        try:
            out, err = child.communicate(input_text, timeout_seconds)
        except BaseException:
            child.kill()
            raise
    return subprocess.CompletedProcess(child.args, child.returncode, out, err)


def _bound_memory(pid: int, size: int) -> None:
    """Bound the address space of a process that has just started; from outside, as threads may run here."""
    try:
        import resource

        resource.prlimit(pid, resource.RLIMIT_AS, (size, size))  # type: ignore[attr-defined, unused-ignore]
    except (ImportError, AttributeError, OSError, ValueError):
        return  # not on this system, or the child has ended already
