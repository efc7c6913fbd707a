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

Exit codes: 0 done, 1 something broke or a job of a sweep failed, 2 the user can mend it, 130 Ctrl-C.
"""

from __future__ import annotations

import errno
import gc
import os
import sys
from collections.abc import Sequence
from importlib import import_module

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
    "sweep": "how sweeps stand, and what to do about them: ls, status, collect, cancel, retry",
    "store": "look after what earlier runs left for reuse: ls, verify, prune",
    "mlflow": "open MLflow's UI on the local results",
    "sync": "show in MLflow what it lacks of the records; twice changes nothing",
    "doctor": "what this machine offers and lacks: devices, FAISS, threads, store, tracker, SLURM",
    "version": "say which version this is",
}
COMPLETION_FLAGS = ("-sc", "--shell-completion")
GARBAGE_THRESHOLD = 200_000
"""Objects between two garbage collections; with Python's 700, importing mlflow takes a second more."""

USAGE = """\
Which embedding model and which FAISS index find your images, at what cost.

usage: lookalike VERB ...

{verbs}

`lookalike VERB --help` says more; `lookalike run --help` lists what can be composed.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line says and return the exit code; the entry point of the package."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(overview(), end="")
        return 0
    verb, rest = arguments[0], arguments[1:]
    if verb == "--version":
        verb = "version"
    if verb in COMPLETION_FLAGS:
        verb, rest = "completion", arguments
    elif verb not in VERBS:
        complain(unknown_verb(verb, arguments))
        return 2
    return _perform(verb, rest)


def _perform(verb: str, arguments: list[str]) -> int:
    """Run the verb's module; errors that the user can mend are one line, others keep their traceback."""
    gc.set_threshold(GARBAGE_THRESHOLD)
    from lookalike.errors import UserError

    try:
        code: int = import_module(f"lookalike.cli.{verb}").main(arguments)
    except UserError as error:
        complain(str(error))
        code = 2
    except KeyboardInterrupt:
        print("interrupted; what was finished is kept and reused next time", file=sys.stderr)
        code = 130
    except BrokenPipeError:  # `lookalike store ls | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        complain(
            f"{error.filename or 'a file'} cannot be written ({error.strerror}); "
            "free some space, or set paths.root to a folder on another disk"
        )
        code = 2
    finally:
        gc.freeze()  # nothing is left to collect that the end of the process does not free anyway
    return code


def overview() -> str:
    """What ``lookalike --help`` prints."""
    return USAGE.format(verbs="\n".join(f"  {verb:<11}{what}" for verb, what in VERBS.items()))


def unknown_verb(verb: str, arguments: Sequence[str]) -> str:
    """What to do instead: overrides without a verb were meant for ``run``."""
    from difflib import get_close_matches

    if "=" in verb or verb in ("-m", "--multirun", "--cfg", "-c", "--info", "-i"):
        return f"overrides follow a verb; try: lookalike run {' '.join(arguments)}"
    close = get_close_matches(verb, VERBS, n=1)
    hint = f"did you mean {close[0]}?" if close else f"choose one of {', '.join(VERBS)}"
    return f"lookalike has no verb {verb}; {hint}"


def complain(message: str) -> None:
    """Print an error on standard error, each of its lines marked as one."""
    for line in message.splitlines():
        print(f"error: {line}", file=sys.stderr)
