"""Index files that were filled apart become one, once it is proven that they belong together.

FAISS compares little of what two indexes were trained to (coarse centroids of some kinds, but no codebook),
numbers ids on by the number that it is given, and empties what it takes from. So files are merged only when
everything in them but their vectors is the same to the byte, and when no id comes twice. The result starts as
an empty copy of the first, with room for all, and takes in one file at a time: memory is the result and, of
kinds without inverted lists, one part.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lookalike.errors import IndexingError
from lookalike.index.description import describe
from lookalike.index.files import read_index
from lookalike.index.filling import reserve_codes, reserve_lists
from lookalike.index.messages import translated
from lookalike.index.structure import inverted_file, parts

Ids = npt.NDArray[np.int64]

SHAPE = ("type", "dimensions", "metric", "nlist", "code_bytes", "coarse_quantiser", "transforms", "id_map")
"""What :func:`~lookalike.index.description.describe` calls that which two mergeable indexes share."""


def why_unmergeable(index: Any) -> str | None:
    """Why indexes of this kind cannot be merged, to follow "because"; None when they can."""
    import faiss

    inside = list(parts(index, quantisers=False))
    if any(isinstance(part, faiss.IndexRefine | faiss.IndexIVFPQR) for part in inside):
        return "a refine step finds finer codes by position, not by id, and FAISS merges none such"
    if any(hasattr(part, "hnsw") or hasattr(part, "nsg") for part in inside):
        return "a graph's links lead to vectors of its own part only; they would have to be found again"
    holds_lists = any(isinstance(part, faiss.IndexIVF) for part in inside)
    if holds_lists and any(isinstance(part, faiss.IndexIDMap) for part in inside):
        return (
            "its id map stands in front of inverted lists, which FAISS does not number on (leave IDMap out)"
        )
    ivf = inverted_file(index)
    if ivf is not None and isinstance(faiss.downcast_InvertedLists(ivf.invlists), faiss.BlockInvertedLists):
        return "FAISS writes past the end of a fast-scan list when it merges two (seen in 1.15.1)"
    blank = faiss.downcast_index(index)
    try:
        blank.check_compatible_for_merge(blank)
    except RuntimeError as error:
        if "not implemented" in str(error):  # other complaints are of one that is not trained yet
            return f"FAISS cannot merge an {type(blank).__name__}"
    return None


@dataclass(frozen=True)
class Part:
    """What has to be known of a file before it is merged; nothing of its vectors is in memory."""

    path: Path
    about: dict[str, Any]
    """Its description, see :func:`~lookalike.index.description.describe`."""
    blank: bytes
    """The same index without vectors, as FAISS writes it."""
    trained: str
    """SHA-256 of all that training and the config put into it."""
    list_sizes: Ids | None
    ids: Ids | None
    """None when ids are positions."""

    @property
    def vectors(self) -> int:
        """How many vectors it holds."""
        return int(self.about["vectors"])


def examine(path: Path) -> Part:
    """Look at an index file that is known to be readable.

    Raises IndexingError when it is not an index, not trained, damaged, or of a kind that cannot be merged.
    """
    index = read_index(path, mmap=True)
    if not index.is_trained:
        raise IndexingError(f"{path} is not trained; train once and fill a copy for each part")
    if reason := why_unmergeable(index):
        raise IndexingError(f"{path} cannot be merged, because {reason}; build it in one go")
    about = describe(index)
    sizes, ids = _list_sizes(index), _ids(index)
    counts = [int(sizes.sum())] if sizes is not None else []
    if any(count != index.ntotal for count in [*counts, *([len(ids)] if ids is not None else [])]):
        raise IndexingError(
            f"{path} is damaged: its number of vectors, {index.ntotal:,}, is not that of its ids; "
            "build it again"
        )
    _empty(index)
    blank = _written(index)
    _forget_search_settings(index)
    return Part(path, about, blank, hashlib.sha256(_written(index)).hexdigest(), sizes, ids)


def merge_parts(
    members: Sequence[Part], renumber: bool = False, on_merged: Callable[[int], None] = lambda vectors: None
) -> Any:
    """One index of all parts, in memory; vectors keep their ids.

    ``renumber``: each part has the ids 0 … n−1, which go on where those of the parts before it end. Where
    ids are positions they go on in any case. ``on_merged`` is called with the number of vectors of each part.

    Raises IndexingError as :func:`refuse_misfits` does, and when FAISS cannot merge.
    """
    import faiss

    refuse_misfits(members, renumber)
    index = faiss.deserialize_index(np.frombuffer(members[0].blank, np.uint8))
    total = sum(part.vectors for part in members)
    reserve_codes(index, total)
    lists = inverted_file(index)
    if lists is not None:
        sizes = [part.list_sizes for part in members if part.list_sizes is not None]
        reserve_lists(lists, np.sum(sizes, axis=0))
    for part in members:
        added = index.ntotal if renumber and part.ids is not None else 0
        with translated(f"merge {part.path.name}"):
            if lists is None:
                index.merge_from(read_index(part.path), added)
            else:
                _take_lists(index, lists, read_index(part.path, mmap=True), added)
        on_merged(part.vectors)
    if index.ntotal != total:
        raise IndexingError(
            f"merging {total:,} vectors gave {index.ntotal:,}: a file changed meanwhile; try again"
        )
    return index


def _take_lists(index: Any, ivf: Any, part: Any, added: int) -> None:
    """Append the inverted lists of a part that stays in its file to those of ``ivf``, which is in ``index``.

    ``added`` is added to the part's ids.
    """
    import faiss

    other = faiss.extract_index_ivf(part).invlists
    other.copy_subset_to(ivf.invlists, other.SUBSET_TYPE_INVLIST, 0, ivf.nlist)
    for number in range(ivf.nlist) if added else ():
        if size := other.list_size(number):
            ids = faiss.rev_swig_ptr(ivf.invlists.get_ids(number), ivf.invlists.list_size(number))
            ids[-size:] += added
    outer = faiss.downcast_index(index)
    while isinstance(outer, faiss.IndexPreTransform):
        outer.ntotal += part.ntotal
        outer = faiss.downcast_index(outer.index)
    outer.ntotal += part.ntotal


def refuse_misfits(members: Sequence[Part], renumber: bool = False) -> None:
    """Raise IndexingError, with both files' names, unless the parts can become one index."""
    if not members:
        raise IndexingError("there is nothing to merge; name the files of two or more parts")
    first = members[0]
    for part in members[1:]:
        if part.trained == first.trained:
            continue
        for name in SHAPE:
            ours, theirs = first.about.get(name), part.about.get(name)
            if ours != theirs:
                raise IndexingError(
                    f"{part.path} has {name.replace('_', ' ')} {theirs} and {first.path} {ours}; "
                    "only parts of one index can be merged"
                )
        raise IndexingError(
            f"{part.path} and {first.path} were trained apart: the same shape, other centroids or codebooks; "
            "train once and fill a copy for each part (`lookalike index build` does)"
        )
    if renumber:
        _refuse_gaps(members)
    else:
        _refuse_common_ids(members)


