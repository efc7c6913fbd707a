"""The content-addressed store: every expensive result is built once and found again by what made it.

recipe     what makes an artifact: kind, version, parameters, parents; its hash is the key
reasons    why something has to be built: how a recipe differs from its nearest relative
files      hashing, syncing and atomic writing
layout     where everything lies below the store's root
lease      one builder per key at a time, to save work; correctness never depends on it
artifact   a published folder: manifest, stamps, and whether its files are still what they were
store      find, obtain, publish
upkeep     what ``lookalike store ls | verify | prune`` shows and does
"""

from __future__ import annotations
