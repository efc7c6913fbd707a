"""The content-addressed store: every expensive result is built once and found again by what made it.

recipe     what makes an artifact; its hash is the key, and the difference to others the reason of a build
files      atomic writing, hashing, JSON
layout     where everything lies in the store's folder, and its format
lease      living processes: one builder per key at a time, and the artifacts that each uses
artifact   a published folder: manifest, stamps, and whether its files are still what they were
store      find, obtain, publish
upkeep     what ``lookalike store ls | verify | prune`` shows and does
"""

from __future__ import annotations
