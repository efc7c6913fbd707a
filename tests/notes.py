"""What the user was told."""

from __future__ import annotations

from lookalike.progress import Progress


class Notes(Progress):
    """Keeps each line."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.warned: list[str] = []

    def say(self, line: str) -> None:
        self.said.append(line)

    def warn(self, line: str) -> None:
        self.warned.append(line)
