"""What the doctor makes of machines that this one is not."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import pytest

from lookalike import schemas
from lookalike.doctor import disk, hardware, services
from lookalike.doctor.finding import NOTE, OK, PROBLEM, Finding, ask
from lookalike.machine.cgroups import Limits
from lookalike.machine.filesystems import FileSystem
from tests.mounts import mount

CPU_TORCH = hardware.TorchView("2.9.0+cpu", "cpu", [], ["float32"])
CUDA_TORCH = hardware.TorchView("2.9.0", "CUDA 12.8", [], ["float32"])
A100 = hardware.TorchView("2.9.0", "CUDA 12.8", [("A100", 40 << 30)], ["float32", "bfloat16", "float16"])
LSPCI = "01:00.0 3D controller: NVIDIA Corporation GA100 [A100 PCIe 40GB] (rev a1)\n"


def answers(told: Mapping[str, str]) -> Callable[[Sequence[str]], str | None]:
    """A system that has these programs, and what each prints."""
    return lambda command: told.get(command[0])


def problems(findings: Iterable[Finding]) -> list[Finding]:
    found = [finding for finding in findings if finding.status == PROBLEM]
    assert all(finding.cure for finding in found), "every problem has a cure"
    return found


@pytest.mark.parametrize(
    ("view", "programs", "nodes", "text", "cure"),
    [
        (CPU_TORCH, {"nvidia-smi": "GPU 0: NVIDIA A100 (UUID: x)"}, [], "NVIDIA A100", "built for CUDA"),
        (CPU_TORCH, {}, ["nvidia0"], "nvidia0", "built for CUDA"),
        (CPU_TORCH, {"lspci": LSPCI}, [], "GA100", "built for CUDA"),
        (CUDA_TORCH, {"lspci": LSPCI}, [], "GA100", "install the NVIDIA driver"),
        (CUDA_TORCH, {"nvidia-smi": "GPU 0: T4 (UUID: x)"}, ["nvidia0"], "T4", "too old for CUDA 12.8"),
        (CUDA_TORCH, {}, ["kfd"], "kfd", "built for ROCm"),
    ],
)
def test_a_gpu_that_torch_cannot_see(
    tmp_path: Path, view: hardware.TorchView, programs: dict[str, str], nodes: list[str], text: str, cure: str
) -> None:
    for node in nodes:
        (tmp_path / node).touch()
    [found] = problems(hardware.examine_devices(view, "", answers(programs), tmp_path))
    assert text in found.text and cure in found.cure


@pytest.mark.parametrize("view", [CPU_TORCH, A100])
def test_devices_without_a_problem(tmp_path: Path, view: hardware.TorchView) -> None:
    programs = {"lspci": "00:02.0 VGA compatible controller: Cirrus Logic GD 5446\n"} | (
        {"nvidia-smi": "GPU 0: A100 (UUID: x)"} if view.gpus else {}
    )
    found = list(hardware.examine_devices(view, "flags: avx512_bf16", answers(programs), tmp_path))
    assert problems(found) == []
    assert ("A100" in found[0].text) == bool(view.gpus)
    assert "bfloat16" in found[0].text


def test_threads_that_would_be_throttled_or_are_not_confined() -> None:
    told = list(hardware.examine_threads(Limits(1.5, None), {"OMP_NUM_THREADS": "1"}, allowed=8, there=64))
    assert [finding.status for finding in told] == [OK, OK, NOTE]
    assert "8 (cpuset or affinity) of 64" in told[0].text and "all cores means 1 thread here" in told[1].text
    told = list(hardware.examine_threads(Limits(None, None), {"SLURM_CPUS_PER_TASK": "2"}, 8, 8))
    assert "does not confine" in told[-1].text


def test_memory() -> None:
    size = {"total": 16 << 30, "available": 12 << 30}
    assert [each.status for each in hardware.examine_memory(Limits(None, None), **size)] == [OK]
    [tight] = hardware.examine_memory(Limits(None, 1 << 30), **size)
    assert tight.status == NOTE and "allows 1.1 GB" in tight.text
    [small] = hardware.examine_memory(Limits(None, None), total=16 << 30, available=1 << 30)
    assert small.status == NOTE and "1.1 GB available" in small.text


def test_the_disk_is_really_tried_and_left_as_it_was(tmp_path: Path) -> None:
    found = list(disk.examine_disk(tmp_path))
    assert problems(found) == []
    assert "exclusive create" in found[-1].text and "SQLite locks" in found[-1].text
    assert list(tmp_path.iterdir()) == []
    assert "not made yet" in next(iter(disk.examine_disk(tmp_path / "new"))).text


def test_a_disk_that_does_not_do_what_leases_need(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    found = list(disk.examine_disk(tmp_path))
    assert [each.text for each in found if each.status == NOTE] == [
        "hard links: [Errno 1] Operation not permitted"
    ]
    monkeypatch.setattr(os, "utime", lambda *_, **__: None)
    found = list(disk.examine_disk(tmp_path))
    noted = [each.text.partition(":")[0] for each in found if each.status == NOTE]
    assert noted[:2] == ["hard links", "heartbeats"]
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_exclusive_creation_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "O_EXCL", 0)
    found = problems(disk.examine_disk(tmp_path))
    assert [each.text.partition(":")[0] for each in found] == ["exclusive create"]


def test_a_root_that_cannot_be_written() -> None:
    [found] = problems(disk.examine_disk(Path("/proc/none")))
    assert "cannot be written" in found.text and "paths.root" in found.cure


def test_sqlite_on_a_network_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mount(monkeypatch, (str(tmp_path), "nfs4"))
    [found] = problems(services.examine_tracking(schemas.Tracking(), tmp_path))
    assert "nfs4" in found.text and "tracking=server" in found.cure
    assert "nfs4 (network)" in next(iter(disk.examine_disk(tmp_path))).text
    assert "ext4" in next(iter(disk.examine_disk(tmp_path, FileSystem("ext4", "/")))).text


def test_trackers(tmp_path: Path) -> None:
    [fresh] = services.examine_tracking(schemas.Tracking(), tmp_path)
    assert fresh.status == OK and "the first run makes" in fresh.text
    (tmp_path / "mlruns").mkdir()
    (tmp_path / "mlruns" / "mlflow.db").write_text(
        "this is not a database, and long enough to be read as one" * 9
    )
    [damaged] = problems(services.examine_tracking(schemas.Tracking(), tmp_path))
    assert "lookalike sync" in damaged.cure
    [away] = problems(
        services.examine_tracking(
            schemas.Tracking(kind="server", uri="http://u:secret@127.0.0.1:9"), tmp_path
        )
    )
    assert "no MLflow server answers" in away.text and "secret" not in away.text + away.cure
    assert [each.status for each in services.examine_tracking(schemas.Tracking(kind="none"), tmp_path)] == [
        NOTE
    ]
    assert len(problems(services.examine_tracking(schemas.Tracking(kind="server"), tmp_path))) == 1


def test_a_cluster() -> None:
    programs = {
        "sbatch": "slurm-wlm 22.05.8",
        "sinfo": "main*|up|4|64|256000+|gpu:a100:4|2-00:00:00\nold|down|1|8|1024|(null)|1:00",
    }
    found = list(services.examine_slurm(answers(programs), {"SLURM_JOB_ID": "7"}, lambda _: "sbatch"))
    assert problems(found) == []
    assert "main* 4 nodes of 64 cpus, 250 GB, gpu:a100:4, at most 2-00:00:00" in found[0].text
    assert "old (down) 1 node of 8 cpus, 1 GB, at most 1:00" in found[0].text
    assert "inside job 7" in found[1].text


def test_a_cluster_that_does_not_answer() -> None:
    there: Callable[[str], str | None] = lambda _: "/usr/bin/sbatch"  # noqa: E731
    assert [each.status for each in services.examine_slurm(answers({}), {}, lambda _: None)] == [NOTE]
    assert "SLURM_CONF" in problems(services.examine_slurm(answers({}), {}, there))[0].cure
    assert "sinfo" in problems(services.examine_slurm(answers({"sbatch": "slurm 22"}), {}, there))[0].text


def test_the_hub_cache(tmp_path: Path) -> None:
    (tmp_path / "hub" / "models--google--siglip-base").mkdir(parents=True)
    found = list(services.examine_models({"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}))
    assert "google/siglip-base" in found[0].text
    assert found[1].status == NOTE and "HF_HUB_OFFLINE" in found[1].text
    assert services.hub_cache({"HF_HUB_CACHE": "/c"}) == Path("/c")


def test_programs_are_asked_for_a_moment(tmp_path: Path) -> None:
    assert ask(["no-such-program"]) is None
    assert ask(["false"]) is None
    assert json.loads(ask(["echo", "[1]"]) or "") == [1]
