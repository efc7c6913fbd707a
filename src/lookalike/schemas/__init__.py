"""What an experiment is made of: one plain dataclass per choice, with its default values.

Hydra composes these (``config`` registers them), the rest of the package only reads them. They are
mutable because structured configs have to be; nothing past ``config`` changes one.
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
    Search,
    StoreOptions,
    Sweep,
    Tracking,
)
from lookalike.schemas.indexes import (
    AutoIndex,
    BruteForceIndex,
    FactoryIndex,
    FlatIndex,
    HnswIndex,
    Index,
    IvfFlatIndex,
    IvfPqFastscanRefineIndex,
    IvfPqIndex,
    IvfRabitqIndex,
    IvfSq8Index,
    OpqIvfPqIndex,
)
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
    "AutoIndex",
    "AutoQueries",
    "BruteForceIndex",
    "CaptionsQueries",
    "CopiesQueries",
    "Dataset",
    "EfficientNetLite0Model",
    "EmbeddingsDataset",
    "Experiment",
    "FactoryIndex",
    "FilesQueries",
    "FlatIndex",
    "FolderDataset",
    "HeldOutQueries",
    "HnswIndex",
    "HuggingfaceDataset",
    "ImageDataset",
    "InGalleryQueries",
    "Index",
    "IvfFlatIndex",
    "IvfPqFastscanRefineIndex",
    "IvfPqIndex",
    "IvfRabitqIndex",
    "IvfSq8Index",
    "LabelsQueries",
    "Measures",
    "Model",
    "OpqIvfPqIndex",
    "Paths",
    "PixelsModel",
    "Queries",
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
