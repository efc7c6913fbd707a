"""Results by class: by hand, against a naive implementation, and at the edges."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from lookalike.evaluate.classes import NO_CLASS, NOTHING, ClassResults, NumberedClasses, results_by_class
from lookalike.queries.plan import Classes

CAT, DOG, FOX = "cat", "dog", "fox"


def results(
    gallery: list[str | None],
    queries: list[str | None],
    first: list[int],
    relevant: list[int],
    per_query: dict[str, np.ndarray] | None = None,
) -> ClassResults:
    numbered = NumberedClasses.of(Classes(gallery, queries), np.arange(len(gallery)))
    right = [
        row >= 0 and gallery[row] == label is not None for row, label in zip(first, queries, strict=True)
    ]
    return results_by_class(
        numbered, np.array(first, np.int64), np.array(right, bool), np.array(relevant), per_query or {}
    )


def table(found: ClassResults) -> dict[str, tuple[int, int, int]]:
    """Class -> its images, its queries, how many of these have a right first result; worst first."""
    names = [found.classes.names[number] for number in found.numbers]
    columns = (found.gallery.tolist(), found.queries.tolist(), found.right_first.tolist())
    return dict(zip(names, zip(*columns, strict=True), strict=True))


def test_classes_by_hand() -> None:
    gallery = [CAT, CAT, DOG, DOG, FOX, None]
    queries = [CAT, CAT, CAT, DOG, DOG, FOX, None, "hen"]
    first = [2, 2, 5, 3, -1, 4, 0, 0]
    found = results(gallery, queries, first, [2, 2, 2, 2, 2, 1, 0, 0], {"recall@5": np.linspace(0, 0.7, 8)})
    assert list(table(found).items()) == [(CAT, (2, 3, 0)), (DOG, (2, 2, 1)), (FOX, (1, 1, 1))], "worst first"
    assert found.hit_rate.tolist() == [0, 0.5, 1]
    np.testing.assert_allclose(found.means["recall@5"], [0.1, 0.35, 0.5])
    cat, dog, fox = (found.classes.names.index(name) for name in (CAT, DOG, FOX))
    assert found.confused_with(cat, 9) == [(DOG, 2), (NO_CLASS, 1)]
    assert found.confused_with(cat, 1) == [(DOG, 2)]
    assert found.confused_with(dog, 9) == [(NOTHING, 1)]
    assert found.confused_with(fox, 9) == []
    of, other, counts = found.confusions
    assert (of[0], other[0], counts[0]) == (cat, dog, 2), "the most frequent first"


def test_of_classes_that_are_equally_bad_the_one_with_more_queries_says_more() -> None:
    found = results([CAT, DOG, FOX], [CAT, DOG, DOG, FOX], [2, 2, 2, 2], [1, 1, 1, 1])
    assert list(table(found)) == [DOG, CAT, FOX]


def test_no_query_counts() -> None:
    found = results([CAT, DOG], [None, "hen"], [0, 1], [0, 0], {"recall@5": np.full(2, np.nan)})
    assert len(found.numbers) == 0 and found.hit_rate.tolist() == []
    assert [len(each) for each in found.confusions] == [0, 0, 0]


def test_rows_that_were_not_embedded_have_no_class() -> None:
    numbered = NumberedClasses.of(Classes([CAT, DOG, FOX], [FOX]), np.array([0, 2]))
    assert [numbered.name(number) for number in numbered.gallery] == [CAT, FOX]
    assert numbered.name(-1) == NO_CLASS and numbered.name(-2) == NOTHING


@pytest.mark.parametrize("seed", range(4))
def test_a_naive_implementation_agrees(seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = [f"class {number}" for number in range(12)]
    gallery = [None if rng.random() < 0.1 else names[rng.integers(12)] for _ in range(60)]
    queries = [None if rng.random() < 0.1 else names[rng.integers(12)] for _ in range(300)]
    first = rng.integers(-1, 60, 300).tolist()
    images = Counter(gallery)
    relevant = [0 if label is None else images[label] for label in queries]
    score = rng.random(300)
    found = results(gallery, queries, first, relevant, {"score": score})
    counted = [at for at, label in enumerate(queries) if label is not None and images[label]]
    expected: dict[str, list[int]] = {}
    confusions: Counter[tuple[str, str]] = Counter()
    for at in counted:
        label, row = str(queries[at]), first[at]
        expected.setdefault(label, []).append(at)
        got = NOTHING if row < 0 else gallery[row] or NO_CLASS
        if got != label:
            confusions[label, got] += 1
    assert set(table(found)) == set(expected)
    for label, (of_class, asked, right) in table(found).items():
        assert (of_class, asked) == (images[label], len(expected[label]))
        assert right == asked - sum(count for (own, _), count in confusions.items() if own == label)
        place = list(table(found)).index(label)
        assert found.means["score"][place] == pytest.approx(score[expected[label]].mean())
        with_others = dict(found.confused_with(found.numbers[place], 99))
        assert with_others == {other: n for (own, other), n in confusions.items() if own == label}
    of, other, counts = found.confusions
    assert {
        (found.classes.names[a], found.classes.name(b)): n
        for a, b, n in zip(of.tolist(), other.tolist(), counts.tolist(), strict=True)
    } == confusions
    assert (np.diff(counts) <= 0).all() and (np.diff(found.hit_rate) >= 0).all()
