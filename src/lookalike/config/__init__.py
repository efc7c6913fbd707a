"""From override lines to one :class:`~lookalike.schemas.Experiment`, checked before any work begins.

``composing`` knows Hydra, ``typed`` which settings are text, ``faults`` what cannot be, ``planned`` which
operating points there are.
"""

from __future__ import annotations

from lookalike.config.composing import CONFIG_NAME, compose, conf_folder, expand_home, parse, prepare_hydra
from lookalike.config.explaining import COMPOSING_ERRORS, explain
from lookalike.config.faults import Count, count_gallery, decide, find_faults
from lookalike.config.planned import PlannedPoint, plan_points
from lookalike.config.typed import as_typed, quoted

__all__ = [
    "COMPOSING_ERRORS",
    "CONFIG_NAME",
    "Count",
    "PlannedPoint",
    "as_typed",
    "compose",
    "conf_folder",
    "count_gallery",
    "decide",
    "expand_home",
    "explain",
    "find_faults",
    "parse",
    "plan_points",
    "prepare_hydra",
    "quoted",
]
