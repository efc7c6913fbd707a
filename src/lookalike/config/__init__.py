"""From override lines to one :class:`~lookalike.schemas.Experiment`, checked before any work begins.

``composing`` knows Hydra, ``typed`` which settings are text, ``faults`` what cannot be, ``planned`` which
operating points there are.
"""

from __future__ import annotations
