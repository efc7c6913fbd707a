"""Which of two runs a person prefers: blind pairs in a seeded order, answers on disk, a win rate.

The two runs are called ``a`` and ``b``. A judging session is a folder with ``answers.jsonl``: a first line
of terms (which runs, which queries), then one line an answer. Lines are only ever added, so an interrupted
judgement goes on where it stopped, and of two answers to one question the later one counts.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

from lookalike.datasets.ids import nested_sample
from lookalike.errors import UserError, foreign_parser
from lookalike.runs.files import result_file, writing_results
from lookalike.runs.points import RunPoint

FORMAT = 1
FOLDER = "judgements"
ANSWERS = "answers.jsonl"
RELEVANCE = "relevance.csv"
QUERIES = "queries"
RUNS = ("a", "b")
SAME = "same"
CHOICES = ("left", SAME, "right")
GALLERY = "gallery"
EXACT, INDEX = "exact", "index"

DOES_NOT_SHAPE_A_GALLERY = ("shard_size", "fingerprint", "max_bad_fraction")
"""Settings of a dataset that leave its images as they are."""


def pair_fault(a: RunPoint, b: RunPoint, answers: str) -> str | None:
    """Return why two runs cannot be judged side by side, by their records; None when they can."""
    ours, theirs = _gallery_of(a), _gallery_of(b)
    differing = [name for name in sorted({*ours, *theirs}) if ours.get(name) != theirs.get(name)]
    if differing:
        differences = ", ".join(f"{name}: {ours.get(name)} and {theirs.get(name)}" for name in differing)
        return f"the two runs searched different images ({differences}); judge two runs over the same dataset"
    if answers == EXACT and a.record.model == b.record.model:
        return (
            "the two runs have the same model, so their exact answers are the same; judge runs of two "
            "models, or the answers of the two indexes with --answers index"
        )
    if (a.record.identity, a.point.label) == (b.record.identity, b.point.label):
        return "the two runs are the same one; name two runs"
    return None


def names_of(a: RunPoint, b: RunPoint) -> tuple[str, str]:
    """Return what tells two runs apart: their models if it can be, else points, names or folders."""
    pairs = [
        (str(a.record.model["name"]), str(b.record.model["name"])),
        (a.point.label, b.point.label),
        (a.record.name, b.record.name),
        (a.folder.name, b.folder.name),
    ]
    return next((pair for pair in pairs if pair[0] != pair[1]), ("the first run", "the second run"))


def _gallery_of(run: RunPoint) -> dict[str, Any]:
    config = run.record.config
    dataset, queries = config["dataset"], config["queries"]
    settings = {
        f"dataset.{name}": value for name, value in dataset.items() if name not in DOES_NOT_SHAPE_A_GALLERY
    }
    if queries.get("name") == "held_out":  # the only protocol that takes its queries out of the gallery
        settings |= {f"queries.{name}": queries.get(name) for name in ("name", "n", "seed")}
    return settings


@dataclass(frozen=True)
class Question:
    """One pair: the query, and which run's answer is shown on the left."""

    query: str
    left: str
    """``a`` or ``b``; the other one is on the right."""

    @property
    def right(self) -> str:
        """The run that is shown on the right."""
        return RUNS[1 - RUNS.index(self.left)]

    def preferred(self, choice: str) -> str:
        """Return the run that a click on ``left`` or ``right`` means; ``same`` stays what it is."""
        return {"left": self.left, "right": self.right, SAME: SAME}[choice]


def plan_questions(ids: Sequence[str], n: int, seed: int) -> list[Question]:
    """Return ``n`` seeded queries of ``ids`` (all, if there are fewer) in a seeded order.

    Each run is on the left in half of them, in which ones is drawn too. The same arguments always give the
    same questions.
    """
    rows = nested_sample(ids, n, seed, "judge")
    rng = np.random.default_rng(seed)
    lefts = rng.permutation(np.arange(len(rows)) % 2)
    return [
        Question(ids[rows[place]], RUNS[left])
        for place, left in zip(rng.permutation(len(rows)).tolist(), lefts.tolist(), strict=True)
    ]


@dataclass(frozen=True)
class Answer:
    """The answer to one pair."""

    query: str
    better: str
    """``a``, ``b`` or ``same``."""
    left: str
    """The run that was shown on the left."""
    shown: dict[str, list[str]]
    """Run -> gallery ids that it answered with, best first."""
    relevant: tuple[str, ...]
    """Gallery ids that were marked as right answers."""
    at: str
    """ISO 8601 with the time zone."""


