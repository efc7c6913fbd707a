"""Where and how a model runs: device, dtype and batch size."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from lookalike.errors import ModelError
from lookalike.schemas.fields import field_faults

if TYPE_CHECKING:
    import torch

    from lookalike import schemas

BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64)
PROBE_SECONDS = 2.0


def check_settings(config: schemas.Model) -> None:
    """Raise a ModelError with the first setting that is out of its bounds."""
    for fault in field_faults(config, "model"):
        raise ModelError(fault)


def pick_device(name: str) -> torch.device:
    """The device called ``name``; ``auto`` is the first there is of cuda, mps, cpu.

    Raises ModelError, naming the devices there are, when this machine has no such device.
    """
    import torch

    present = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    present += ["mps"] if torch.backends.mps.is_available() else []
    present += ["cpu"]
    if name == "auto":
        return torch.device(present[0])
    wanted = "cuda:0" if name == "cuda" else name
    if wanted not in present:
        raise ModelError(
            f"model.device={name} is not on this machine, which has {', '.join(present)}; "
            "choose one of these, or auto"
        )
    return torch.device(wanted)


def fastest_batch_size(
    encode: Callable[[Sequence[Any]], object],
    sample: Sequence[Any],
    clock: Callable[[], float] = time.perf_counter,
) -> int:
    """The size of ``BATCH_SIZES`` at which ``encode`` gets through most images a second.

    Sizes are tried in ascending order on ``sample`` (repeated as needed), each up to eight times, until
    the next one would not fit into ``PROBE_SECONDS``. A larger batch has to win by 2 % to be worth its
    memory. An empty sample, or a model so slow that the smallest batch does not fit, gets the smallest.
    """
    best, best_rate = BATCH_SIZES[0], 0.0
    if not sample:
        return best
    start = clock()
    encode(sample[:1])  # the first call pays for lazy initialisation
    per_image = clock() - start
    for size in BATCH_SIZES:
        if clock() - start + size * per_image > PROBE_SECONDS:
            break
        batch = [sample[i % len(sample)] for i in range(size)]
        quickest = min(_durations(encode, batch, clock))
        per_image = quickest / size
        if size / quickest > 1.02 * best_rate:
            best, best_rate = size, size / quickest
    return best


def _durations(
    encode: Callable[[Sequence[Any]], object], batch: Sequence[Any], clock: Callable[[], float]
) -> list[float]:
    """Seconds of up to eight calls, fewer when they are slow."""
    durations: list[float] = []
    while len(durations) < 8 and sum(durations) < 0.1:
        before = clock()
        encode(batch)
        durations.append(max(clock() - before, 1e-9))
    return durations