def _refuse_gaps(members: Sequence[Part]) -> None:
    for part in members:
        if part.ids is not None and not np.array_equal(np.sort(part.ids), np.arange(part.vectors)):
            raise IndexingError(
                f"{part.path} has other ids than 0 to {part.vectors - 1:,}, so they cannot be numbered on; "
                "leave out --renumber to keep the ids that it has"
            )


def _refuse_common_ids(members: Sequence[Part]) -> None:
    numbered = [(part, part.ids) for part in members if part.ids is not None]
    if not numbered:
        return
    ids = np.concatenate([ids for _, ids in numbered])
    order = np.argsort(ids, kind="stable")
    twice = np.flatnonzero(ids[order[1:]] == ids[order[:-1]])
    if len(twice) == 0:
        return
    ends = np.cumsum([len(ids) for _, ids in numbered])
    one, other = (
        numbered[int(np.searchsorted(ends, place, side="right"))][0].path
        for place in (order[twice[0]], order[twice[0] + 1])
    )
    held = ids[order[twice[0]]]
    where = f"{one} has id {held} twice" if one == other else f"{one} and {other} both have id {held}"
    raise IndexingError(
        f"{where}; name each part once, or, when each is numbered from 0, "
        "let --renumber count on from one to the next"
    )


def _list_sizes(index: Any) -> Ids | None:
    ivf = inverted_file(index)
    if ivf is None:
        return None
    return np.array([ivf.invlists.list_size(number) for number in range(ivf.nlist)], np.int64)


def _ids(index: Any) -> Ids | None:
    """All stored ids, list by list; None when ids are positions."""
    import faiss

    for part in parts(index):
        if isinstance(part, faiss.IndexIDMap):
            return np.array(faiss.vector_to_array(part.id_map), np.int64)
    ivf = inverted_file(index)
    if ivf is None:
        return None
    lists = ivf.invlists
    found = [np.empty(0, np.int64)]
    for number in range(ivf.nlist):
        if size := lists.list_size(number):
            pointer = lists.get_ids(number)
            found.append(faiss.rev_swig_ptr(pointer, size).astype(np.int64))
            lists.release_ids(number, pointer)
    return np.concatenate(found)


def _empty(index: Any) -> None:
    """Take all vectors out of an index that may be mapped from a file, and so cannot be reset."""
    import faiss

    index = faiss.downcast_index(index)
    if isinstance(index, faiss.IndexPreTransform | faiss.IndexIDMap):
        _empty(index.index)
    if isinstance(index, faiss.IndexIDMap):
        index.id_map.clear()
    if isinstance(index, faiss.IndexIVF):
        lists = faiss.ArrayInvertedLists(index.nlist, index.code_size)
        index.replace_invlists(lists, True)
        lists.this.disown()
    elif isinstance(index, faiss.IndexFlatCodes):
        index.codes = faiss.MaybeOwnedVectorUInt8()
    elif not isinstance(index, faiss.IndexPreTransform | faiss.IndexIDMap):
        index.reset()
        if isinstance(index, faiss.IndexFastScan):
            index.ntotal2 = 0  # reset forgets it
    index.ntotal = 0


def _forget_search_settings(index: Any) -> None:
    """Reset the search settings that FAISS keeps in the file: training does not set them."""
    import faiss

    for part in parts(index):
        if isinstance(part, faiss.IndexIVF):
            part.nprobe, part.max_codes = 1, 0
        if hasattr(part, "hnsw"):
            part.hnsw.efSearch = 16


def _written(index: Any) -> bytes:
    import faiss

    return bytes(faiss.serialize_index(index))
