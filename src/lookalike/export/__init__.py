"""What goes to production: a run's index, ids, settings and model, and a serve.py that needs no Lookalike.

exporting    the folder: everything is written beside it first, then renamed
model_files  what each family of models needs to embed a query
standalone   the programs that are copied out; nothing here imports them
"""

from __future__ import annotations
