"""What a run computes with: torch's devices and a GPU that it cannot see, processors, memory, FAISS."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from lookalike.doctor.finding import Ask, Finding, ask, note, ok, problem
from lookalike.machine.cgroups import Limits
from lookalike.machine.environment import cores, cpu_flags, cpu_model
from lookalike.store.files import readable_bytes

DEVICE, THREADS, MEMORY, FAISS = "device", "threads", "memory", "faiss"
NVIDIA, AMD = "NVIDIA", "AMD"
CUDA_WHEELS = "https://pytorch.org/get-started/locally"
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
LOW_MEMORY_BYTES = 4 << 30


@dataclass(frozen=True)
class TorchView:
    """What torch says of itself."""

    version: str
    built_for: str
    """``cpu``, ``CUDA 12.8`` or ``ROCm 6.2``."""
    gpus: list[tuple[str, int]] = field(default_factory=list)
    """Name and memory in bytes."""
    dtypes: list[str] = field(default_factory=list)
    """That the first device computes with, in hardware."""
    has_mps: bool = False


def torch_view() -> TorchView:
    """Return what torch says of itself; importing it takes 1.5 s."""
    import torch

    hip, cuda = getattr(torch.version, "hip", None), torch.version.cuda
    gpus = []
    for number in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(number)
        gpus.append((properties.name, int(properties.total_memory)))
    dtypes = ["float32"]
    if gpus:
        dtypes += ["bfloat16"] * torch.cuda.is_bf16_supported() + ["float16"]
    built_for = f"ROCm {hip}" if hip else f"CUDA {cuda}" if cuda else "cpu"
    has_mps = bool(torch.backends.mps.is_available())
    return TorchView(torch.__version__, built_for, gpus, dtypes, has_mps)


def examine_devices(
    view: TorchView, cpu_flags: str, ask: Ask = ask, dev: Path = Path("/dev")
) -> Iterator[Finding]:
    """Yield the devices, and whether ``/dev``, ``nvidia-smi`` or ``lspci`` know a GPU that torch does not."""
    for number, (name, memory) in enumerate(view.gpus):
        yield ok(DEVICE, f"cuda:{number}: {name}, {readable_bytes(memory)}; {', '.join(view.dtypes)}")
    if view.has_mps:
        yield ok(DEVICE, "mps: Apple GPU; float32, float16")
    if not view.gpus and not view.has_mps:
        yield ok(DEVICE, f"cpu; float32{_fast_bfloat16(cpu_flags)}")
    yield ok(DEVICE, f"torch {view.version}, built for {view.built_for}")
    if not view.gpus and (seen := hidden_gpu(ask, dev)):
        vendor, what = seen
        yield problem(DEVICE, f"{what}, and torch {view.version} does not see it", _cure(vendor, view, dev))


def hidden_gpu(ask: Ask = ask, dev: Path = Path("/dev")) -> tuple[str, str] | None:
    """Return (vendor, what was seen) of a GPU that the system shows; None when it shows none."""
    listed = ask(["nvidia-smi", "-L"])
    if listed and (gpu := re.search(r"GPU 0: (.+?)(?: \(|$)", listed)):
        return NVIDIA, f"nvidia-smi shows {gpu[1]}"
    if any(re.fullmatch(r"nvidia\d+", path.name) for path in _listed(dev)):
        return NVIDIA, f"there is {dev}/nvidia0"
    if (dev / "kfd").exists():
        return AMD, f"there is {dev}/kfd, an AMD GPU's"
    for line in (ask(["lspci"]) or "").splitlines():
        if re.search(r"VGA compatible|3D controller|Display controller|Processing accelerators", line):
            for vendor, names in ((NVIDIA, "NVIDIA"), (AMD, r"AMD/ATI.*Instinct")):
                if re.search(names, line):
                    return vendor, f"lspci shows {line.partition(': ')[2]}"
    return None


def _cure(vendor: str, view: TorchView, dev: Path) -> str:
    wanted = "CUDA" if vendor == NVIDIA else "ROCm"
    if not view.built_for.startswith(wanted):
        return f"install a torch that is built for {wanted}: {CUDA_WHEELS}"
    if vendor == NVIDIA and not any(path.name.startswith("nvidia") for path in _listed(dev)):
        return "install the NVIDIA driver, nvidia-smi must work; start a container with --gpus all"
    return (
        f"its driver may be too old for {view.built_for}, or CUDA_VISIBLE_DEVICES hides it: "
        'python -c "import torch; torch.zeros(1).cuda()" says which'
    )


def _fast_bfloat16(flags: str) -> str:
    return "; bfloat16 in hardware" if re.search(r"\b(avx512_bf16|amx_bf16|bf16)\b", flags) else ""


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def examine_threads(
    limits: Limits,
    environ: Mapping[str, str] = os.environ,
    allowed: int | None = None,
    there: int | None = None,
) -> Iterator[Finding]:
    """Yield how many of the processors are allowed, and what the environment says of threads."""
    allowed = cores() if allowed is None else allowed
    there = os.cpu_count() or allowed if there is None else there
    which = "all" if allowed == there else f"{allowed} (cpuset or affinity)"
    yield ok(THREADS, f"{cpu_model()}: {which} of {there} processors")
    if limits.cpus is not None and limits.cpus < allowed:
        count = max(1, int(limits.cpus))
        yield ok(
            THREADS,
            f"a control group allows {limits.cpus:g} processors' time: all cores means "
            f"{count} thread{'s' * (count != 1)} here",
        )
    for name in THREAD_VARIABLES:
        if name in environ:
            yield note(
                THREADS, f"{name}={environ[name]} is set; Lookalike sets threads itself when it measures"
            )
    slurm = environ.get("SLURM_CPUS_PER_TASK") or environ.get("SLURM_CPUS_ON_NODE", "")
    if slurm.isdigit() and int(slurm) < allowed:
        yield note(
            THREADS,
            f"SLURM gave {slurm} processors and {allowed} may be used: the cluster does not confine its jobs",
            f"set search.threads={slurm}, or ask the admin for task/affinity or task/cgroup",
        )


def examine_memory(
    limits: Limits, total: int | None = None, available: int | None = None
) -> Iterator[Finding]:
    """Yield the memory there is and how much of it is available, in bytes; psutil's answers by default."""
    memory = psutil.virtual_memory()
    total = memory.total if total is None else total
    available = memory.available if available is None else available
    text = f"{readable_bytes(total)}, {readable_bytes(available)} available"
    if limits.memory_bytes is not None and limits.memory_bytes < total:
        available = min(available, limits.memory_bytes)
        text += f"; a control group allows {readable_bytes(limits.memory_bytes)}"
    if available < LOW_MEMORY_BYTES:
        yield note(MEMORY, text, "a million vectors of 768 dimensions are 3.1 GB: use ivf_sq8 or ivf_pq here")
    else:
        yield ok(MEMORY, text)


def examine_faiss() -> Iterator[Finding]:
    """Yield FAISS's version, compile options, GPUs, and OpenMP's threads."""
    import faiss

    options = faiss.get_compile_options().strip()
    gpus = faiss.get_num_gpus() if hasattr(faiss, "get_num_gpus") else 0
    with_gpu = f"{gpus} GPU{'s' * (gpus != 1)}" if gpus else "without GPU"
    threads = faiss.omp_get_max_threads()
    yield ok(FAISS, f"{faiss.__version__}, {options}, {with_gpu}, {threads} OpenMP threads")
    if re.search(r"\bavx2\b", cpu_flags()) and "AVX" not in options:
        yield note(
            FAISS, "this FAISS uses none of the processor's AVX", "install faiss-cpu's wheel from PyPI"
        )
