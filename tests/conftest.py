"""What all tests start from."""

from __future__ import annotations

import signal

# Started in the background they may have been told to ignore Ctrl-C, which the programs they start inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)
