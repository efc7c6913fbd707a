"""What an experiment is made of: one dataclass per choice, with default values, bounds and choices.

Hydra composes these (``config`` registers them), the rest of the package only reads them. They are
mutable because structured configs have to be; nothing past ``config`` changes one. The dataclasses of index
families are in ``index.families``, each beside what it answers.
"""

from __future__ import annotations

from lookalike.schemas.datasets import (
    Dataset,
    EmbeddingsDataset,
    FolderDataset,
    HuggingfaceDataset,
    ImageDataset,
    SbuCaptionsDataset,
    SyntheticDataset,
    TwemojiDataset,
    VectorDataset,
    WebdatasetDataset,
)
from lookalike.schemas.experiment import (
    Experiment,
    Measures,
    Paths,
    Report,
    Search,
    StoreOptions,
    Sweep,
    Tracking,
)
from lookalike.schemas.indexes import Index
from lookalike.schemas.models import (
    EfficientNetLite0Model,
    Model,
    PixelsModel,
    TransformersModel,
)
from lookalike.schemas.queries import (
    AutoQueries,
    CaptionsQueries,
    CopiesQueries,
    FilesQueries,
    HeldOutQueries,
    InGalleryQueries,
    LabelsQueries,
    Queries,
    VectorsQueries,
)

__all__ = [
    "AutoQueries",
    "CaptionsQueries",
    "CopiesQueries",
    "Dataset",
    "EfficientNetLite0Model",
    "EmbeddingsDataset",
    "Experiment",
    "FilesQueries",
    "FolderDataset",
    "HeldOutQueries",
    "HuggingfaceDataset",
    "ImageDataset",
    "InGalleryQueries",
    "Index",
    "LabelsQueries",
    "Measures",
    "Model",
    "Paths",
    "PixelsModel",
    "Queries",
    "Report",
    "SbuCaptionsDataset",
    "Search",
    "StoreOptions",
    "Sweep",
    "SyntheticDataset",
    "Tracking",
    "TransformersModel",
    "TwemojiDataset",
    "VectorDataset",
    "VectorsQueries",
    "WebdatasetDataset",
]
