"""Which pairs are asked in which order, what is put down, and what comes of it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lookalike.errors import UserError
from lookalike.queries.judgements import read_judgements
from lookalike.runs.points import RunPoint
from lookalike.runs.record import PointRecord, Record
from lookalike.ui.judging import (
    Answer,
    JudgingSession,
    Terms,
    names_of,
    outcome,
    outcome_lines,
    pair_fault,
    plan_questions,
    wilson_interval,
    write_relevance,
)

IDS = [f"cats/{number:03}.png" for number in range(200)]
TERMS = Terms("aaaaaaaaaaaa", "bbbbbbbbbbbb", "gallery", "exact", n=50, k=5, seed=0)


def answer(query: str, better: str = "a", *relevant: str) -> Answer:
    return Answer(query, better, "b", {"a": ["x.png"], "b": ["y.png"]}, relevant, "2026-11-22T12:00:00+00:00")


def place(model: str = "siglip", dataset: dict[str, Any] | None = None, **changes: Any) -> RunPoint:
    record = Record(
        name="photos",
        started="2026-11-22T12:00:00+00:00",
        finished="",
        status="finished",
        model={"name": model, "recipe": {"weights": model}},
        config={
            "dataset": dataset or {"name": "folder", "root": "/photos", "limit": None, "shard_size": 100_000},
            "queries": {"name": "copies", "n": 200, "seed": 0} | changes.pop("queries", {}),
        },
    )
    return RunPoint(Path("outputs/1"), record, PointRecord("key", changes.pop("label", "flat"), {"k": 10}))


# --- pairs -------------------------------------------------------------------------------------------------


def test_the_same_seed_asks_the_same_questions_and_another_one_others() -> None:
    questions = plan_questions(IDS, 50, seed=0)
    assert questions == plan_questions(IDS, 50, seed=0)
    assert len({question.query for question in questions}) == 50
    assert [question.query for question in questions] != sorted(question.query for question in questions)
    assert {q.query for q in questions} != {q.query for q in plan_questions(IDS, 50, seed=1)}


def test_each_run_is_on_the_left_in_half_of_the_pairs_wherever_they_come_in_the_order() -> None:
    lefts = [question.left for question in plan_questions(IDS, 50, seed=3)]
    assert lefts.count("a") == lefts.count("b") == 25
    assert lefts not in (["a", "b"] * 25, ["b", "a"] * 25)
    orders = {tuple(q.left for q in plan_questions(IDS, 50, seed)) for seed in range(10)}
    assert len(orders) == 10


def test_a_click_means_the_run_that_was_on_that_side() -> None:
    question = next(question for question in plan_questions(IDS, 50, seed=0) if question.left == "b")
    assert [question.preferred(choice) for choice in ("left", "same", "right")] == ["b", "same", "a"]


def test_fewer_images_than_pairs_are_all_asked() -> None:
    assert {question.query for question in plan_questions(IDS[:7], 50, seed=0)} == set(IDS[:7])


# --- which runs --------------------------------------------------------------------------------------------


def test_two_models_over_the_same_images_can_be_judged_however_they_were_stored() -> None:
    small = {"name": "folder", "root": "/photos", "limit": None, "shard_size": 10}
    assert pair_fault(place("siglip"), place("dinov2", small), "exact") is None


@pytest.mark.parametrize(
    ("other", "answers", "said"),
    [
        (place("dinov2", {"name": "folder", "root": "/other"}), "exact", "dataset.root: /photos and /other"),
        (place("dinov2", queries={"name": "held_out"}), "exact", "queries.name: None and held_out"),
        (place("siglip", label="hnsw"), "exact", "--answers index"),
        (place("siglip"), "index", "name two runs"),
    ],
)
def test_other_pairs_are_refused_with_the_reason(other: RunPoint, answers: str, said: str) -> None:
    fault = pair_fault(place("siglip"), other, answers)
    assert fault is not None and said in fault


def test_names_are_what_tells_the_runs_apart() -> None:
    assert names_of(place("siglip"), place("dinov2")) == ("siglip", "dinov2")
    assert names_of(place(label="flat"), place(label="hnsw")) == ("flat", "hnsw")
    assert len(set(names_of(place(), place()))) == 2


# --- answers on the disk -----------------------------------------------------------------------------------


def test_a_judgement_goes_on_where_it_stopped(tmp_path: Path) -> None:
    JudgingSession(tmp_path, TERMS).add(answer("one.png"))
    later = JudgingSession(tmp_path, TERMS)
    later.add(answer("two.png", "same"))
    assert list(later.answers()) == ["one.png", "two.png"]
    assert later.answers()["two.png"] == answer("two.png", "same")


def test_the_later_answer_to_a_question_counts_and_no_line_is_ever_changed(tmp_path: Path) -> None:
    session = JudgingSession(tmp_path, TERMS)
    session.add(answer("one.png", "a"))
    before = session.file.read_bytes()
    session.add(answer("one.png", "b", "z.png"))
    assert session.answers() == {"one.png": answer("one.png", "b", "z.png")}
    assert session.file.read_bytes().startswith(before)


def test_other_terms_are_another_sitting(tmp_path: Path) -> None:
    JudgingSession(tmp_path, TERMS).add(answer("one.png"))
    other = Terms(TERMS.run_a, TERMS.run_b, TERMS.queries, TERMS.answers, n=50, k=5, seed=1)
    assert JudgingSession(tmp_path, other).answers() == {}


@pytest.mark.parametrize("cut", [1, 20])
@pytest.mark.parametrize("lines", [1, 2])
def test_a_line_that_a_crash_cut_off_does_not_count_and_spoils_no_later_one(
    tmp_path: Path, lines: int, cut: int
) -> None:
    session = JudgingSession(tmp_path, TERMS)
    for number in range(lines):
        session.add(answer(f"{number}.png"))
    session.file.write_bytes(session.file.read_bytes()[:-cut])
    assert len(session.answers()) == lines - 1
    session.add(answer("again.png"))
    assert list(session.answers()) == [*(f"{number}.png" for number in range(lines - 1)), "again.png"]


def test_a_crash_within_the_first_line_leaves_nothing(tmp_path: Path) -> None:
    session = JudgingSession(tmp_path, TERMS)
    session.folder.mkdir(parents=True)
    session.file.write_bytes(b'{"format": 1, "run')
    assert session.answers() == {}
    session.add(answer("one.png"))
    assert list(session.answers()) == ["one.png"]


@pytest.mark.parametrize(
    "line", ["[]", "nonsense", '{"query": "two.png"}', json.dumps({"format": 2}), "\x00\x00"]
)
def test_a_damaged_file_is_the_users_to_mend(tmp_path: Path, line: str) -> None:
    session = JudgingSession(tmp_path, TERMS)
    session.add(answer("one.png"))
    with session.file.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(UserError, match="mend it, or move its folder away"):
        session.answers()


# --- what comes of it --------------------------------------------------------------------------------------


def test_a_tie_counts_for_half() -> None:
    result = outcome([answer("1"), answer("2"), answer("3", "same"), answer("4", "b")])
    assert (result.a, result.same, result.b, result.judged) == (2, 1, 1, 4)
    assert result.win_rate == pytest.approx(2.5 / 4)
    assert result.low < result.win_rate < result.high


def test_wilsons_interval_is_the_published_one() -> None:
    """Newcombe, Two-sided confidence intervals for the single proportion (1998), table I, method 3."""
    assert wilson_interval(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(15 / 148, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson_interval(0.0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson_interval(1 / 29, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


@pytest.mark.parametrize("ties", [0.0, 0.4])
def test_the_interval_holds_what_it_promises_and_more_with_ties(ties: float) -> None:
    rng = np.random.default_rng(0)
    chances = [(1 - ties) * 0.6, ties, (1 - ties) * 0.4]
    truth = chances[0] + ties / 2
    held = 0
    for _ in range(400):
        drawn = rng.choice(["a", "same", "b"], 50, p=chances)
        result = outcome([answer(str(i), better) for i, better in enumerate(drawn)])
        held += result.low <= truth <= result.high
    assert held / 400 > 0.92


@pytest.mark.parametrize(("a", "b", "better"), [(40, 10, "a"), (10, 40, "b"), (27, 23, None)])
def test_a_run_is_called_better_only_beyond_chance(a: int, b: int, better: str | None) -> None:
    given = [answer(str(i), "a" if i < a else "b") for i in range(a + b)]
    result = outcome(given)
    assert result.preferred == better
    said = outcome_lines(result, ("siglip", "dinov2"), 50)[-1]
    verdict = {"a": "siglip is better", "b": "dinov2 is better", None: "no difference beyond chance"}[better]
    assert said.endswith(verdict)


def test_no_answers_say_nothing() -> None:
    result = outcome([])
    assert math.isnan(result.win_rate) and result.preferred is None
    assert outcome_lines(result, ("siglip", "dinov2"), 50) == [
        "0 of 50 pairs judged: siglip better in 0, dinov2 in 0, about the same in 0"
    ]


# --- the relevance file ------------------------------------------------------------------------------------


def test_what_was_marked_is_a_relevance_file_with_its_query_images(tmp_path: Path) -> None:
    gallery = tmp_path / "photos"
    (gallery / "cats").mkdir(parents=True)
    for name in ("cats/1.png", "cats/2.png"):
        (gallery / name).write_text(name)
    folder = tmp_path / "session"
    answers = [answer("cats/1.png", "a", "x, y.png", "ü.png"), answer("cats/2.png")]
    table = write_relevance(folder, answers, lambda query: gallery / query)
    assert table is not None
    copied = [path.relative_to(folder / "queries").as_posix() for path in (folder / "queries").rglob("*.png")]
    assert copied == ["cats/1.png"], "only what was judged is a query"
    judged = read_judgements(table, copied, ["x, y.png", "ü.png", "z.png"], None)
    assert judged.relevant_ids == [("x, y.png", "ü.png")]


def test_marks_that_were_taken_back_leave_no_relevance_file(tmp_path: Path) -> None:
    assert write_relevance(tmp_path, [answer("1.png", "a", "x.png")], None) == tmp_path / "relevance.csv"
    assert write_relevance(tmp_path, [answer("1.png", "a")], None) is None
    assert not (tmp_path / "relevance.csv").exists()
