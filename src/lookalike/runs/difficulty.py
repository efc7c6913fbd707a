"""How hard a run's queries are, and what an operating point loses among the hard ones: for its record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from lookalike.evaluate.difficulty import Difficulty, by_quarter, ratio_of_medians
from lookalike.evaluate.exact import Neighbours, Rows
from lookalike.evaluate.hubness import (
    exact_answers,
    missed_neighbours,
    occurrences,
    skewness,
    skewness_by_chance,
)
from lookalike.evaluate.intervals import Values
from lookalike.evaluate.measures import drop_ignored
from lookalike.queries.relevance import Relevance
from lookalike.schemas import Measures

HARDEST = {"lid": "high", "relative_contrast": "low"}
"""What orders the queries by difficulty, and which end of it is the hard one."""


@dataclass(frozen=True)
class QueriesByDifficulty:
    """The queries of a run, with what the protocol ignores and what they were made from."""

    difficulty: Difficulty
    exact: Neighbours
    relevance: Relevance
    sources: Sequence[str]
    k: int
    metric: str
    gallery_size: int
    measures: Measures

    def describe(self) -> dict[str, Any]:
        """Return what holds for all points of the run; {} where distances are not defined.

        ``lid``, ``relative_contrast``: lower quartile, median, upper quartile over the queries;
        ``distance_ratio`` with its interval, see :func:`ratio_of_medians`; queries with equal and with nearly
        equal gallery vectors besides what is ignored; skewness of the k-occurrences, and that of chance.
        """
        known = self.difficulty
        if not known.is_defined:
            return {}
        described: dict[str, Any] = {
            "neighbours": known.neighbours,
            "rank": known.rank,
            "queries": len(self.sources),
            "with_equals": int(self._have_equals().sum()),
            "with_near_equals": int(known.near.sum()),
        }
        for name in HARDEST:
            values = getattr(known, name)
            if np.isfinite(values).any():
                described[name] = np.nanquantile(values, [0.25, 0.5, 0.75]).tolist()
        if ratio := ratio_of_medians(known, self.sources):
            described |= {"distance_ratio": ratio[0], "distance_ratio_interval": list(ratio[1:])}
        hubs = {
            "hubness_skewness": skewness(self._occurrences),
            "hubness_skewness_by_chance": skewness_by_chance(len(self.sources), self.k, self.gallery_size),
        }
        return described | {name: value for name, value in hubs.items() if np.isfinite(value)}

    def of_point(self, rows: Rows, recall: Values) -> dict[str, Any]:
        """Return ``by_difficulty`` and ``missed_neighbours`` of a point's record.

        ``rows``: as returned for each query; ``recall``: each query's knn_recall at k.
        """
        quarters = {
            name: by_quarter(
                getattr(self.difficulty, name),
                recall,
                self.sources,
                hardest=hardest,
                confidence=self.measures.confidence if self.measures.bootstrap else None,
            )
            for name, hardest in HARDEST.items()
        }
        missed = None
        if (recall < 1).any():
            found, _ = drop_ignored(rows, np.zeros(rows.shape, np.float32), self.relevance, self.k)
            answers, tied = self._answers
            missed = missed_neighbours(
                found,
                np.where(tied[:, None], -1, answers),
                self._occurrences,
                self.sources,
                resamples=self.measures.bootstrap,
                confidence=self.measures.confidence,
            )
        return {
            "by_difficulty": {
                name: [asdict(part) for part in parts] for name, parts in quarters.items() if parts
            },
            "missed_neighbours": {} if missed is None else asdict(missed),
        }

    def arrays(self) -> dict[str, npt.NDArray[np.float32]]:
        """Return what is kept of each query beside its record."""
        return {name: getattr(self.difficulty, name).astype(np.float32) for name in HARDEST}

    @cached_property
    def _answers(self) -> tuple[Rows, npt.NDArray[np.bool_]]:
        return exact_answers(self.exact, self.relevance, self.k, self.metric, self.measures.tie_tolerance)

    @cached_property
    def _occurrences(self) -> Rows:
        return occurrences(self._answers[0], self.gallery_size)

    def _have_equals(self) -> npt.NDArray[np.bool_]:
        """Whether a gallery vector that is not ignored is equal to the query."""
        most = int(self.difficulty.equal.max(initial=0))
        first = np.asarray(self.exact.rows[:, :most])
        equal = np.arange(most) < self.difficulty.equal[:, None]
        counted: npt.NDArray[np.bool_] = equal & ~self.relevance.are_ignored(first)
        return np.asarray(counted.any(axis=1))
