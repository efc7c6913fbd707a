"""What the store's tests share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lookalike.progress import Progress
from lookalike.store.recipe import Recipe
from lookalike.store.store import Store


class Listener(Progress):
    """Keeps every line, and may act on it."""

    def __init__(self, act: Callable[[str], None] = lambda line: None) -> None:
        self.lines: list[str] = []
        self.act = act

    def say(self, line: str) -> None:
        self.lines.append(line)
        self.act(line)

    warn = say


def recipe_of(nlist: int = 64, kind: str = "index", embeddings: str = "e1", **more: Any) -> Recipe:
    return Recipe(kind, 1, {"nlist": nlist, **more}, {"embeddings": embeddings})


class Builder:
    """Builds an artifact of two files and counts how often."""

    def __init__(self, content: bytes = b"vectors") -> None:
        self.content = content
        self.count = 0

    def __call__(self, draft: Path) -> dict[str, Any]:
        self.count += 1
        (draft / "part").mkdir()
        (draft / "part" / "lists.bin").write_bytes(self.content)
        (draft / "ids.bin").write_bytes(b"ids")
        return {"rows": 3}


def scratch(store: Store) -> list[str]:
    """What is left over in the store: nothing, after every test but those of the workbench."""
    return sorted(path.name for folder in ("scratch", "leases") for path in (store.root / folder).iterdir())
