"""Indexes: what families there are, how one is built, loaded and searched, what serving it takes.

families         one module each: settings, factory string, search settings, faults, candidates, colour
structure        inside a FAISS index: training, seeds, search parameters
messages         FAISS's errors and warnings in plain words
training         on a seeded sample, part by part
files            read; written whole or not at all
filling          vectors into a trained index, room for all taken beforehand
merging          what was filled apart becomes one, once proven to belong together
build            train, fill or merge, write; each reused from the store
description      what an index says of itself
probing          the same of a file that may be hostile, by a child process
searchers        a loaded index; numpy over the vectors themselves
serving          memory to serve, measured in a child process
"""

from __future__ import annotations
