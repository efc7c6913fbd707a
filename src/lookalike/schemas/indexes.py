"""What is trained and built: these shape the index's key."""

from __future__ import annotations

from dataclasses import dataclass, field


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
    point: dict[str, int | None] = field(default_factory=dict)
    """Search settings used where ``search`` names none; null or absent: what suits nlist and N."""
    ladder: dict[str, list[int] | None] = field(default_factory=dict)
    """Search settings that ``search=ladder`` walks through, from fast to exact; null: as for ``point``."""


@dataclass
class AutoIndex(Index):
    """No family yet: exact search where N images need no index, else inverted lists of full vectors."""

    family: str = "auto"
    nlist: int | None = None
    """Number of inverted lists, which chooses an index that has them; null: as N asks for."""


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
    nlist: int | None = None
    """Number of inverted lists; null: what suits N vectors."""


@dataclass
class IvfSq8Index(Index):
    """Inverted lists of vectors at one byte per dimension."""

    family: str = "ivf_sq8"
    nlist: int | None = None
    """Number of inverted lists; null: what suits N vectors."""


@dataclass
class IvfPqIndex(Index):
    """Inverted lists of product-quantised residuals."""

    family: str = "ivf_pq"
    nlist: int | None = None
    """Number of inverted lists; null: what suits N vectors."""
    pq_m: int = 64
    pq_bits: int = 8


@dataclass
class IvfPqFastscanRefineIndex(Index):
    """4-bit product quantiser in SIMD registers, then re-ranking by 8-bit codes of the full vector."""

    family: str = "ivf_pq_fastscan_refine"
    nlist: int | None = None
    """Number of inverted lists; null: what suits N vectors."""
    pq_m: int = 128
    refine: str = "SQ8"
    """SQ8 | Flat: what the re-ranking step stores."""


@dataclass
class OpqIvfPqIndex(Index):
    """A learned rotation (to ``opq_d`` dimensions) before the product quantiser."""

    family: str = "opq_ivf_pq"
    nlist: int | None = None
    """Number of inverted lists; null: what suits N vectors."""
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
    nlist: int | None = None
    """Number of inverted lists; null: what suits N vectors."""
    bits: int = 1
    refine: str = "SQ8"


@dataclass
class FactoryIndex(Index):
    """Any FAISS factory string."""

    family: str = "factory"
    factory: str = ""
