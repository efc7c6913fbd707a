"""Which other processes timed searches on this machine: two clocks at once spoil each other's latencies.

Each process that times has a Unix datagram socket in the kernel's abstract namespace: seen by all users and
jobs of the machine (not across network namespaces), without a file, and gone with its process however that
ends. One that starts sends its name to all that are there; so each of two that overlap knows of the other.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from types import TracebackType

PREFIX = "lookalike-timing-"
SOCKETS = Path("/proc/net/unix")


class ConcurrentTimings:
    """Context manager; afterwards ``others`` is how many other processes timed searches meanwhile.

    ``others`` is None where the system has no abstract sockets (it is Linux's own invention).
    """

    def __init__(self) -> None:
        self.others: int | None = None
        self._name = f"{PREFIX}{os.getpid()}-{token_hex(4)}"
        self._socket: socket.socket | None = None

    def __enter__(self) -> ConcurrentTimings:
        with suppress(OSError, AttributeError):
            own = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                own.setblocking(False)
                own.bind(f"\0{self._name}")
                self._others = _names_present() - {self._name}
            except OSError:
                own.close()
                raise
            self._socket = own
            for name in self._others:
                with suppress(OSError):  # it has just ended, or its queue is full
                    own.sendto(self._name.encode(), f"\0{name}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._socket is None:
            return
        with self._socket as own, suppress(BlockingIOError):
            while True:
                self._others.add(own.recv(256).decode("ascii", "replace"))
        self.others = len(self._others)


def _names_present() -> set[str]:
    """Names of the sockets of all processes that are timing now."""
    marked = f"@{PREFIX}"
    lines = SOCKETS.read_text(encoding="utf-8", errors="replace").splitlines()
    return {name[1:] for line in lines if (name := line.rpartition(" ")[2]).startswith(marked)}
