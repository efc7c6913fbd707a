"""How a share between 0 and 1 is written: as 1.000 only where nothing was missed."""

from __future__ import annotations

DIGITS = 3
MOST_DIGITS = 9


def share_text(share: float) -> str:
    """``0.764``; with as many digits more as tell it from 0 and 1: ``0.9997``, ``0.00004``."""
    for digits in range(DIGITS, MOST_DIGITS):
        text = f"{share:.{digits}f}"
        if share in (0, 1) or float(text) not in (0, 1):
            return text
    return f"{share:.{DIGITS}f}"


def interval_text(low: float, high: float) -> str:
    """``0.741–0.784``; a bound on one side, where nothing (or all) was missed: ``≥ 0.996`` (``≤ 0.004``)."""
    ends = share_text(low), share_text(high)
    if low < 1 and ends[1] == share_text(1):
        return f"≥ {ends[0]}"
    return f"≤ {ends[1]}" if high > 0 and ends[0] == share_text(0) else "–".join(ends)


def missed_text(missed: tuple[int, int]) -> str:
    """``3 of 10,000 missed``."""
    return f"{missed[0]:,} of {missed[1]:,} missed"
