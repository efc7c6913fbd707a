"""What every index has, and what it answers; the families themselves are in ``lookalike.index.families``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from lookalike.schemas.fields import bounded, choice

METRICS = ("l2", "ip")


@dataclass
class Index:
    """What is trained and built: these settings shape the index's key.

    A family is a subclass with the settings of its own and an answer to each method.
    """

    is_exact: ClassVar[bool] = False
    """Whether each query is compared with every vector."""
    colour: ClassVar[str] = "#444444"
    """Of the family in figures. Okabe and Ito's palette can be told apart by colour-blind readers."""
    hue: ClassVar[int | None] = None
    """Of the family in MLflow's charts, in degrees; None: made from its name."""

    family: str
    metric: str = choice("l2", of=METRICS)
    """On unit vectors both order neighbours alike."""
    train_size: int | None = bounded(None, minimum=1)
    """Vectors of the training sample; null: 256 per centroid, at most the whole gallery."""
    seed: int = 1234
    threads: int | None = bounded(None, minimum=1)
    """OpenMP threads while training and adding; null: all cores."""
    shards_apart: bool = False
    """Index every embeddings shard apart, an artifact each, then merge: the same index, another way."""
    mmap: bool = False
    """Search the index file through a memory map instead of reading it into memory."""
    point: dict[str, int | None] = field(default_factory=dict)
    """Search settings used where ``search`` names none; null or absent: what suits nlist and N."""
    ladder: dict[str, list[int] | None] = field(default_factory=dict)
    """Search settings that ``search=ladder`` walks through, from fast to exact; null: as for ``point``."""

    def factory_string(self, d: int) -> str:
        """Return FAISS's description of the index for vectors of ``d`` dimensions; empty: FAISS has no part.

        Raises ValueError while the number of lists is open (see :meth:`resolved`).
        """
        raise NotImplementedError

    def search_settings(self) -> tuple[str, ...]:
        """Return the search settings that the index has, in the order in which they are shown."""
        raise NotImplementedError

    def list_count(self) -> int | None:
        """Return the number of inverted lists; None when the index has none or it is open."""
        raise NotImplementedError

    def faults(self, d: int | None = None, n: int | None = None) -> list[str]:
        """Return everything that makes the index impossible, each with its cure; empty when nothing does.

        ``d``: the vectors' dimensions, ``n``: the gallery's size; what needs an unknown one is not checked.
        """
        raise NotImplementedError

    def resolved(self, n: int, k: int) -> Index:
        """Return the index with all decided that is null: for ``n`` vectors of which ``k`` are searched for.

        What is set stays as it is, possible or not.
        """
        raise NotImplementedError

    def candidates(self, n: int, d: int, k: int = 100) -> list[Index]:
        """Return indexes of the family worth building for ``n`` vectors of ``d`` dimensions, cheapest first.

        Each is resolved for ``k`` neighbours, its ladder the search settings worth measuring, and possible:
        it has no :meth:`faults`. What a candidate does not vary is as it is here.
        """
        raise NotImplementedError
