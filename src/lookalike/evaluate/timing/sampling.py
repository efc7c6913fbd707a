"""The loops that take samples. Everything they need is made before; only the search is inside the clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle
from threading import Barrier

from lookalike.evaluate.points import Floats, Rows

Clock = Callable[[], float]
Search = Callable[[Floats], tuple[Floats, Rows]]


@dataclass(frozen=True)
class Budget:
    """A turn ends when ``seconds`` have passed and ``calls`` were made, or ``limit`` seconds have passed."""

    seconds: float
    calls: int
    limit: float


@dataclass(frozen=True)
class Samples:
    """Seconds of each call of one turn, and what they took together."""

    seconds: Sequence[float]
    wall_seconds: float


def sample(
    search: Search,
    queries: Sequence[Floats],
    budget: Budget,
    clock: Clock,
    found: list[tuple[Floats, Rows]] | None = None,
) -> Samples:
    """Search ``queries`` one after the other, over and over, until the budget is spent.

    Results of the first pass are added to ``found``.
    """
    seconds: list[float] = []
    start = clock()
    for query in cycle(queries):
        before = clock()
        result = search(query)
        after = clock()
        seconds.append(after - before)
        if found is not None and len(seconds) <= len(queries):
            found.append(result)
        del result  # or it would be freed while the next search is timed
        passed = after - start
        if (passed >= budget.seconds and len(seconds) >= budget.calls) or passed >= budget.limit:
            break
    return Samples(seconds, sum(seconds))


def sample_saturated(
    search: Search, queries: Sequence[Floats], budget: Budget, clock: Clock, count: int
) -> Samples:
    """The same from ``count`` Python threads at once, each from another query on.

    FAISS and BLAS let go of the interpreter while they search. OpenMP's number of threads belongs to the
    thread that sets it, so each of ours says "one" for itself.
    """
    import faiss

    together = Barrier(count)

    def work(number: int) -> tuple[float, float, Sequence[float]]:
        first = number * len(queries) // count
        own = [*queries[first:], *queries[:first]]
        together.wait()
        start = clock()
        samples = sample(search, own, budget, clock)
        return start, clock(), samples.seconds

    with ThreadPoolExecutor(count, initializer=faiss.omp_set_num_threads, initargs=(1,)) as pool:
        starts, ends, seconds = zip(*pool.map(work, range(count)), strict=True)
    return Samples([second for own in seconds for second in own], max(ends) - min(starts))
