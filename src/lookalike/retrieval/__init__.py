"""A finished run, opened again to be asked: which run, its parts from the store, one query at a time.

recompose   a record's config as the dataclasses it was
places      "latest", a path, a run's id, a sweep's name → one operating point of one run
opened      gallery, vectors and index of that run, reused and never built
retriever   embed, search, compare with the exact answer
"""

from __future__ import annotations

from lookalike.retrieval.opened import OpenedRun
from lookalike.retrieval.places import RunPlace, find_run
from lookalike.retrieval.recompose import experiment_of
from lookalike.retrieval.retriever import Comparison, Hits, Retriever

__all__ = ["Comparison", "Hits", "OpenedRun", "Retriever", "RunPlace", "experiment_of", "find_run"]
