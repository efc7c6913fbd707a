"""Indexes: what families there are, how one is built, loaded and searched, what serving it takes.

families         config → factory string, search settings, faults
structure        inside a FAISS index: training, seeds, search parameters
messages         FAISS's errors and warnings in our words
sample           what is trained on
files            read; written whole or not at all
filling          vectors into a trained index, room for all taken beforehand
merging          what was filled apart becomes one, once proven to belong together
build            train, fill or merge, write; each reused from the store
description      what an index says of itself; probing: the same of a file that may be hostile
searchers        a loaded index; brute_force is numpy's
serving          memory to serve, measured in a fresh process
"""

from __future__ import annotations

from lookalike.index.brute_force import BruteForceSearcher
from lookalike.index.build import IndexArtifacts, build_index, build_parts
from lookalike.index.families import factory_string, faults, nlist_of, settings_of
from lookalike.index.searchers import FaissSearcher, load_index
from lookalike.index.serving import serving_memory

__all__ = [
    "BruteForceSearcher",
    "FaissSearcher",
    "IndexArtifacts",
    "build_index",
    "build_parts",
    "factory_string",
    "faults",
    "load_index",
    "nlist_of",
    "serving_memory",
    "settings_of",
]
