"""What computes embeddings: the devices that torch has, their dtypes, and a GPU that it cannot see."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lookalike.doctor.asking import Ask, ask
from lookalike.doctor.finding import Finding, ok, problem
from lookalike.store.files import readable_bytes

TOPIC = "device"
NVIDIA, AMD = "NVIDIA", "AMD"
CUDA_WHEELS = "https://pytorch.org/get-started/locally"


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
    """Import torch (1.5 s) and ask it."""
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


def examine(view: TorchView, cpu_flags: str, ask: Ask = ask, dev: Path = Path("/dev")) -> Iterator[Finding]:
    """The devices, and whether ``/dev``, ``nvidia-smi`` or ``lspci`` know of a GPU that torch does not."""
    for number, (name, memory) in enumerate(view.gpus):
        yield ok(TOPIC, f"cuda:{number}: {name}, {readable_bytes(memory)}; {', '.join(view.dtypes)}")
    if view.has_mps:
        yield ok(TOPIC, "mps: Apple GPU; float32, float16")
    if not view.gpus and not view.has_mps:
        yield ok(TOPIC, f"cpu; float32{_fast_bfloat16(cpu_flags)}")
    yield ok(TOPIC, f"torch {view.version}, built for {view.built_for}")
    if not view.gpus and (seen := hidden_gpu(ask, dev)):
        vendor, what = seen
        yield problem(TOPIC, f"{what}, and torch {view.version} does not see it", _cure(vendor, view, dev))


def hidden_gpu(ask: Ask = ask, dev: Path = Path("/dev")) -> tuple[str, str] | None:
    """(vendor, what was seen) of a GPU that the system shows; None when it shows none."""
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
