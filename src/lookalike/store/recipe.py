"""What makes an artifact, and the key that stands for it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

KEY_LENGTH = 32


def canonical_json(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no spaces, ASCII only (names that are no UTF-8 survive).

    Raises ``TypeError`` for what JSON does not have and ``ValueError`` for NaN and infinity.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


@dataclass(frozen=True)
class Recipe:
    """Everything that shapes an artifact, and nothing else (no device, workers, threads or paths).

    Parameters are copied, tuples become lists. Equal recipes have equal keys whatever the order of
    their parameters; ``1`` and ``1.0`` are different parameters.
    """

    kind: str
    """What it is ("embeddings", "index"): lower-case letters, digits, ``_`` and ``-``; names a folder."""
    version: int
    """Raised by hand when code changes what the stage produces."""
    parameters: Mapping[str, Any]
    """JSON values; may be nested."""
    parents: Mapping[str, str]
    """Role to key of each artifact that this one is made from."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_-]*", self.kind):
            raise ValueError(f"an artifact's kind names a folder: {self.kind!r} does not")
        for field in ("parameters", "parents"):
            object.__setattr__(self, field, json.loads(canonical_json(dict(getattr(self, field)))))

    @cached_property
    def key(self) -> str:
        """32 hexadecimal digits: the head of the SHA-256 of the recipe's canonical JSON."""
        text = canonical_json(
            {
                "kind": self.kind,
                "version": self.version,
                "parameters": self.parameters,
                "parents": self.parents,
            }
        )
        return hashlib.sha256(text.encode("ascii")).hexdigest()[:KEY_LENGTH]
