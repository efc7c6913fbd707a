"""Writes the exported folder: beside its place first, then in one rename."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from lookalike import datasets, schemas
from lookalike.datasets.sets import VectorSet
from lookalike.export.appearing import appearing, check_free
from lookalike.export.model_files import STANDALONE, ModelFiles, copy_files, model_files
from lookalike.runs.opener import FinishedRun
from lookalike.schemas import ImageDataset, VectorDataset
from lookalike.store.files import new_array

FORMAT = 1
SETTINGS_FILE = "export.json"
INDEX_FILE = "index.faiss"
IDS_FILE = "ids.jsonl"
VECTORS_FILE = "embeddings.npy"
OUR_ERROR = "from lookalike.errors import ImageError\n"
ITS_OWN_ERROR = 'class ImageError(ValueError):\n    """An image that cannot be decoded, and why."""\n\n\n'
OUR_PNG = "from lookalike.datasets.png import PixelChunks, is_png\n"
ITS_OWN_PNG = "from png import ImageError, PixelChunks, is_png\n"
ROWS_AT_A_TIME = 65_536


def export_run(run: FinishedRun, folder: Path, copy_weights: bool = False) -> list[Path]:
    """Write all that it takes to answer queries as ``run`` does; returns the files, relative to ``folder``.

    ``folder`` must not exist, or be empty; it appears whole or not at all. ``copy_weights``: bring a
    checkpoint's files along instead of naming them. Raises UserError when the folder is taken or cannot
    be written, and what :class:`FinishedRun` raises when images or model are not what they were.
    """
    check_free(folder)
    model = None
    if not isinstance(run.experiment.dataset, VectorDataset):
        recipe = run.embedder.recipe(run.gallery)
        model = model_files(run.experiment.model, recipe, copy_weights)
    with appearing(folder) as draft:
        draft.mkdir()
        index = _write_index(run, draft)
        _write_ids(run, draft)
        shutil.copyfile(STANDALONE / "serve.py", draft / "serve.py")
        if model is not None:
            copy_files(model.files, draft)
            for name, program in _decoding().items():
                (draft / name).write_text(program, encoding="utf-8")
        settings = _settings(run, index, model)
        settings["files"] = {name: _sha256_of(draft / name) for name in (index["file"], IDS_FILE)}
        text = json.dumps(settings, indent=1, ensure_ascii=False)
        (draft / SETTINGS_FILE).write_text(text + "\n", encoding="utf-8")
        packages = [*(["faiss-cpu"] if run.index.index else []), "numpy", *(_needed(model))]
        lines = "".join(f"{package}=={_published(package)}\n" for package in packages)
        (draft / "requirements.txt").write_text(lines, encoding="utf-8")
        return sorted(path.relative_to(draft) for path in draft.rglob("*") if path.is_file())


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _settings(run: FinishedRun, index: dict[str, Any], model: ModelFiles | None) -> dict[str, Any]:
    dataset, record = run.experiment.dataset, run.record
    max_pixels = dataset.max_pixels if isinstance(dataset, ImageDataset) else ImageDataset.max_pixels
    gallery = run.gallery
    normalize = gallery.normalize if isinstance(gallery, VectorSet) else run.experiment.model.normalize
    return {
        "format": FORMAT,
        "index": index,
        "model": None if model is None else dict(model.settings),
        "normalize": normalize,
        "max_pixels": max_pixels,
        "run": {
            "name": record.name,
            "point": run.point.label,
            "started": record.started,
            "mlflow_run_id": run.point.mlflow_run_id,
            "dataset": record.data["dataset"],
            "images": record.data["gallery_size"],
            "measured": run.point.metrics,
            "measured_on": record.environment.get("cpu"),
        },
    }


def _needed(model: ModelFiles | None) -> Sequence[str]:
    return () if model is None else ("pillow", *model.packages)


def _published(package: str) -> str:
    """The installed version, without a local build's mark: ``2.9.0+cpu`` is not on PyPI."""
    return version(package).partition("+")[0]


def _write_index(run: FinishedRun, folder: Path) -> dict[str, Any]:
    """The index file, or the vectors where the run searched these; and how to search it."""
    settings = {name: value for name, value in run.point.settings.items() if name != "k"}
    about = {
        "factory": run.index.factory,
        "metric": run.experiment.index.metric,
        "d": run.vectors.dim,
        "k": run.point.k,
        "settings": settings,
        "parameters": _parameters(run.experiment.index, settings),
    }
    if run.index.index is None:
        vectors = new_array(folder / VECTORS_FILE, np.float32, (len(run.vectors), run.vectors.dim))
        for start, block in run.vectors.blocks(ROWS_AT_A_TIME):
            vectors[start : start + len(block)] = block
        vectors.flush()
        return {"file": VECTORS_FILE, **about}
    artifact = run.index.index
    shutil.copyfile(artifact.file(INDEX_FILE), folder / INDEX_FILE)
    return {"file": INDEX_FILE, "sha256": artifact.manifest["files"][INDEX_FILE]["sha256"], **about}


def _parameters(index: schemas.Index, settings: dict[str, int]) -> str:
    """The search settings in FAISS's own words, for ``ParameterSpace.set_index_parameters``."""
    coarse_graph = index.list_count() is not None
    names = {
        "nprobe": "nprobe",
        "ef_search": "quantizer_efSearch" if coarse_graph else "efSearch",
        "k_factor": "k_factor_rf",
    }
    return ",".join(f"{names[name]}={value}" for name, value in settings.items())


def _write_ids(run: FinishedRun, folder: Path) -> None:
    """``ids.parquet`` for pipelines; the same as lines of JSON, which serve.py reads without pyarrow."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    ids, locations = list(run.vectors.ids), list(run.gallery.locations)
    table = pa.table({"row": np.arange(len(ids)), "id": ids, "location": locations})
    pq.write_table(table, folder / "ids.parquet")
    with (folder / IDS_FILE).open("w", encoding="utf-8") as file:
        for pair in zip(ids, locations, strict=True):
            file.write(json.dumps(pair) + "\n")


def _decoding() -> dict[str, str]:
    """Return the programs that decode images as the run did, by file name, cut loose from our package."""
    home = Path(datasets.__file__).parent
    programs = {}
    for name, source, replacements in (
        ("png.py", "png.py", {OUR_ERROR: ITS_OWN_ERROR}),
        ("decoding.py", "images.py", {OUR_ERROR: "", OUR_PNG: ITS_OWN_PNG}),
    ):
        text = (home / source).read_text(encoding="utf-8")
        for ours, its_own in replacements.items():
            if ours not in text:
                raise RuntimeError(f"datasets/{source} no longer has the line that export replaces: {ours!r}")
            text = text.replace(ours, its_own)
        programs[name] = text
    return programs
