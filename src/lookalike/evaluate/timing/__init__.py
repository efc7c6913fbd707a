"""How long searches take: warmed up, sampled over and over, in shuffled rounds, with nothing left out.

sampling    the loop that takes samples, and when it stops
results     what was measured: percentiles, queries a second, reasons for doubt
rounds      every operating point has its turns
"""

from __future__ import annotations
