"""The judging page: one blind pair at a time, every answer on the disk at once. Streamlit runs this file."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from PIL import Image

from lookalike import schemas
from lookalike.datasets.folder import scan_images
from lookalike.datasets.sets import ImageSet
from lookalike.datasets.source import expand_root
from lookalike.errors import ImageError, UserError
from lookalike.runs.catalog import find_point
from lookalike.runs.opener import FinishedRun, open_finished
from lookalike.store.layout import Layout
from lookalike.ui.judging import (
    EXACT,
    GALLERY,
    QUERIES,
    RELEVANCE,
    RUNS,
    SAME,
    Answer,
    JudgingSession,
    Question,
    Terms,
    names_of,
    outcome,
    outcome_lines,
    plan_questions,
    write_relevance,
)
from lookalike.ui.server import unpacked
from lookalike.ui.thumbnails import Thumbnails
from lookalike.ui.tiles import Tile, inlined, plain, show_tiles

KEYS = {"left": "1", SAME: "2", "right": "3"}
WORDS = {"left": "Left is better", SAME: "About the same", "right": "Right is better"}


class RunPair:
    """Two runs over one gallery, and the images that both are searched for."""

    def __init__(self, a: FinishedRun, b: FinishedRun, terms: Terms) -> None:
        if list(a.images.ids) != list(b.images.ids):
            raise UserError(
                "the two runs searched different images (one was run before the dataset changed); "
                "run both again and judge those runs"
            )
        self.runs = dict(zip(RUNS, (a, b), strict=True))
        self.gallery = a.images
        self.terms = terms
        self.queries = query_images(self.gallery, terms.queries)
        self._row = {id_: row for row, id_ in enumerate(self.queries.ids)}
        self._answered: dict[str, dict[str, list[int]]] = {}

    def image(self, query: str) -> Image.Image:
        """Return the query's image. Raises ImageError when it cannot be decoded."""
        return self.queries.load(self._row[query])

    def file(self, query: str) -> Path:
        """Return where the query's image lies."""
        return Path(self.queries.locations[self._row[query]])

    def row(self, query: str) -> int:
        """Return the query's row in ``queries``."""
        return self._row[query]

    def answers(self, query: str) -> dict[str, list[int]]:
        """Return, by run, gallery rows of its first k without the query itself. Raises as :meth:`image`."""
        if query not in self._answered:
            self._answered[query] = {run: self._search(run, query) for run in RUNS}
        return self._answered[query]

    def _search(self, name: str, query: str) -> list[int]:
        run, k = self.runs[name], self.terms.k
        itself = self._row[query] if self.terms.queries == GALLERY else -1
        vector = run.vectors.rows(np.array([itself])) if itself >= 0 else run.embed(self.image(query))
        most = min(k + (itself >= 0), len(run.vectors))
        exactly = self.terms.answers == EXACT
        hits = run.search_exactly(vector, most) if exactly else run.search(vector, most)
        return [row for row in hits.rows.tolist() if row != itself][:k]


def query_images(gallery: ImageSet, queries: str) -> ImageSet:
    """Return the gallery itself, or the images below the folder ``queries``; DatasetError without any."""
    if queries == GALLERY:
        return gallery
    return scan_images(expand_root(queries, "--queries"), schemas.ImageDataset(name="files"))


@dataclass(frozen=True)
class Page:
    """What one drawing of the page is about."""

    run_pair: RunPair
    thumbnails: Thumbnails
    session: JudgingSession
    questions: Sequence[Question]
    answers: Mapping[str, Answer]

    @property
    def done(self) -> list[Answer]:
        """Answers to the questions of this session."""
        return [self.answers[each.query] for each in self.questions if each.query in self.answers]


def main() -> None:
    """Draw the page once, as Streamlit does after every click."""
    st.set_page_config("Lookalike: which is better?", layout="wide")
    options = unpacked(sys.argv[1:])
    try:
        run_pair, thumbnails = _opened(options["root"], tuple(options["runs"]), Terms(**options["terms"]))
        session = JudgingSession(Path(options["root"]), run_pair.terms)
        questions = plan_questions(run_pair.queries.ids, run_pair.terms.n, run_pair.terms.seed)
        page = Page(run_pair, thumbnails, session, questions, session.answers())
        question = _next(page)
        if question is None:
            _show_outcome(page, options)
        else:
            _show_pair(page, question)
    except UserError as error:
        st.error(plain(str(error)), icon=":material/error:")


@st.cache_resource(max_entries=1, show_spinner="Opening the two runs …")
def _opened(root: str, runs: Sequence[str], terms: Terms) -> tuple[RunPair, Thumbnails]:
    a, b = (open_finished(run, root) for run in runs)
    return RunPair(a, b, terms), Thumbnails(Layout(a.store.root).thumbnails)


