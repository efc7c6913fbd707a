"""The ``lookalike`` command: one verb a module, imported when it is asked for.

    lookalike run        one experiment, or a sweep
    lookalike report     one page of any set of runs, and files for other programs
    lookalike query      the nearest images to an image or a caption
    lookalike ui         search a run's images in the browser
    lookalike judge      which of two runs' answers a person prefers
    lookalike export     what goes to production
    lookalike embeddings vectors from and for other programs
    lookalike fetch      download a model's weights beforehand
    lookalike index      what a FAISS file holds; indexes of shards built apart and merged
    lookalike sweep      how sweeps stand; gather, cancel or go on with one
    lookalike store      look after what earlier runs left for reuse
    lookalike mlflow     open MLflow's UI on the local results
    lookalike sync       show in MLflow what it lacks of the records
    lookalike doctor     what this machine is, and what is wrong with it
    lookalike version    say which version this is

Exit codes: 0 done, 1 something broke (its traceback is in a file that the error names: the run's folder, or a
temporary one) or a job of a sweep failed, 2 the user can mend it, 130 Ctrl-C.
"""

from __future__ import annotations

import errno
import gc
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

VERBS = {
    "run": "one experiment, or a sweep with -m: lookalike run index=hnsw search.ef_search=[16,64]",
    "report": "compare operating points on one page: table, fronts, a recommendation, what was lost",
    "query": "the nearest images of a run to an image or a caption: lookalike query cat.jpg",
    "ui": "search a run's images in the browser, by an image or a caption",
    "judge": "say blindly which of two runs answers better: lookalike judge RUN_A RUN_B",
    "export": "what goes to production: index, ids, model and a serve.py without lookalike",
    "embeddings": "vectors from and for other programs: import any format, export a run's",
    "fetch": "download a model's weights beforehand: lookalike fetch model=siglip_base",
    "index": "FAISS files: info of any, build of a part or the whole, merge of parts",
    "sweep": "how sweeps stand, and what to do about them: ls, status, collect, cancel, retry, time",
    "store": "look after what earlier runs left for reuse: ls, verify, prune",
    "mlflow": "open MLflow's UI on the local results",
    "sync": "show in MLflow what it lacks of the records; twice changes nothing",
    "doctor": "what this machine offers and lacks: devices, FAISS, threads, store, tracker, SLURM",
    "version": "say which version this is",
}
COMPLETION_FLAGS = ("-sc", "--shell-completion")
FULL_ERROR = "HYDRA_FULL_ERROR"
"""Hydra's variable: a user who sets it to 1 wants tracebacks, not sentences."""
FULL = (errno.ENOSPC, errno.EDQUOT)
PLACES = (
    *FULL,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENAMETOOLONG,
    errno.ELOOP,
    errno.EIO,
    errno.ESTALE,
)
"""Errors of the system that are about where a file is to lie: the user can mend them."""
GARBAGE_THRESHOLD = 200_000
"""Objects between two garbage collections; with Python's 700, importing mlflow takes a second more."""

WHAT_IT_IS = "Which embedding model and which FAISS index find your images, at what cost."
WHERE_MORE_IS = "`lookalike VERB --help` says more; `lookalike run --help` lists what can be composed."


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line says and return the exit code; the entry point of the package.

    Without ``argv`` this is the whole process: its standard streams are made ready for it.
    """
    from lookalike.terminal import streams

    if argv is None:
        streams.prepare()
    code = _dispatch(_without_passwords(sys.argv[1:] if argv is None else argv))
    if (failure := streams.failure_of_output()) is not None:
        complain(f"standard output cannot be written ({failure.strerror}); what was finished is kept")
        return code or 2
    return code


def _without_passwords(arguments: Sequence[str]) -> list[str]:
    """The arguments; passwords in addresses, and in MLFLOW_TRACKING_URI, are set aside first of all."""
    if os.environ.get("MLFLOW_TRACKING_URI") or any("=" in argument for argument in arguments):
        from lookalike.machine.credentials import set_aside_all, set_aside_environment

        secrets: dict[str, str] = {}
        without = set_aside_all(arguments, secrets)
        set_aside_environment(os.environ)
        os.environ.update(secrets)  # what the command line says counts for more
        return without
    return list(arguments)


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print_overview()
        return 0
    verb, rest = arguments[0], arguments[1:]
    if verb == "--version":
        verb = "version"
    try:
        Path.cwd()
    except FileNotFoundError:
        complain("the working directory was deleted; change to one that exists")
        return 2
    if verb in COMPLETION_FLAGS:
        verb, rest = "completion", arguments
    elif verb not in VERBS:
        complain(unknown_verb(verb, arguments))
        return 2
    return _perform(verb, rest)


def _perform(verb: str, arguments: list[str]) -> int:
    """Run the verb's module; every error is one line, and an unexpected one names its traceback's file."""
    gc.set_threshold(GARBAGE_THRESHOLD)
    from lookalike.errors import UserError

    try:
        code: int = import_module(f"lookalike.cli.{verb}").main(arguments)
    except UserError as error:
        complain(str(error))
        code = 2
    except KeyboardInterrupt as stop:
        complain(f"interrupted; {str(stop) or 'what was finished is kept and reused next time'}", mark="")
        code = 130
    except BrokenPipeError:  # a reader that left while this was a part of another program
        code = 0
    except Exception as error:
        if os.environ.get(FULL_ERROR) == "1":
            raise
        code = _explain(error)
    finally:
        gc.freeze()  # nothing is left to collect that the end of the process does not free anyway
    return code


def _explain(error: Exception) -> int:
    """Say in one line what stopped the verb; 2 when it is the place of a file, else 1."""
    if isinstance(error, OSError) and error.errno in PLACES:
        cure = "free some space there, or name" if error.errno in FULL else "name"
        complain(
            f"{error.filename or 'a file'} cannot be {'written' if error.errno in FULL else 'used'} "
            f"({error.strerror}); {cure} another place: paths.root of a run, --root of other verbs, "
            "or LOOKALIKE_HOME"
        )
        return 2
    from lookalike.terminal.crash import describe, keep_traceback

    complain(describe(error, keep_traceback(error)))
    return 1


def print_overview() -> None:
    """Print what every verb does."""
    from lookalike.terminal.printing import print_terms, print_wrapped

    print_wrapped(f"{WHAT_IT_IS}\n\nusage: lookalike VERB ...\n")
    print_terms(VERBS.items())
    print_wrapped(f"\n{WHERE_MORE_IS}")


def unknown_verb(verb: str, arguments: Sequence[str]) -> str:
    """What to do instead: overrides without a verb were meant for ``run``."""
    import shlex
    from difflib import get_close_matches

    if "=" in verb or verb.startswith("-"):
        return f"overrides follow a verb; try: lookalike run {shlex.join(arguments)}"
    close = get_close_matches(verb, VERBS, n=1)
    hint = f"did you mean {close[0]}?" if close else f"choose one of {', '.join(VERBS)}"
    return f"lookalike has no verb {verb}; {hint}"


def complain(message: str, mark: str = "error: ") -> None:
    """Print an error on standard error, each of its lines marked as one."""
    from lookalike.terminal.printing import print_wrapped

    if sys.stderr is not None:
        for line in message.splitlines():
            print_wrapped(f"{mark}{line}", sys.stderr)
