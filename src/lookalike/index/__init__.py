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
