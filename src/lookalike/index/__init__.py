"""Indexes: what families there are, how one is built, loaded and searched, what serving it takes.

families         config → factory string, search settings, faults
structure        inside a FAISS index: training, seeds, search parameters
messages         FAISS's errors and warnings in our words
build            train, add, write; each reused from the store
searchers        a loaded index; brute_force is numpy's
serving          memory to serve, measured in a fresh process
"""

from __future__ import annotations

from lookalike.index.brute_force import BruteForceSearcher
from lookalike.index.build import IndexArtifacts, build_index
from lookalike.index.families import factory_string, faults, nlist_of, settings_of
from lookalike.index.searchers import FaissSearcher, load_index
from lookalike.index.serving import serving_memory

__all__ = [
    "BruteForceSearcher",
    "FaissSearcher",
    "IndexArtifacts",
    "build_index",
    "factory_string",
    "faults",
    "load_index",
    "nlist_of",
    "serving_memory",
    "settings_of",
]
