"""A requirement on single queries: so many of them must be answered so well, whatever the mean is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lookalike.errors import UserError
from lookalike.evaluate.intervals import Values
from lookalike.evaluate.robustness import share_at_least, share_name
from lookalike.report.choice import Sample
from lookalike.report.rows import Row

DIGITS = 6
"""Of a query's value that are kept beside a record, in float32: .9 is a little less there."""


@dataclass(frozen=True)
class MinShare:
    """At least ``share`` of the queries have a value of ``least`` or more."""

    least: float
    share: float

    @classmethod
    def parse(cls, text: str) -> MinShare:
        """Return what ``0.8=0.99`` asks for; UserError when it is not two numbers from 0 to 1."""
        try:
            least, share = (float(part) for part in text.split("="))
        except ValueError:
            least = share = float("nan")
        if not (0 <= least <= 1 and 0 <= share <= 1):
            raise UserError(
                f"--min-share {text} is not RECALL=SHARE; 0.8=0.99 asks for a recall of at least 0.8 for "
                "99 % of the queries"
            )
        return cls(least, share)

    def of(self, values: Values | None, row: Row, measure: str, k: int) -> float | None:
        """Return the share of queries that have :attr:`least`; None when it is not known.

        ``values``: one a query, nan for those that do not count. None: the runs kept none, so that it is
        known where the record has it (of .5, .8 and .9 at the search's k).
        """
        if values is None:
            return row.metric(share_name(measure, k, self.least))
        return share_at_least(np.round(values, DIGITS), self.least)

    def sample(self, values: Sample) -> Sample:
        """Return of each query 1 or 0, whether it has :attr:`least`; nan for those that do not count."""
        has = np.round(values.values, DIGITS) >= self.least
        return Sample(np.where(np.isnan(values.values), np.nan, has), values.sources)

    def __str__(self) -> str:
        return f"{self.least:g} or more for {100 * self.share:g} % of the queries"
