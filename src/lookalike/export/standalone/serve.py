"""Answers queries as the exported run did: ``python serve.py cat.jpg`` or ``python serve.py "a caption"``.

Everything it needs lies beside it; requirements.txt names the packages. To serve from a program of yours:

    from serve import Service
    hits = Service().find("cat.jpg", k=5)
"""

from __future__ import annotations

import argparse
import hashlib
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
    """The exported index and model in memory; ValueError when a file is not what was exported."""

    def __init__(self, folder: Path = HERE) -> None:
        self.settings = json.loads((folder / "export.json").read_text(encoding="utf-8"))
        check_files(folder, self.settings)
        with (folder / "ids.jsonl").open(encoding="utf-8") as file:
            self.rows: list[tuple[str, str]] = [json.loads(line) for line in file]
        self.search = load_search(folder, self.settings["index"])
        self.model = None
        if self.settings["model"]:
            from encoder import Encoder

            self.model = Encoder(folder, self.settings["model"])

    def find(self, query: str, k: int) -> list[Hit]:
        """The ``k`` nearest to an image file, to a caption, or to the first vector of a ``.npy`` file.

        ValueError when ``k`` is below 1, or when the query is not a file or vector that can be searched for.
        """
        if k < 1:
            raise ValueError(f"k={k} is too small; give 1 or more")
        scores, rows = self.search(self.vector(query), min(k, len(self.rows)))
        return [
            Hit(int(row), self.rows[row][0], self.rows[row][1], float(score))
            for row, score in zip(rows[0], scores[0], strict=True)
            if row >= 0
        ]

    def vector(self, query: str) -> Any:
        """The query's vector, float32, shape (1, d); finite, and of unit length where the run's were."""
        if is_no_file(query):
            raise ValueError("it is not a regular file; name an image or a .npy file")
        if query.endswith(".npy"):
            vector = first_vector(query, self.settings["index"]["d"])
        elif self.model is None:
            raise SystemExit("the run was of ready vectors: give a .npy file of one")
        elif is_file(query):
            from decoding import decode

            vector = self.model.encode_image(decode(Path(query), self.settings["max_pixels"]))
        else:
            vector = self.model.encode_text(query)
        length = np.linalg.norm(vector, axis=1, keepdims=True)
        if not np.isfinite(length).all():
            raise ValueError("the query's vector holds NaN or infinity; make it again")
        if self.settings["normalize"]:
            if not length.all():
                raise ValueError("the query's vector is all zeros, which has no direction; make it again")
            vector = vector / length
        return np.ascontiguousarray(vector, np.float32)


def check_files(folder: Path, settings: dict[str, Any]) -> None:
    """Raise ValueError when a file is not the one that was exported, by its sha256."""
    index = settings["index"]
    wanted = settings.get("files") or {index["file"]: index.get("sha256")}
    for name, digest in wanted.items():
        if digest and sha256_of(folder / name) != digest:
            raise ValueError(f"{folder / name} is not the file that was exported; copy the export again")


def sha256_of(path: Path) -> str:
    """The file's digest, read a megabyte at a time."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def is_file(query: str) -> bool:
    """Whether the query is a file's name, and no caption."""
    try:
        return Path(query).is_file()
    except (OSError, ValueError):
        return False


def is_no_file(query: str) -> bool:
    """Whether something is there by this name that is not a regular file: a folder, a pipe, a device."""
    try:
        return Path(query).exists() and not Path(query).is_file()
    except (OSError, ValueError):  # a caption that is too long for a name
        return False


def first_vector(path: str, dimensions: int) -> Any:
    """The first vector of a ``.npy`` file, shape (1, dimensions); ValueError when there is none."""
    try:
        array = np.load(path, allow_pickle=False)
    except OSError:
        raise
    except Exception as error:
        raise ValueError(f"it is not a .npy file ({error})") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise ValueError("it is not a .npy file of numbers")
    if array.size == 0 or array.shape[-1:] != (dimensions,):
        raise ValueError(f"its shape is {array.shape}; give vectors of {dimensions} dimensions")
    return array.reshape(-1, dimensions)[:1]


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
    if options.k < 1:
        parser.error(f"--k {options.k} is too small; give 1 or more")
    try:
        service = Service()
    except (OSError, ValueError, RuntimeError) as error:
        raise SystemExit(f"this export cannot be opened: {error}") from error
    for query in options.queries:
        try:
            hits = service.find(query, options.k)
        except (OSError, ValueError) as error:
            raise SystemExit(f"{query}: {error}") from error
        for hit in hits:
            print(hit.row, hit.id, f"{hit.score:.9g}", hit.location, sep="\t")


if __name__ == "__main__":
    main()
