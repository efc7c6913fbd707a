"""Answers queries as the exported run did: ``python serve.py cat.jpg`` or ``python serve.py "a caption"``.

Everything it needs lies beside it; requirements.txt names the packages. To serve from a program of yours:

    from serve import Service
    hits = Service().find("cat.jpg", k=5)
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

HERE = Path(__file__).resolve().parent


class Hit(NamedTuple):
    """One image that was found; ``score``: squared distance (metric l2) or inner product (ip)."""

    row: int
    id: str
    location: str
    score: float


class Service:
    """The exported index and model in memory."""

    def __init__(self, folder: Path = HERE) -> None:
        self.settings = json.loads((folder / "export.json").read_text(encoding="utf-8"))
        with (folder / "ids.jsonl").open(encoding="utf-8") as file:
            self.rows: list[tuple[str, str]] = [json.loads(line) for line in file]
        self.search = load_search(folder, self.settings["index"])
        self.model = None
        if self.settings["model"]:
            from encoder import Encoder

            self.model = Encoder(folder, self.settings["model"])

    def find(self, query: str, k: int) -> list[Hit]:
        """The ``k`` nearest to an image file, to a caption, or to the first vector of a ``.npy`` file."""
        scores, rows = self.search(self.vector(query), min(k, len(self.rows)))
        return [
            Hit(int(row), self.rows[row][0], self.rows[row][1], float(score))
            for row, score in zip(rows[0], scores[0], strict=True)
            if row >= 0
        ]

    def vector(self, query: str) -> Any:
        """The query's vector, float32, shape (1, d)."""
        if query.endswith(".npy"):
            vector = np.load(query).reshape(-1, self.settings["index"]["d"])[:1]
        elif self.model is None:
            raise SystemExit("the run was of ready vectors: give a .npy file of one")
        elif Path(query).is_file():
            from decoding import decode

            vector = self.model.encode_image(decode(Path(query), self.settings["max_pixels"]))
        else:
            vector = self.model.encode_text(query)
        if self.settings["normalize"]:
            vector = vector / np.linalg.norm(vector, axis=1, keepdims=True)
        return np.ascontiguousarray(vector, np.float32)


def load_search(folder: Path, index: dict[str, Any]) -> Any:
    """A function of (vectors, k) that gives scores and rows, nearest first."""
    if index["file"] == "embeddings.npy":
        return exhaustive(np.load(folder / index["file"], mmap_mode="r"), index["metric"])
    import faiss

    loaded = faiss.read_index(str(folder / index["file"]))
    faiss.ParameterSpace().set_index_parameters(loaded, index["parameters"])
    return loaded.search


def exhaustive(gallery: Any, metric: str) -> Any:
    """Search by numpy alone: the run's index was brute_force."""
    lengths = np.einsum("ij,ij->i", gallery, gallery)

    def search(vectors: Any, k: int) -> tuple[Any, Any]:
        products = gallery @ vectors[0]
        scores = products if metric == "ip" else lengths - 2 * products + vectors[0] @ vectors[0]
        rows = np.argsort(-scores if metric == "ip" else scores, kind="stable")[:k]
        return scores[None, rows], rows[None]

    return search


def main() -> None:
    """Print row, id, score and location of what was found, apart by tabs."""
    parser = argparse.ArgumentParser(description="The nearest images to an image, a caption or a vector.")
    parser.add_argument("queries", nargs="+", metavar="IMAGE|CAPTION|VECTOR.npy")
    parser.add_argument("--k", type=int, default=10)
    options = parser.parse_args()
    service = Service()
    for query in options.queries:
        try:
            hits = service.find(query, options.k)
        except (OSError, ValueError) as error:
            raise SystemExit(f"{query}: {error}") from error
        for hit in hits:
            print(hit.row, hit.id, f"{hit.score:.9g}", hit.location, sep="\t")


if __name__ == "__main__":
    main()
