"""Lists of numbers as text, parsed at the speed of C; what is wrong with one is said exactly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

BLOCK_BYTES = 1 << 20
"""What one thread of Arrow parses at a time."""


def parse_lists(texts: Sequence[bytes], dim: int) -> Floats | None:
    """Return lists such as ``b"0.5, -1e-3"`` as float32 of shape (texts, dim); None if any is malformed.

    Malformed: another number of values, a value that is no number, NaN or infinity (for float32 too).
    """
    if any(text.count(b",") != dim - 1 for text in texts):
        return None
    values = _parse_lines(b"\n".join(texts).replace(b",", b"\n"), len(texts) * dim)
    return None if values is None else values.reshape(len(texts), dim)


def _parse_lines(lines: bytes, count: int) -> Floats | None:
    """Parse one value a line: to Arrow's CSV reader that is one column, and the shortest way there is."""
    import pyarrow
    from pyarrow import csv

    try:
        table = csv.read_csv(
            pyarrow.BufferReader(lines),
            read_options=csv.ReadOptions(column_names=["value"], block_size=BLOCK_BYTES),
            parse_options=csv.ParseOptions(quote_char=False, ignore_empty_lines=False),
            convert_options=csv.ConvertOptions(column_types={"value": pyarrow.float32()}, null_values=[]),
        )
    except pyarrow.ArrowException:  # the slow way names what is wrong
        return None
    values: Floats = table["value"].to_numpy()
    return values if len(values) == count and bool(np.isfinite(values).all()) else None


def parse_list(text: bytes, dim: int) -> list[float]:
    """Return one list's values; ValueError with the reason, in words, when it is malformed."""
    parts = text.split(b",")
    if len(parts) != dim:
        raise ValueError(f"has {len(parts):,} values where the first row has {dim:,}")
    return [_parse_value(part, place) for place, part in enumerate(parts, 1)]


def _parse_value(part: bytes, place: int) -> float:
    said = part.strip().decode(errors="replace")
    shown = said if len(said) <= 40 else f"{said[:40]}…"
    try:
        value = float(said)
    except ValueError:
        raise ValueError(f"has {shown!r} as value {place:,}, which is no number") from None
    with np.errstate(over="ignore"):
        if not np.isfinite(np.float32(value)):
            raise ValueError(f"has {shown!r} as value {place:,}, which nothing can rank")
    return value
