"""How shares are written: never as 1 where something was missed."""

from __future__ import annotations

import pytest

from lookalike.report.digits import interval_text, missed_text, share_text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.764, "0.764"),
        (0.9994, "0.999"),
        (0.9997, "0.9997"),
        (0.99996, "0.99996"),
        (1 - 1e-7, "0.9999999"),
        (1.0, "1.000"),
        (0.0, "0.000"),
        (0.0004, "0.0004"),
        (2e-5, "0.00002"),
    ],
)
def test_a_share_is_one_only_where_nothing_was_missed(share: float, text: str) -> None:
    assert share_text(share) == text


@pytest.mark.parametrize(
    ("ends", "text"),
    [
        ((0.741, 0.784), "0.741–0.784"),
        ((0.9963, 1.0), "≥ 0.996"),
        ((0.983, 1 - 4e-10), "≥ 0.983"),
        ((0.0, 0.0037), "≤ 0.004"),
        ((0.9984, 0.99997), "0.998–0.99997"),
        ((1.0, 1.0), "1.000–1.000"),  # of a bootstrap, in records of 0.1
    ],
)
def test_a_bound_on_one_side_says_so(ends: tuple[float, float], text: str) -> None:
    assert interval_text(*ends) == text


def test_what_was_missed() -> None:
    assert missed_text((3, 10_000)) == "3 of 10,000 missed"
