"""The final timing of a sweep as a program: what a node of a cluster runs, once the sweep's jobs are over."""

from __future__ import annotations

import sys
from contextlib import chdir
from pathlib import Path

from lookalike.errors import UserError
from lookalike.progress import RichProgress
from lookalike.sweep.final.timing import time_finally
from lookalike.sweep.ledger import NOTHING_TO_TIME, Ledger
from lookalike.terminal.printing import print_wrapped


def main(folder: Path) -> int:
    """Time the fronts of the sweep in ``folder``; 2 for what the user can mend, which is said."""
    try:
        with chdir(Ledger.load(folder).directory):  # paths of the sweep's runs are relative to it
            progress = RichProgress()
            if not time_finally(folder, progress):
                progress.say(f"final timing: {NOTHING_TO_TIME}, or it is done")
    except UserError as error:
        print_wrapped(f"error: {error}", sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).absolute()))