def _next(page: Page) -> Question | None:
    """The question that was taken back, else the first without an answer whose image can be read."""
    again = st.session_state.get("again")
    for question in sorted(page.questions, key=lambda question: question.query != again):
        if question.query == again or question.query not in page.answers:
            try:
                page.run_pair.answers(question.query)
            except ImageError:
                continue
            return question
    return None


# --- a pair ------------------------------------------------------------------------------------------------


def _show_pair(page: Page, question: Question) -> None:
    run_pair, done = page.run_pair, [answer for answer in page.done if answer.query != question.query]
    st.progress(len(done) / len(page.questions), f"{len(done)} of {len(page.questions)} pairs judged")
    query, words = st.columns([1, 4], vertical_alignment="center")
    with query:
        [picture] = page.thumbnails.of(run_pair.queries, [run_pair.row(question.query)])
        show_tiles([Tile(question.query, inlined(picture))], f"query {question.query}", size=150)
    with words:
        st.subheader("Which side answers this image better?", anchor=False)
        st.caption(
            "Click images that are right answers, if you like: they become a relevance file. Then choose a "
            "side; the keys 1, 2 and 3 do it too. Which run is on which side was drawn for each pair."
        )
    rows = run_pair.answers(question.query)
    left, right = st.columns(2, gap="large", border=True)
    for column, side, run in ((left, "left", question.left), (right, "right", question.right)):
        with column:
            _show_side(page, f"{side} {question.query}", rows[run])
    answer = partial(_answer, page, question)
    for column, (choice, word) in zip(st.columns(3), WORDS.items(), strict=True):
        column.button(
            word,
            key=f"say {choice} {question.query}",
            on_click=answer,
            args=(choice,),
            shortcut=KEYS[choice],
            width="stretch",
        )
    if done:
        last = max(done, key=lambda answer: answer.at)
        st.button("Back to the last pair", type="tertiary", on_click=_take_back, args=(last,))


def _show_side(page: Page, key: str, rows: Sequence[int]) -> None:
    marked = _marked()
    tiles = []
    for row, small in zip(rows, page.thumbnails.of(page.run_pair.gallery, rows), strict=True):
        id_ = page.run_pair.gallery.ids[row]
        right = id_ in marked
        tiles.append(
            Tile(id_, inlined(small), mark="relevant" if right else "", badge="relevant" if right else "")
        )
    show_tiles(tiles, key, _toggle, size=76)


def _marked() -> set[str]:
    marked: set[str] = st.session_state.setdefault("marked", set())
    return marked


def _toggle(id_: str) -> None:
    _marked().symmetric_difference_update({id_})


def _take_back(answer: Answer) -> None:
    st.session_state.again = answer.query
    st.session_state.marked = set(answer.relevant)


def _answer(page: Page, question: Question, choice: str) -> None:
    run_pair, session = page.run_pair, page.session
    shown = {
        run: [run_pair.gallery.ids[row] for row in rows]
        for run, rows in run_pair.answers(question.query).items()
    }
    marked = _marked() & {id_ for ids in shown.values() for id_ in ids}
    now = datetime.now(UTC).isoformat()
    session.add(
        Answer(
            question.query, question.preferred(choice), question.left, shown, tuple(sorted(marked)), at=now
        )
    )
    own_folder = run_pair.terms.queries != GALLERY
    write_relevance(session.folder, session.answers().values(), None if own_folder else run_pair.file)
    st.session_state.marked, st.session_state.again = set(), None


# --- the end -----------------------------------------------------------------------------------------------


def _show_outcome(page: Page, options: Mapping[str, Any]) -> None:
    root = Path(options["root"])
    a, b = (find_point(root, run) for run in options["runs"])
    result = outcome(page.done)
    st.title("All pairs judged", anchor=False)
    counts = zip((*names_of(a, b), "about the same"), (result.a, result.b, result.same), strict=True)
    for column, (name, count) in zip(st.columns(3), counts, strict=True):
        column.metric(name, count)
    for line in outcome_lines(result, names_of(a, b), len(page.questions)):
        st.text(line)
    table = page.session.folder / RELEVANCE
    if table.exists():
        queries = page.run_pair.terms.queries
        folder = page.session.folder / QUERIES if queries == GALLERY else queries
        st.text("What you marked can now be measured:")
        settings = [f"queries.root={folder}", f"queries.relevance={table}"]
        command = f"lookalike run queries=files {shlex.join(settings)}"
        st.code(command, language=None, wrap_lines=True)
    st.caption("Close this page and end the command with Ctrl-C.")


if __name__ == "__main__":
    main()
