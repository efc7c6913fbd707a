"""A family is one module and one YAML: one that is written here runs, is checked, and has its colour."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

MODULE = '''
"""Vectors in fewer dimensions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lookalike.index.families.family import Family
from lookalike.schemas.fields import bounded


@dataclass
class PcaFlatIndex(Family):
    """The principal components of full vectors, all compared."""

    family: str = "pca_flat"
    pca_d: int = bounded(8, minimum=1)

    colour = "#123456"

    def factory_string(self, d: int) -> str:
        return f"PCA{self.pca_d},Flat"

    def build_faults(self, d: int | None) -> Iterator[str]:
        if d is not None and self.pca_d > d:
            yield f"index.pca_d={self.pca_d} exceeds the vectors' {d} dimensions; lower it"

    def builds(self, n, d):
        return [{"pca_d": pca_d} for pca_d in (8, 16, 4096)]
'''
YAML = """# Principal components.
defaults:
  - /schema/index/pca_flat@_here_
  - _self_
pca_d: 4
"""
PROGRAM = """
import sys
import pca_flat
from lookalike.cli import main
from lookalike.index.families import colour_of
assert colour_of("pca_flat") == "#123456"
assert [each.pca_d for each in pca_flat.PcaFlatIndex().candidates(1000, 20)] == [8, 16]
sys.exit(main(sys.argv[1:]))
"""


def lookalike(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A fresh process, so that the family is unknown to the other tests."""
    environment = {name: value for name, value in os.environ.items() if name != "LOOKALIKE_HOME"}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=folder,
        env=environment | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_new_family_is_one_module_and_one_yaml(tmp_path: Path) -> None:
    (tmp_path / "pca_flat.py").write_text(MODULE, encoding="utf-8")
    (tmp_path / "conf" / "index").mkdir(parents=True)
    (tmp_path / "conf" / "index" / "pca_flat.yaml").write_text(YAML, encoding="utf-8")
    vectors = np.random.default_rng(0).standard_normal((300, 16), np.float32)
    np.save(tmp_path / "vectors.npy", vectors)
    arguments = ("dataset=embeddings", "dataset.root=vectors.npy", "queries=in_gallery", "queries.n=10")
    quick = ("search.k=5", "search.repeats=1", "search.modes=[single]", "tracking=none", "index=pca_flat")

    done = lookalike(tmp_path, "run", *arguments, *quick)
    assert done.returncode == 0, done.stderr
    assert "pca_flat pca_d=4" in done.stdout

    for value, fault in {
        "0": "index.pca_d must be a positive integer, not 0",
        "17": "index.pca_d=17 exceeds the vectors' 16 dimensions; lower it",
    }.items():
        done = lookalike(tmp_path, "run", *arguments, *quick, f"index.pca_d={value}")
        assert done.returncode == 2
        assert fault in done.stderr
