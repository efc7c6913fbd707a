"""Samples are nested, stable when the dataset changes, and different for another seed or purpose."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lookalike.datasets.sampling import nested_sample

IDS = [f"{number:04}.png" for number in range(1000)]


def taken(n: int | None, seed: int = 0, purpose: str = "dataset", ids: list[str] = IDS) -> set[str]:
    return {ids[row] for row in nested_sample(ids, n, seed, purpose)}


def test_rows_ascend_and_are_as_many_as_asked_for() -> None:
    rows = nested_sample(IDS, 100, 0, "dataset")
    assert len(rows) == 100
    assert rows == sorted(set(rows))


def test_none_and_too_many_mean_all_and_below_one_means_none() -> None:
    assert taken(None) == taken(1000) == taken(5000) == set(IDS)
    assert taken(0) == taken(-3) == set()


@given(st.integers(0, 1000), st.integers(0, 1000), st.integers(-3, 3))
def test_a_larger_sample_contains_the_smaller_one(a: int, b: int, seed: int) -> None:
    assert taken(min(a, b), seed) <= taken(max(a, b), seed)


def test_one_more_image_displaces_at_most_one() -> None:
    assert len(taken(100) - taken(100, ids=["0000-first.png", *IDS])) <= 1


def test_seeds_and_purposes_give_samples_that_have_nothing_to_do_with_each_other() -> None:
    # 100 of 1,000 twice share 10 on average; 30 is six standard deviations away.
    assert len(taken(100) & taken(100, seed=1)) < 30
    assert len(taken(100) & taken(100, purpose="queries")) < 30


def test_the_sample_is_the_same_on_every_machine() -> None:
    assert nested_sample(IDS, 5, 0, "dataset") == [10, 141, 175, 246, 646]