@dataclass(frozen=True)
class Terms:
    """What a session is about; another session has other terms and another folder."""

    run_a: str
    run_b: str
    """Identities of the two records, each with its operating point."""
    queries: str
    """``gallery``, or the folder of the query images."""
    answers: str
    """``exact``: as if both searched exhaustively, which compares models; ``index``: as they really do."""
    n: int
    k: int
    seed: int

    @classmethod
    def of(cls, a: RunPoint, b: RunPoint, *, queries: str, answers: str, n: int, k: int, seed: int) -> Terms:
        """Return the terms of judging two operating points."""
        run_a, run_b = (f"{run.record.identity} {run.point.label}" for run in (a, b))
        return cls(run_a, run_b, queries, answers, n, k, seed)

    @property
    def folder_name(self) -> str:
        """The same terms always find the same folder."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()
        return f"{self.run_a[:8]}-{self.run_b[:8]}-{digest[:8]}"


class JudgingSession:
    """The answers so far to the questions of ``terms``, in a folder below ``root/judgements``."""

    def __init__(self, root: Path, terms: Terms) -> None:
        self.terms = terms
        self.folder = root / FOLDER / terms.folder_name

    @property
    def file(self) -> Path:
        """The lines themselves."""
        return self.folder / ANSWERS

    def answers(self) -> dict[str, Answer]:
        """Return each query's last answer. A last line that was cut off by a crash does not count.

        Raises UserError when the file is of another format, or damaged elsewhere.
        """
        if not self.file.exists():
            return {}
        cure = "mend it, or move its folder away to begin anew"
        with foreign_parser(f"{self.file} cannot be read", cure, UserError):
            *lines, _ = self.file.read_bytes().split(b"\n")
            if not lines:
                return {}
            header, *answers = map(json.loads, lines)
            if header.pop("format") != FORMAT or Terms(**header) != self.terms:
                raise ValueError("its first line tells of another judgement")
            return {each["query"]: Answer(**each | {"relevant": tuple(each["relevant"])}) for each in answers}

    def add(self, answer: Answer) -> None:
        """Put one answer down, and on the disk, before this returns. UserError when it cannot be written."""
        with writing_results(self.folder), self.file.open("ab+") as file:
            file.seek(0)
            whole = file.read().rfind(b"\n") + 1
            file.truncate(whole)  # what a crash cut off
            lines = [asdict(answer)] if whole else [{"format": FORMAT, **asdict(self.terms)}, asdict(answer)]
            file.write(b"".join(json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in lines))
            file.flush()
            os.fsync(file.fileno())


@dataclass(frozen=True)
class Outcome:
    """How often ``a`` was preferred, and how sure that is."""

    a: int
    same: int
    b: int
    win_rate: float
    """Share of the pairs that ``a`` won, a tie counting for half; nan without answers."""
    low: float
    high: float
    confidence: float

    @property
    def judged(self) -> int:
        """Pairs with an answer."""
        return self.a + self.same + self.b

    @property
    def preferred(self) -> str | None:
        """The run that is better beyond chance: the interval leaves one half out; else None."""
        if self.low > 0.5:
            return "a"
        return "b" if self.high < 0.5 else None


def outcome(answers: Iterable[Answer], confidence: float = 0.95) -> Outcome:
    """Count the answers; the interval is Wilson's (1927) for the win rate.

    A tie counts as half a win, and what varies less than a coin does is treated as if it varied as much: with
    ties the interval is wider than it need be, never narrower.
    """
    preferred = [answer.better for answer in answers]
    a, b, n = preferred.count("a"), preferred.count("b"), len(preferred)
    if not n:
        return Outcome(0, 0, 0, float("nan"), 0.0, 1.0, confidence)
    rate = (a + (n - a - b) / 2) / n
    low, high = wilson_interval(rate, n, confidence)
    return Outcome(a, n - a - b, b, rate, low, high, confidence)


def outcome_lines(result: Outcome, names: tuple[str, str], planned: int) -> list[str]:
    """Return the outcome in words, a sentence each."""
    counts = f"{names[0]} better in {result.a}, {names[1]} in {result.b}, about the same in {result.same}"
    lines = [f"{result.judged} of {planned} pairs judged: {counts}"]
    if result.judged:
        better = dict(zip(RUNS, names, strict=True)).get(result.preferred or "")
        lines.append(
            f"win rate of {names[0]}: {result.win_rate:.0%}, {result.confidence:.0%} interval "
            f"{result.low:.0%} to {result.high:.0%} (Wilson; a tie counts half): "
            + (f"{better} is better" if better else "no difference beyond chance")
        )
    return lines


def wilson_interval(rate: float, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return Wilson's score interval of a share ``rate`` that was seen in ``n`` trials, n ≥ 1.

    Source: Wilson, Probable inference, the law of succession, and statistical inference (1927).
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (rate * (1 - rate) / n + z * z / (4 * n * n)) ** 0.5
    return max(0.0, centre - half), min(1.0, centre + half)


def write_relevance(
    folder: Path, answers: Iterable[Answer], file_of: Callable[[str], Path] | None
) -> Path | None:
    """Write ``folder/relevance.csv`` as ``queries=files`` takes it; None when nothing was marked.

    ``file_of``: query -> its image, which is copied to ``folder/queries`` under the query's name; None when
    the queries already lie in a folder of their own. Only images that one of the two runs showed can have
    been marked. Raises UserError when the folder cannot be written.
    """
    pairs = [(answer.query, id_) for answer in answers for id_ in answer.relevant]
    table = folder / RELEVANCE
    with writing_results(folder):
        if not pairs:
            table.unlink(missing_ok=True)
            return None
        with result_file(table) as draft, draft.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("query", "relevant"), *pairs])
        for query in dict.fromkeys(query for query, _ in pairs):
            copy = folder / QUERIES / query
            if ".." in Path(query).parts or Path(query).is_absolute():
                raise UserError(
                    f"the query {query} leads out of {folder}; move that folder away to begin anew"
                )
            if file_of is not None and not copy.exists():
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file_of(query), copy)
    return table
