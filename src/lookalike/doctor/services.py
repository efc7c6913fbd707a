"""What a run talks to: the tracker, SLURM, the model hub's cache; and the optional packages."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

from lookalike.doctor.finding import Ask, Finding, ask, note, ok, problem
from lookalike.errors import TrackingError
from lookalike.machine.credentials import conceal
from lookalike.schemas import Paths, Tracking
from lookalike.tracking.backend import Backend
from lookalike.tracking.home import DATABASE

TRACKING, SLURM, EXTRAS, MODELS = "tracking", "slurm", "extras", "models"
PACKAGES = {
    "slurm": ("submitit", "hydra_plugins.hydra_submitit_launcher"),
    "text": ("sentencepiece", "google.protobuf"),
    "ui": ("streamlit",),
    "hdf5": ("h5py",),
    "huggingface": ("datasets",),
}
"""Extra -> what it brings."""
INSTALL = "pip install 'lookalike[{}]'"
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")
YES = ("1", "on", "yes", "true")


def examine_tracking(config: Tracking, root: Path, mlruns: str = Paths.mlruns) -> Iterator[Finding]:
    """Yield whether the server answers, or what the local database holds; nothing is created."""
    if config.kind == "none":
        yield note(TRACKING, "none: records and reports in the output folders are all there is")
        return
    if config.kind == "server":
        yield _server(config)
        return
    yield _local(root / mlruns / DATABASE)
    if found := Backend.in_folder(root / mlruns).network_file_system:
        yield problem(
            TRACKING,
            f"SQLite on a network file system ({found.type}): several machines cannot write to it, so the "
            "jobs of a sweep are logged by the one process that gathers them",
            "use tracking=server to see points as they come",
        )


def _server(config: Tracking) -> Finding:
    if not config.uri:
        return problem(TRACKING, "tracking=server without an address", "set tracking.uri=http://HOST:PORT")
    try:
        backend = Backend.on_server(config.uri)
    except TrackingError as error:
        text, _, cure = str(error).partition("; ")
        return problem(TRACKING, text, cure)
    answers = "answers" if backend.uri.startswith("http") else "is a database that MLflow opens itself"
    return ok(TRACKING, f"the server at {conceal(backend.uri)} {answers}; experiment {config.experiment}")


def _local(database: Path) -> Finding:
    if not database.exists():
        return ok(TRACKING, f"local: SQLite in {database}, which the first run makes")
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            [runs] = connection.execute("SELECT count(*) FROM runs").fetchone()
    except sqlite3.Error as error:
        return problem(
            TRACKING,
            f"{database} cannot be read ({error})",
            "move it aside and rebuild it from the records: lookalike sync",
        )
    return ok(TRACKING, f"local: SQLite in {database}, {runs:,} runs")


def examine_slurm(
    ask: Ask = ask,
    environ: Mapping[str, str] = os.environ,
    which: Callable[[str], str | None] = shutil.which,
) -> Iterator[Finding]:
    """Yield SLURM's version and partitions, and whether this is a job; a note where there is no SLURM."""
    if which("sbatch") is None:
        yield note(
            SLURM, "no sbatch here: sweeps run on this machine", "log in where SLURM is to use its launchers"
        )
        return
    version = ask(["sbatch", "--version"])
    if version is None:
        yield problem(
            SLURM,
            "there is an sbatch, but it does not start",
            "set SLURM_CONF or load the site's module; `sbatch --version` says what it lacks",
        )
        return
    if not has("slurm"):
        yield problem(SLURM, f"{version}, but submitit is not installed", INSTALL.format("slurm"))
    partitions = ask(["sinfo", "--noheader", "--format=%P|%a|%D|%c|%m|%G|%l"])
    if partitions is None:
        yield problem(
            SLURM, f"{version}, but its controller does not answer sinfo", "ask its admin, or try again later"
        )
    else:
        yield ok(SLURM, f"{version}; {_partitions(partitions.splitlines())}")
    if job := environ.get("SLURM_JOB_ID"):
        yield ok(SLURM, f"inside job {job} on {environ.get('SLURMD_NODENAME', 'an unnamed node')}")


def _partitions(lines: Sequence[str]) -> str:
    shown = []
    for line in lines:
        name, state, nodes, cpus, megabytes, gpus, longest = (line.split("|") + [""] * 7)[:7]
        size = megabytes.rstrip("+")
        memory = f", {int(size) / 1024:.0f} GB" if size.isdigit() else ""
        extra = f", {gpus}" if gpus not in ("", "(null)") else ""
        down = "" if state == "up" else f" ({state})"
        plural = "" if nodes == "1" else "s"
        shown.append(f"{name}{down} {nodes} node{plural} of {cpus} cpus{memory}{extra}, at most {longest}")
    return "partitions: " + "; ".join(shown) if shown else "no partitions"


def has(extra: str) -> bool:
    """Return whether all packages of the extra are installed; none is imported."""
    return all(_is_installed(package) for package in PACKAGES[extra])


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        return False


def examine_extras() -> Iterator[Finding]:
    """Yield which extras are installed, and which are not."""
    there = [extra for extra in PACKAGES if has(extra)]
    yield ok(EXTRAS, f"installed: {', '.join(there) or 'none'}")
    if missing := [extra for extra in PACKAGES if extra not in there]:
        yield note(EXTRAS, f"not installed: {', '.join(missing)}", INSTALL.format(",".join(missing)))


def hub_cache(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder in which huggingface_hub keeps what it downloads."""
    if named := environ.get("HF_HUB_CACHE") or environ.get("HUGGINGFACE_HUB_CACHE"):
        return Path(named).expanduser()
    caches = Path(environ.get("XDG_CACHE_HOME", "~/.cache"))
    return Path(environ.get("HF_HOME", caches / "huggingface")).expanduser() / "hub"


def examine_models(environ: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Yield what the cache holds, and the offline variables; no network is used."""
    cache = hub_cache(environ)
    try:
        names = sorted(path.name for path in cache.iterdir() if path.name.startswith("models--"))
    except OSError:
        names = []
    models = [name.removeprefix("models--").replace("--", "/") for name in names]
    yield ok(MODELS, f"hub cache {cache}: {', '.join(models) or 'empty'}")
    offline = [name for name in OFFLINE if environ.get(name, "").lower() in YES]
    if offline:
        yield note(
            MODELS,
            f"{', '.join(offline)} set: nothing is downloaded here",
            "fetch models where there is a network: lookalike fetch model=siglip_base",
        )
