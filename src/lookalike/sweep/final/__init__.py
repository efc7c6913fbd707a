"""The final timing of a sweep: the front's points of all its indexes, in the same rounds on one machine.

Jobs time their searches apart, at other hours and perhaps on other nodes, so that their latencies differ by
more than the indexes do. The records are complete before, and gain a second timing.

choosing    which points: the fronts', and those near them
timing      opened, loaded, timed together, written into the records
state       how it stands
__main__    the same as a job of a cluster: ``python -m lookalike.sweep.final FOLDER``
"""

from __future__ import annotations
