"""From override lines to one :class:`~lookalike.schemas.Experiment`, checked before any work begins.

``composing`` knows Hydra, ``faults`` knows what cannot be, ``planned`` which operating points there are.
"""

from __future__ import annotations

from lookalike.config.composing import CONFIG_NAME, compose, conf_folder, expand_home, parse, prepare_hydra
from lookalike.config.explaining import COMPOSING_ERRORS, explain, while_reading_yaml
from lookalike.config.faults import Count, count_gallery, decide, find_faults
from lookalike.config.planned import PlannedPoint, plan_points

__all__ = [
    "COMPOSING_ERRORS",
    "CONFIG_NAME",
    "Count",
    "PlannedPoint",
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
    "while_reading_yaml",
]
