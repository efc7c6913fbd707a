"""Lookalike: which embedding model and which FAISS index find your images, at what cost.

    import lookalike

    experiment = lookalike.compose("model=pixels", "index=ivf_flat", "search.nprobe=[1,8]")
    record = lookalike.run_experiment(experiment)
    lookalike.points(record)
    lookalike.open_run("latest").search("photo.jpg", k=10)

Every function can be called any number of times in one process and from any working directory (``root=``).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lookalike.api import compose, draw_front, run_experiment, run_sweep
    from lookalike.errors import UserError
    from lookalike.report.frame import load_runs, points
    from lookalike.search import open_run

__version__ = "0.2.0.dev0"
__all__ = [
    "UserError",
    "__version__",
    "compose",
    "draw_front",
    "load_runs",
    "open_run",
    "points",
    "run_experiment",
    "run_sweep",
]

_DEFINED_IN = {
    "UserError": "lookalike.errors",
    "compose": "lookalike.api",
    "draw_front": "lookalike.api",
    "load_runs": "lookalike.report.frame",
    "open_run": "lookalike.search",
    "points": "lookalike.report.frame",
    "run_experiment": "lookalike.api",
    "run_sweep": "lookalike.api",
}


def __getattr__(name: str) -> Any:
    """Import what is exported when it is asked for: ``import lookalike`` alone stays light."""
    if name not in _DEFINED_IN:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_DEFINED_IN[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
