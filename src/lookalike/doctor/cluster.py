"""SLURM, and the optional packages that are there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec

from lookalike.doctor.asking import Ask, ask
from lookalike.doctor.finding import Finding, note, ok, problem

SLURM, EXTRAS = "slurm", "extras"
PACKAGES = {
    "slurm": ("submitit", "hydra_plugins.hydra_submitit_launcher"),
    "text": ("sentencepiece", "google.protobuf"),
    "ui": ("streamlit",),
    "hdf5": ("h5py",),
    "huggingface": ("datasets",),
}
"""Extra -> what it brings."""
INSTALL = "pip install 'lookalike[{}]'"


def examine_slurm(
    ask: Ask = ask,
    environ: Mapping[str, str] = os.environ,
    which: Callable[[str], str | None] = shutil.which,
) -> Iterator[Finding]:
    """Its version and partitions, and whether this is a job; a note where there is none."""
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
    told = ask(["sinfo", "--noheader", "--format=%P|%a|%D|%c|%m|%G|%l"])
    if told is None:
        yield problem(
            SLURM, f"{version}, but its controller does not answer sinfo", "ask its admin, or try again later"
        )
    else:
        yield ok(SLURM, f"{version}; {_partitions(told.splitlines())}")
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
    """Whether all packages of the extra are installed; none is imported."""
    return all(_is_installed(package) for package in PACKAGES[extra])


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        return False


def examine_extras() -> Iterator[Finding]:
    """Which extras are there, and which are not."""
    there = [extra for extra in PACKAGES if has(extra)]
    yield ok(EXTRAS, f"installed: {', '.join(there) or 'none'}")
    if missing := [extra for extra in PACKAGES if extra not in there]:
        yield note(EXTRAS, f"not installed: {', '.join(missing)}", INSTALL.format(",".join(missing)))
