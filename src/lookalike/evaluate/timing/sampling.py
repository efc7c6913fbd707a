"""The loops that take samples. Everything they need is made before; only the search is inside the clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain, cycle
from threading import Barrier

import numpy as np
import numpy.typing as npt

from lookalike.evaluate.points import Floats, Rows

Clock = Callable[[], float]
Search = Callable[[Floats], tuple[Floats, Rows]]
Numbers = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Calls:
    """What a mode asks, call after call, without end: ``order`` over and over."""

    order: Numbers
    """Number of each query (of each batch) in the order in which they are asked, each once."""
    query: Callable[[int], Floats]
    """What is searched for under a number: float32, C-contiguous, (queries of a call, d)."""
    first: int = 0
    """Place in ``order`` that is asked first."""

    def after(self, count: int) -> Calls:
        """The calls that follow the first ``count`` ones."""
        return replace(self, first=(self.first + count) % len(self.order))

    def numbers(self, count: int) -> Numbers:
        """Numbers that the first ``count`` calls ask for."""
        return self.order[(self.first + np.arange(count)) % len(self.order)]


@dataclass(frozen=True)
class Budget:
    """A turn ends when ``seconds`` have passed and ``calls`` were made, or after ``limit`` seconds, but not
    before ``least`` calls were made.
    """

    seconds: float
    calls: int
    limit: float
    least: int = 1

    def spent(self, seconds: float, calls: int) -> bool:
        """Whether nothing is left after ``seconds`` and ``calls``."""
        return calls >= self.least and (
            (seconds >= self.seconds and calls >= self.calls) or seconds >= self.limit
        )


@dataclass(frozen=True)
class Samples:
    """Seconds of each call of one turn, what was asked, and what the calls took together."""

    seconds: Sequence[float]
    asked: Numbers
    """Number of the query (of the batch) of each call."""
    wall_seconds: float


def sample(
    search: Search,
    calls: Calls,
    budget: Budget,
    clock: Clock,
    found: dict[int, tuple[Floats, Rows]] | None = None,
) -> Samples:
    """Search for what ``calls`` asks until the budget is spent, once at least.

    What each number found the first time is added to ``found``.
    """
    seconds: list[float] = []
    start = clock()
    for place in chain(range(calls.first, len(calls.order)), cycle(range(len(calls.order)))):
        number = int(calls.order[place])
        query = calls.query(number)
        before = clock()
        result = search(query)
        after = clock()
        seconds.append(after - before)
        if found is not None:
            found.setdefault(number, result)
        del result  # or it would be freed while the next search is timed
        if budget.spent(after - start, len(seconds)):
            break
    return Samples(seconds, calls.numbers(len(seconds)), sum(seconds))


def sample_saturated(
    search: Search, calls: Sequence[Calls], budget: Budget, clock: Clock
) -> tuple[Samples, list[int]]:
    """The same from several Python threads at once, each with its own of ``calls``.

    Returns the samples, thread after thread, and how many each took; ``wall_seconds`` is the time from the
    first start to the last end. FAISS and BLAS let go of the interpreter while they search. OpenMP's number
    of threads belongs to the thread that sets it, so each of ours says "one" for itself.
    """
    import faiss

    together = Barrier(len(calls))

    def work(own: Calls) -> tuple[float, float, Samples]:
        together.wait()
        start = clock()
        samples = sample(search, own, budget, clock)
        return start, clock(), samples

    with ThreadPoolExecutor(len(calls), initializer=faiss.omp_set_num_threads, initargs=(1,)) as pool:
        starts, ends, taken = zip(*pool.map(work, calls), strict=True)
    seconds = [second for own in taken for second in own.seconds]
    asked = np.concatenate([own.asked for own in taken])
    return Samples(seconds, asked, max(ends) - min(starts)), [len(own.seconds) for own in taken]
