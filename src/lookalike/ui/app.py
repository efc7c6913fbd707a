"""The search page: an image or a caption in, the index's answer and the exact one out. Streamlit runs it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import streamlit as st

from lookalike.datasets.ids import nested_sample
from lookalike.datasets.images import decode
from lookalike.errors import ImageError, UserError
from lookalike.runs.catalog import find_point, find_searchable, searchable_points
from lookalike.runs.opener import FinishedRun, open_point
from lookalike.runs.points import RunPoint
from lookalike.runs.searching import Comparison, Hits
from lookalike.store.layout import Layout
from lookalike.ui.server import UPLOAD_MB, unpacked
from lookalike.ui.thumbnails import Thumbnails, thumbnail
from lookalike.ui.tiles import Tile, inlined, plain, show_tiles

UPLOAD_PIXELS = 50_000_000
"""An upload whose header announces more is not decoded."""
MOST_SHOWN = 100
FIRST_SHOWN = 10
TO_BEGIN_WITH = 24
"""Gallery images that are offered before the first search."""
HIGHEST = {"ef_search": 1024, "k_factor": 64, "nprobe": 1024}
"""Upper ends of the sliders of settings that have no largest value."""
NAMES = {"nprobe": "lists visited (nprobe)", "ef_search": "candidates kept (ef_search)"}
SCORES = {"l2": "squared distance: smaller is nearer", "ip": "inner product: larger is nearer"}


@dataclass(frozen=True)
class Question:
    """What is searched for: exactly one of an upload, a caption and a gallery image's id."""

    name: str
    upload: bytes | None = None
    caption: str | None = None
    id: str | None = None


@dataclass(frozen=True)
class Choice:
    """One index over one gallery."""

    selector: str
    """As ``find_point`` takes it."""
    title: str
    """What tells it from the others."""


@dataclass(frozen=True)
class Opened:
    """The run that is searched."""

    choice: Choice
    run: FinishedRun
    thumbnails: Thumbnails

    def pictures(self, rows: Sequence[int]) -> list[str | None]:
        """Return thumbnails of gallery images, as addresses."""
        return [inlined(one) for one in self.thumbnails.of(self.run.images, rows)]


def main() -> None:
    """Draw the page once, as Streamlit does after every click."""
    st.set_page_config("Lookalike", layout="wide")
    options = unpacked(sys.argv[1:])
    root = Path(options["root"])
    try:
        with st.sidebar:
            choice = _choose_run(root, options["run"])
        opened = _opened(choice, str(root))
        with st.sidebar:
            k, settings = _choose_settings(opened)
            _choose_query(opened.run)
        _show(opened, k, settings)
    except UserError as error:
        st.error(plain(str(error)), icon=":material/error:")


# --- choosing ----------------------------------------------------------------------------------------------


def _choose_run(root: Path, selector: str | None) -> Choice:
    """The run to search: at first the one that ``--run`` named, else the newest over images.

    Settings of the search make no choices of their own (they are set in the app).
    """
    named = choice_of(find_searchable(root, selector))
    offered = [choice_of(run) for run in searchable_points(root)]
    if named not in offered:
        offered.insert(0, named)
    st.title("Lookalike", anchor=False)
    return st.selectbox("Run", offered, offered.index(named), format_func=lambda choice: choice.title)


def choice_of(run: RunPoint) -> Choice:
    """Return the choice that opens exactly this operating point."""
    record, data = run.record, run.record.data
    shape = [f"{name}={value}" for name, value in run.point.index_settings.items()]
    index = " ".join([str(record.index["family"]), *shape])
    return Choice(
        f"{run.folder.resolve()}:{run.point.label}",
        f"{index} · {record.model['name']} · {data['dataset']}, {data['gallery_size']:,} images",
    )


@st.cache_resource(max_entries=1, show_spinner="Opening the run …")
def _opened(choice: Choice, root: str) -> Opened:
    run = open_point(find_point(Path(root), choice.selector), Path(root))
    run.require_searchable()
    some = run.vectors.rows(np.array([0]))
    run.compare(some, min(FIRST_SHOWN, len(run.vectors)))  # the first search after loading is slower
    return Opened(choice, run, Thumbnails(Layout(run.store.root).thumbnails))


def _choose_settings(opened: Opened) -> tuple[int, dict[str, int]]:
    """K and the settings that this run's index has; another run begins with its own."""
    run = opened.run
    most = min(len(run.vectors), MOST_SHOWN)
    k = st.slider("images shown (K)", 1, most, min(FIRST_SHOWN, most)) if most > 1 else 1
    settings = {}
    for name, limit in run.limits.items():
        first = run.settings[name]
        highest = limit or max(HIGHEST[name], first)
        if highest > 1:
            settings[name] = st.slider(
                NAMES.get(name, name), 1, highest, first, key=f"{name} of {opened.choice.selector}"
            )
    return k, settings


