"""``python -m lookalike`` is ``lookalike``."""

import sys
from pathlib import Path

# `python -m` puts the working directory first on the module search path, where a faiss.py would be executed.
if not sys.flags.safe_path and not Path(sys.path[0], "lookalike").is_dir():
    del sys.path[0]

from lookalike.cli import main

sys.exit(main())
