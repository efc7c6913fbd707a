"""Lookalike: which embedding model and which FAISS index find your images, at what cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lookalike.report.frame import load_runs

__version__ = "0.2.0.dev0"
__all__ = ["__version__", "load_runs"]


def __getattr__(name: str) -> Any:
    """``lookalike.load_runs`` is imported when it is asked for: it needs pandas."""
    if name == "load_runs":
        from lookalike.report.frame import load_runs

        return load_runs
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