def _choose_query(run: FinishedRun) -> None:
    """Each way to search takes the place of the last search."""
    st.file_uploader(
        f"Search by an image (up to {UPLOAD_MB} MB)",
        type="image",
        key="upload",
        on_change=_search_for_upload,
    )
    if run.reads_text:
        st.text_input("or by a caption", key="caption", max_chars=1000, on_change=_search_for_caption)
    st.button("Show gallery images to begin with", on_click=_search_for_nothing, width="stretch")


def _search_for_upload() -> None:
    if (file := st.session_state.upload) is not None:
        st.session_state.question = Question(file.name, upload=file.getvalue())


def _search_for_caption() -> None:
    if caption := st.session_state.caption.strip():
        st.session_state.question = Question(caption, caption=caption)


def _search_for_image(id_: str) -> None:
    st.session_state.question = Question(id_, id=id_)


def _search_for_nothing() -> None:
    st.session_state.question = None
    st.session_state.draw = st.session_state.get("draw", -1) + 1


# --- showing -----------------------------------------------------------------------------------------------


def _show(opened: Opened, k: int, settings: Mapping[str, int]) -> None:
    run = opened.run
    question: Question | None = st.session_state.get("question")
    if question is not None and question.id is not None and question.id not in run.images.ids:
        question = None  # another run's gallery
    st.caption(plain(opened.choice.title))
    if question is None:
        _show_beginning(opened)
        return
    vector, picture = _embedded_once(opened, question)
    answer = run.compare(vector, k, **settings)
    _show_question(question, picture, answer, k)
    point = [f"{name}={value}" for name, value in settings.items()]
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader(" ".join([run.experiment.index.family, *point]), anchor=False)
        show_tiles(
            _hits(opened, answer.found, answer.wrong, "wrong", question), "found", _search_for_image, size=76
        )
    with right:
        st.subheader("exact", anchor=False)
        show_tiles(
            _hits(opened, answer.exact, answer.missed, "missed", question),
            "exact",
            _search_for_image,
            size=76,
        )
    st.caption(
        f"Below each image its {SCORES[run.metric]}. Outlined: exact neighbours that the index missed; "
        "dashed: what it returned in their place. Click an image to search on from it."
    )


def _show_beginning(opened: Opened) -> None:
    """Some images of the gallery, other ones at every click."""
    st.subheader("Drop an image at the left, or click one of the gallery", anchor=False)
    ids = opened.run.images.ids
    rows = nested_sample(ids, TO_BEGIN_WITH, st.session_state.get("draw", 0), "ui")
    tiles = [Tile(ids[row], picture) for row, picture in zip(rows, opened.pictures(rows), strict=True)]
    show_tiles(tiles, "beginning", _search_for_image)


def _embedded_once(opened: Opened, question: Question) -> tuple[np.ndarray, str | None]:
    """The query's vector and picture, made once for as long as neither query nor run changes."""
    kept = st.session_state.get("embedded")
    if kept is None or kept[0] != (opened.choice, question):
        with st.spinner("Embedding the query …"):
            kept = ((opened.choice, question), *_embedded(opened, question))
        st.session_state.embedded = kept
    return kept[1], kept[2]


def _embedded(opened: Opened, question: Question) -> tuple[np.ndarray, str | None]:
    run = opened.run
    if question.caption is not None:
        return run.embed_text(question.caption), None
    if question.upload is None:
        row = list(run.images.ids).index(str(question.id))
        return run.vectors.rows(np.array([row])), opened.pictures([row])[0]
    try:
        image = decode(question.upload, UPLOAD_PIXELS)
        return run.embed(image), inlined(thumbnail(image))
    except ImageError as error:
        reason = str(error).partition(";")[0].replace("dataset.max_pixels=", "the limit of ")
        raise ImageError(f"{question.name} cannot be searched for: {reason}") from error


def _show_question(question: Question, picture: str | None, answer: Comparison, k: int) -> None:
    query, found, fast, exact = st.columns(4, vertical_alignment="center")
    with query:
        if question.caption is not None:
            st.text(f"“{question.caption}”")
        else:
            show_tiles([Tile(question.name, picture, question.name)], "query", size=140)
    found.metric("neighbours found", f"{len(answer.exact) - len(answer.missed)} of {len(answer.exact)}")
    fast.metric("this search, index", f"{answer.found.milliseconds:.2f} ms")
    exact.metric("this search, exact", f"{answer.exact.milliseconds:.2f} ms")
    if len(answer.found) < k:
        st.info(f"The index found only {len(answer.found)} of {k}: raise its settings to visit more.")


def _hits(opened: Opened, hits: Hits, lost: frozenset[int], mark: str, question: Question) -> list[Tile]:
    """One answer's images; those in ``lost`` are marked."""
    rows = hits.rows.tolist()
    badges = {row: "missed" for row in lost if mark == "missed"}
    return [
        Tile(
            id_,
            picture,
            note=f"{score:.4f}",
            mark=mark if row in lost else "",
            badge=badges.get(row, "query" if id_ == question.id else ""),
        )
        for row, id_, score, picture in zip(
            rows, hits.ids, hits.scores.tolist(), opened.pictures(rows), strict=True
        )
    ]


if __name__ == "__main__":
    main()
