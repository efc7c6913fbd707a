"""The description of a FAISS index: plain values by name."""

from __future__ import annotations

from typing import Any

from lookalike.index.structure import parts, transforms

METRICS = {0: "ip", 1: "l2"}


def describe(index: Any) -> dict[str, Any]:
    """Return all that tells one index from another and is not a vector; what it does not have is left out.

    ``factory`` resembles the string that FAISS would make it from; of a learned rotation a file keeps the
    matrix, not its kind. ``code_bytes``: of one vector as it is searched first, without its id.
    ``imbalance``: how many times as long as in lists of equal length a search is, 1 when they all are.
    ``defaults``: search settings kept in the index.
    """
    import faiss

    outer = faiss.downcast_index(index)
    about: dict[str, Any] = {
        "factory": factory_like(outer),
        "type": type(outer).__name__,
        "dimensions": outer.d,
        "vectors": outer.ntotal,
        "metric": METRICS.get(outer.metric_type, f"FAISS's number {outer.metric_type}"),
        "trained": outer.is_trained,
    }
    defaults: dict[str, Any] = {}
    for part in parts(outer, quantisers=False):
        if isinstance(part, faiss.IndexRefine):
            about["refine"] = factory_like(part.refine_index)
            defaults["k_factor"] = part.k_factor
        if isinstance(part, faiss.IndexIDMap):
            about["id_map"] = True
        if isinstance(part, faiss.IndexIVF):
            about |= _lists(part)
            defaults["nprobe"] = part.nprobe
        if hasattr(part, "hnsw"):
            about |= {"hnsw_m": part.hnsw.nb_neighbors(1), "ef_construction": part.hnsw.efConstruction}
            defaults["ef_search"] = part.hnsw.efSearch
        about |= {name: value for name, value in _codes(part).items() if name not in about}
    if chain := [_name_of_transform(transform) for transform in transforms(outer)]:
        about["transforms"] = chain
    return {**about, "defaults": defaults} if defaults else about


def _lists(ivf: Any) -> dict[str, Any]:
    lists = ivf.invlists
    sizes = [lists.list_size(number) for number in range(ivf.nlist)]
    return {
        "nlist": ivf.nlist,
        "coarse_quantiser": factory_like(ivf.quantizer),
        "imbalance": round(lists.imbalance_factor(), 4) if sum(sizes) else None,
        "largest_list": max(sizes, default=0),
        "empty_lists": sizes.count(0),
    }


def _codes(part: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if hasattr(part, "code_size"):
        found["code_bytes"] = part.code_size
    if hasattr(part, "pq"):
        found |= {"pq_m": part.pq.M, "pq_bits": part.pq.nbits}
    if hasattr(part, "sq"):
        found["scalar_quantiser"] = _scalar_name(part.sq.qtype)
    return found


def factory_like(index: Any) -> str:
    """A string as FAISS's factory reads them; a class's name for what the factory has no word for here."""
    import faiss

    index = faiss.downcast_index(index)
    if isinstance(index, faiss.IndexPreTransform):
        return ",".join([*map(_name_of_transform, transforms(index)), factory_like(index.index)])
    if isinstance(index, faiss.IndexIDMap):
        return f"{type(index).__name__.removeprefix('Index')},{factory_like(index.index)}"
    if isinstance(index, faiss.IndexRefine):
        word = type(index).__name__.removeprefix("Index").removesuffix("Flat")
        return f"{factory_like(index.base_index)},{word}({factory_like(index.refine_index)})"
    if isinstance(index, faiss.IndexIVF):
        return f"{_name_of_lists(index)},{_name_of_codes(index)}"
    if hasattr(index, "storage"):
        graph = f"HNSW{index.hnsw.nb_neighbors(1)}" if hasattr(index, "hnsw") else f"NSG{index.nsg.R}"
        return f"{graph},{factory_like(index.storage)}"
    return _name_of_codes(index)


def _name_of_lists(ivf: Any) -> str:
    coarse = factory_like(ivf.quantizer)
    if coarse.startswith("IMI"):
        return coarse
    inner = "" if coarse == "Flat" else f"({coarse})"
    if coarse.startswith("HNSW") and coarse.endswith(",Flat"):
        inner = f"_{coarse.removesuffix(',Flat')}"
    return f"IVF{ivf.nlist}{inner}"


def _name_of_codes(index: Any) -> str:
    name = type(index).__name__
    if name in ("IndexFlat", "IndexFlatL2", "IndexFlatIP", "IndexIVFFlat"):
        return "Flat"
    if name == "MultiIndexQuantizer":
        return f"IMI{index.pq.M}x{index.pq.nbits}"
    if "RaBitQ" in name:
        fast = "fs" if "FastScan" in name else ""
        bits = index.rabitq.nb_bits
        return f"RaBitQ{fast}{'' if bits == 1 else bits}"
    if hasattr(index, "sq"):
        return f"SQ{_scalar_name(index.sq.qtype)}"
    if hasattr(index, "pq"):
        fast = "fs" if "FastScan" in name else ""
        refined = f"+{index.refine_pq.M}" if hasattr(index, "refine_pq") else ""
        return f"PQ{index.pq.M}x{index.pq.nbits}{fast}{refined}"
    short = name.removeprefix("IndexIVF").removeprefix("Index") or name
    return f"{short}{index.n_levels}_{index.batch_size}" if "Panorama" in name else short


def _scalar_name(qtype: int) -> str:
    """``8``, ``fp16`` …: what follows ``SQ`` in a factory string."""
    import faiss

    names = {
        getattr(faiss.ScalarQuantizer, name): name.removeprefix("QT_").removesuffix("bit")
        for name in dir(faiss.ScalarQuantizer)
        if name.startswith("QT_")
    }
    return names.get(qtype, str(qtype))


def _name_of_transform(transform: Any) -> str:
    import faiss

    if isinstance(transform, faiss.OPQMatrix):
        return f"OPQ{transform.M}_{transform.d_out}"
    if isinstance(transform, faiss.PCAMatrix):
        return f"PCA{'R' if transform.random_rotation else ''}{transform.d_out}"
    if isinstance(transform, faiss.NormalizationTransform):
        return "L2norm"
    short = {faiss.RandomRotationMatrix: "RR", faiss.ITQTransform: "ITQ"}.get(type(transform))
    return f"{short}{transform.d_out}" if short else f"{type(transform).__name__}({transform.d_out})"
