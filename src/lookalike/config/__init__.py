"""From override lines to a checked :class:`~lookalike.runs.plan.Plan`, before any work begins.

``composing`` knows Hydra, ``settings`` what settings there are, ``typed`` reads text as it was typed,
``faults`` asks what is impossible, ``planning`` resolves and expands, ``explaining`` says Hydra's errors in
plain words.
"""

from __future__ import annotations
