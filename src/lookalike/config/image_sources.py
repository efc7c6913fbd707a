"""What is wrong with where images come from, as far as can be told without listing or reading them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lookalike import schemas
from lookalike.datasets.folder import expand_root
from lookalike.datasets.huggingface import find_source
from lookalike.datasets.sbu_captions import find_annotations
from lookalike.datasets.webdataset.opening import find_tars
from lookalike.datasets.webdataset.samples import text_ending_fault
from lookalike.errors import DatasetError

ANNOTATED_BY: Mapping[type[schemas.Dataset], str] = {
    schemas.FolderDataset: "a column of dataset.table",
    schemas.WebdatasetDataset: ".txt, .cls or a column of the parquets beside the tars",
    schemas.HuggingfaceDataset: "a column of the dataset",
}
"""Sources whose captions, labels and groups are where the config says."""


def source_faults(dataset: schemas.Dataset) -> Iterator[str]:
    """Why an image source other than a folder cannot be opened."""
    try:
        if isinstance(dataset, schemas.SbuCaptionsDataset):
            find_annotations(expand_root(dataset.root, "dataset.root"), dataset.annotations)
        elif isinstance(dataset, schemas.HuggingfaceDataset):
            find_source(dataset)
        elif isinstance(dataset, schemas.WebdatasetDataset):
            for kind in ("captions", "labels", "groups"):
                if fault := text_ending_fault(kind, getattr(dataset, kind)):
                    yield fault
            find_tars(dataset.root)
    except DatasetError as error:
        yield str(error)


def source_annotation_faults(queries: str, kind: str, dataset: schemas.Dataset) -> Iterator[str]:
    """``kind``: labels, groups or captions, which ``queries`` cannot do without."""
    where = ANNOTATED_BY.get(type(dataset))
    if where and not getattr(dataset, kind):
        folders = kind == "labels" and isinstance(dataset, schemas.FolderDataset)
        either = "folder (the names of the images' folders) or " if folders else ""
        yield f"queries={queries} needs dataset.{kind}; set it to {either}{where}"
    if isinstance(dataset, schemas.SbuCaptionsDataset) and kind != "captions":
        yield f"queries={queries} needs {kind}, which dataset={dataset.name} has not; choose queries=captions"
