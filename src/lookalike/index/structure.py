"""Inside a FAISS index: its parts, what they need for training, and search parameters for all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lookalike.errors import IndexingError
from lookalike.index.messages import translated

OPQ_CENTROIDS = 256
"""OPQ finds its rotation with an 8-bit product quantiser, whatever comes after it."""


def blank_index(factory: str, d: int, metric: str) -> Any:
    """An empty index, as FAISS's factory makes it. Raises IndexingError with FAISS's reason."""
    import faiss

    number = {"l2": faiss.METRIC_L2, "ip": faiss.METRIC_INNER_PRODUCT}[metric]
    try:
        with translated(f"make {factory!r} for {d} dimensions"):
            index = faiss.index_factory(d, factory, number)
    except IndexingError as error:
        raise IndexingError(str(error).partition(": ")[2]) from error
    if index.metric_type != number:
        raise IndexingError(f"it does not know metric={metric}")
    if any(isinstance(part, faiss.IndexIDMap) for part in parts(index)):
        raise IndexingError("ids are row numbers here, IDMap has to go")
    if reason := _why_unsearchable(index):
        raise IndexingError(reason)
    return index


def _why_unsearchable(index: Any) -> str | None:
    """What FAISS would say, or die of, when the index is filled or searched, hours later."""
    import faiss

    stored = list(parts(index, quantisers=False))
    if any(isinstance(part, faiss.IndexIVF) and part.nlist < 1 for part in stored):
        return "it has no lists"
    if any(isinstance(part, faiss.IndexRowwiseMinMaxBase | faiss.AdditiveCoarseQuantizer) for part in stored):
        return "FAISS encodes with it, and nothing can be added to it"
    first = stored[0]
    while isinstance(first, faiss.IndexPreTransform | faiss.IndexRefine):
        first = faiss.downcast_index(
            first.base_index if isinstance(first, faiss.IndexRefine) else first.index
        )
    if isinstance(first, faiss.Index2Layer):
        return "FAISS encodes with it, and does not search it"
    for part in stored:
        if not isinstance(part, faiss.IndexRefine):
            continue
        finer = faiss.downcast_index(part.refine_index)
        if inverted_file(finer) is not None:
            return "a refine step finds finer codes by position, which inverted lists do not keep"
        if isinstance(part, faiss.IndexRefinePanorama) and not (
            isinstance(finer, faiss.IndexFlatPanorama) and finer.batch_size == 1
        ):
            return "RefinePanorama can search FlatL2Panorama8_1 and the like only (levels, _1)"
    return None


def parts(index: Any, quantisers: bool = True) -> Iterator[Any]:
    """The index and all indexes inside it, each as its own class, outermost first.

    ``quantisers=False`` leaves out coarse quantisers: what is left holds vectors that were added. The parts
    belong to ``index``, which has to outlive them.
    """
    import faiss

    index = faiss.downcast_index(index)
    yield index
    for name in ("base_index", "refine_index", "index", "quantizer", "storage"):
        inner = getattr(index, name, None)
        if inner is not None and (quantisers or name != "quantizer"):
            yield from parts(inner, quantisers)


def inverted_file(index: Any) -> Any | None:
    """The index with inverted lists that keeps the vectors' ids, behind transforms at most; None without."""
    import faiss

    index = faiss.downcast_index(index)
    while isinstance(index, faiss.IndexPreTransform):
        index = faiss.downcast_index(index.index)
    return index if isinstance(index, faiss.IndexIVF) else None


def transforms(index: Any) -> Iterator[Any]:
    """All vector transforms in front of the index, each as its own class."""
    import faiss

    for part in parts(index):
        if isinstance(part, faiss.IndexPreTransform):
            for position in range(part.chain.size()):
                yield faiss.downcast_VectorTransform(part.chain.at(position))


def varies_with_threads(index: Any) -> bool:
    """Whether training gives other bytes with another number of threads: rotations and PCA do."""
    import faiss

    return any(isinstance(transform, faiss.LinearTransform) for transform in transforms(index))


def is_seeded(index: Any) -> bool:
    """Whether the index depends on a seed."""
    return not index.is_trained or any(hasattr(part, "hnsw") for part in parts(index))


def centroids_of(index: Any) -> int:
    """The most centroids that one of the index's clusterings has; 0 when it clusters nothing."""
    import faiss

    counts = [0]
    for part in parts(index):
        if isinstance(part, faiss.IndexIVF) and not _is_product(part.quantizer):
            counts.append(part.nlist)
        if hasattr(part, "pq"):
            counts.append(part.pq.ksub)
    counts += [OPQ_CENTROIDS for transform in transforms(index) if isinstance(transform, faiss.OPQMatrix)]
    return max(counts)


def _is_product(quantizer: Any) -> bool:
    """Whether inverted lists are pairs of centroids (IMI), far fewer of which are trained."""
    import faiss

    return isinstance(faiss.downcast_index(quantizer), faiss.MultiIndexQuantizer)


def seed_build(index: Any, seed: int) -> None:
    """Seed what is random while the index is trained and filled."""
    import faiss

    for part in parts(index):
        if hasattr(part, "cp"):
            part.cp.seed = seed
        if hasattr(part, "pq"):
            part.pq.cp.seed = seed
        if hasattr(part, "hnsw"):
            part.hnsw.rng = faiss.RandomGenerator(seed)
    for transform in transforms(index):
        if isinstance(transform, faiss.RandomRotationMatrix) and not transform.is_trained:
            transform.init(seed)


def search_parameters(index: Any, settings: Mapping[str, int]) -> Any:
    """Parameters for ``index.search`` that leave the index as it is; None when it has no settings.

    ``settings``: ``nprobe``, ``ef_search`` and ``k_factor`` by name; one left out is the index's own.
    """
    import faiss

    index = faiss.downcast_index(index)
    if isinstance(index, faiss.IndexPreTransform):
        outer = faiss.SearchParametersPreTransform()
        outer.index_params = search_parameters(index.index, settings)
        return outer
    if isinstance(index, faiss.IndexRefine):
        refine = faiss.IndexRefineSearchParameters()
        refine.k_factor = settings.get("k_factor", index.k_factor)
        refine.base_index_params = search_parameters(index.base_index, settings)
        return refine
    if isinstance(index, faiss.IndexIVF):
        of_pq = isinstance(index, faiss.IndexIVFPQ)
        lists = faiss.IVFPQSearchParameters() if of_pq else faiss.SearchParametersIVF()
        lists.nprobe = settings.get("nprobe", index.nprobe)
        lists.quantizer_params = search_parameters(index.quantizer, settings)
        return lists
    if hasattr(index, "hnsw"):
        graph = faiss.SearchParametersHNSW()
        graph.efSearch = settings.get("ef_search", index.hnsw.efSearch)
        return graph
    return None
