"""What a record says of the machine."""

from __future__ import annotations

import json

import pytest

from lookalike.machine import environment
from lookalike.machine.cgroups import Limits


@pytest.mark.parametrize(
    ("quota", "usable", "count"),
    [(None, 8.0, 8), (1.5, 1.5, 1), (0.5, 0.5, 1), (2.0, 2.0, 2), (64.0, 8.0, 8)],
)
def test_a_quota_below_the_cpuset_is_what_may_be_used(
    monkeypatch: pytest.MonkeyPatch, quota: float | None, usable: float, count: int
) -> None:
    monkeypatch.setattr(environment, "cores", lambda: 8)
    monkeypatch.setattr(environment, "cgroup_limits", lambda: Limits(quota, None))
    assert environment.usable_cores() == usable
    assert environment.all_threads() == count
    with environment.threads(None) as number:
        assert number == count


class Pools:
    """What threadpoolctl tells."""

    def __init__(self, *paths: str) -> None:
        self.paths = paths

    def info(self) -> list[dict[str, str]]:
        blas = {"user_api": "blas", "internal_api": "openblas", "version": "0.3.15", "architecture": "Zen"}
        openmp = {"user_api": "openmp", "internal_api": "openmp", "filepath": self.paths[0]}
        return [openmp, *(blas | {"filepath": path} for path in self.paths)]


def test_the_blas_that_searches_is_named_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    site = "/env/lib/python3.12/site-packages"
    pools = Pools(
        f"{site}/numpy.libs/libopenblas.so",
        f"{site}/faiss_cpu.libs/libopenblas.so",
        f"{site}/scipy.libs/libopenblas.so",
        f"{site}/torch/lib/libmkl.so",
    )
    monkeypatch.setattr(environment, "_thread_pools", lambda torch: pools)
    assert environment.blas() == ["openblas 0.3.15 Zen (faiss-cpu)", "openblas 0.3.15 Zen (numpy)"]
    monkeypatch.setattr(environment, "_thread_pools", lambda torch: Pools("/env/lib/libopenblas.so"))
    assert environment.blas() == ["openblas 0.3.15 Zen"]


def test_a_machine_is_described_in_json() -> None:
    described = environment.describe_machine()
    assert json.loads(json.dumps(described)) == described
    assert 0 < described["usable_cores"] <= described["cores"]
    assert any("numpy" in each or "(" not in each for each in described["blas"])
