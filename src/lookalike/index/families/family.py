"""What all index families share; FAISS is imported only for faults."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

from lookalike.schemas import Index
from lookalike.schemas.fields import field_faults

FAISS_DEFAULTS = {"nprobe": 1, "ef_search": 16, "k_factor": 1}
"""Every search setting there is, with the value that FAISS takes when none is named."""
FEW_LISTS = 64
"""So many are all visited by the last step of a ladder."""
EF_STEPS = (16, 32, 64, 128, 256, 512)
REFINING = [2, 8]
"""Values of k_factor worth measuring."""
USUAL_EF = 128
USUAL_NPROBE = 8


class Centroids(NamedTuple):
    """Centroids that training makes, and needs as many vectors for."""

    setting: str
    """What asks for them: ``index.nlist``."""
    needed: int
    cure: str
    """What to do where there are too few vectors."""


@dataclass
class Family(Index):
    """The usual answers: an index without search settings and without training."""

    ladder_step: ClassVar[int] = 2
    """Between two numbers of lists of a ladder, up to 64 of them."""

    def search_settings(self) -> tuple[str, ...]:
        return ()

    def list_count(self) -> int | None:
        return None

    def faults(self, d: int | None = None, n: int | None = None) -> list[str]:
        found = field_faults(self, "index")
        if not found:
            found += self.build_faults(d)
        if not found and self.shards_apart:
            found += self.merge_faults(d)
        if not found and n is not None:
            found += self._size_faults(d, n)
        return found

    def build_faults(self, d: int | None) -> Iterator[str]:
        """Yield why FAISS cannot make the index, its settings being within their bounds."""
        yield from ()

    def merge_faults(self, d: int | None) -> Iterator[str]:
        """Yield why parts of the index could not be merged, which FAISS knows."""
        from lookalike.index.merging import why_unmergeable
        from lookalike.index.structure import blank_index

        if d is not None and (reason := why_unmergeable(blank_index(self.factory_string(d), d, self.metric))):
            yield self._unmergeable(f"cannot be, because {reason}")

    def _unmergeable(self, reason: str) -> str:
        return f"index.shards_apart=true {reason}; leave it out of index={self.family}"

    def centroids(self, d: int | None) -> Iterable[Centroids]:
        """Return what training clusters, for vectors of ``d`` dimensions."""
        return ()

    def _size_faults(self, d: int | None, n: int) -> Iterator[str]:
        """The gallery, or the training sample, is too small for the centroids."""
        most = max(self.centroids(d), key=lambda centroids: centroids.needed, default=None)
        if most is None:
            return
        setting, needed, cure = most
        if needed > n:
            yield f"{setting} needs {needed:,} centroids and the gallery has {n:,} vectors; {cure}"
        elif self.train_size is not None and needed > self.train_size:
            yield (
                f"{setting} needs {needed:,} centroids and index.train_size={self.train_size} is fewer "
                f"vectors; raise index.train_size to {39 * needed:,} or more, or {cure}"
            )

    def resolved(self, n: int, k: int) -> Index:
        usual, ladders = self._usual_point(k), self._usual_ladder(n)
        wanted = {*self.search_settings(), *self.point}
        point = self.point | {
            name: usual[name] for name in usual if name in wanted and not self.point.get(name)
        }
        ladder = self.ladder | {
            name: ladders[name] for name in ladders if name in self.ladder and not self.ladder[name]
        }
        return replace(self, point=point, ladder=ladder)

    def _usual_point(self, k: int) -> dict[str, int]:
        nprobe = nprobe_for(self.list_count() or FEW_LISTS)
        return {"nprobe": nprobe, "ef_search": max(USUAL_EF, 2 ** k.bit_length())}

    def _usual_ladder(self, n: int) -> dict[str, list[int]]:
        return {
            "nprobe": nprobe_ladder(self.list_count() or FEW_LISTS, self.ladder_step),
            "ef_search": [ef for last, ef in zip((0, *EF_STEPS), EF_STEPS, strict=False) if last < n],
        }

    def candidates(self, n: int, d: int, k: int = 100) -> list[Index]:
        ladder = {name: REFINING if name == "k_factor" else None for name in self.search_settings()}
        tried = replace(self, ladder=ladder | self.ladder)
        found = [replace(tried, **build).resolved(n, k) for build in tried.builds(n, d)]
        return [index for index in found if not index.faults(d, n)]

    def builds(self, n: int, d: int) -> Iterable[dict[str, Any]]:
        """Return the settings of each build that :meth:`candidates` tries; they may be impossible."""
        return ({},)


@dataclass
class ExactFamily(Family):
    """A family that compares each query with every vector: there is nothing to choose."""

    is_exact: ClassVar[bool] = True

    def resolved(self, n: int, k: int) -> Index:
        return replace(self)


def nprobe_for(nlist: int) -> int:
    """Return how many of ``nlist`` lists a search visits: 8, a sixteenth of many, all of fewer."""
    return min(nlist, max(USUAL_NPROBE, nlist // 16))


def nprobe_ladder(nlist: int, step: int) -> list[int]:
    """Return from one list to all of few, or to half of many: times ``step`` up to 64, then times four."""
    last = nlist if nlist <= FEW_LISTS else nlist // 2
    steps = [1]
    while (following := steps[-1] * (step if steps[-1] < FEW_LISTS else 4)) <= last:
        steps.append(following)
    return steps
