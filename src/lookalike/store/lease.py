"""One builder per key at a time, across processes and machines that share a file system.

A lease only saves work: publishing is correct without it, so every race that is left here costs a
build done twice and nothing else. It is a file created exclusively. Its owner keeps it open and
touches it through the open descriptor, so a heartbeat never revives a file that another process has put
in its place. A lease is abandoned when its owner provably died (same machine, same boot), or when its
last heartbeat is too old by the *file server's* clock: that of a file touched a moment ago.

A process also lists the artifacts that it uses, so that none is pruned under a run that reads it: it adds an
artifact's key to a list of its own before it looks at the artifact, and keeps a lease beside the list.
Pruning renames the artifact away first and reads all lists afterwards. A use that was listed before the
rename is seen, and the artifact is put back; one that is listed later finds the artifact gone, and builds it.
"""

from __future__ import annotations

import json
import os
import platform
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from types import TracebackType

from lookalike.store.files import token

LEASE_SECONDS = 120.0
"""Without a heartbeat for this long a lease may be taken over; network file systems cache for up to 60 s."""
BEATS_PER_LEASE = 6
SHORTEST_PAUSE, LONGEST_PAUSE = 0.02, 1.0


@dataclass(frozen=True)
class Owner:
    """The process that holds a lease."""

    host: str
    boot: str
    """Boot id and process namespace: the same process ids mean the same processes."""
    pid: int
    started: str
    """The kernel's start time of that process (another process may have got its id); empty if unknown."""
    job: str | None
    """The SLURM job, if any."""

    @classmethod
    def here(cls) -> Owner:
        """Return the owner that this process is."""
        return cls(
            platform.node(),
            _boot(),
            os.getpid(),
            _start_of(os.getpid()) or "",
            os.environ.get("SLURM_JOB_ID"),
        )

    def __str__(self) -> str:
        job = f" (job {self.job})" if self.job else ""
        return f"process {self.pid} on {self.host}{job}"

    def is_dead(self) -> bool:
        """Return True only when it is certain: of another machine's processes nothing is known."""
        if (self.host, self.boot) != (platform.node(), _boot()):
            return False
        started = _start_of(self.pid)
        return started is None or (bool(started and self.started) and started != self.started)


@cache
def _boot() -> str:
    try:
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot_id} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _start_of(pid: int) -> str | None:
    """When a process started, in clock ticks since boot; "" when unknown; None when it has ended.

    Counted from the boot, because the time of day may be set while the process runs.
    """
    import psutil

    try:
        process = psutil.Process(pid)
        if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            return None
        since_boot = process.create_time() - psutil.boot_time()
    except psutil.NoSuchProcess:
        return None
    except (psutil.Error, OSError):
        return ""
    return str(round(since_boot * os.sysconf("SC_CLK_TCK")))


class Lease:
    """Context manager that waits until this process may build, and holds off others while inside.

    ``on_wait`` is called once, with the present owner (None when the lease does not say), before waiting.
    """

    def __init__(
        self,
        path: Path,
        seconds: float = LEASE_SECONDS,
        on_wait: Callable[[Owner | None], None] | None = None,
    ) -> None:
        self.path = path
        self.seconds = seconds
        self._on_wait = on_wait
        self._descriptor = -1
        self._released = threading.Event()
        self._heart = threading.Thread(target=self._beat, name=f"lease {path.name}", daemon=True)

    def __enter__(self) -> Lease:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def acquire(self) -> None:
        """Wait until the lease is this process's, and keep it alive until it is released."""
        pause = SHORTEST_PAUSE
        while not self._create():
            if clear_abandoned(self.path, self.seconds):
                continue
            if self._on_wait:
                self._on_wait(owner_of(self.path))
                self._on_wait = None
            time.sleep(pause)
            pause = min(1.5 * pause, LONGEST_PAUSE)
        self._heart.start()

    def release(self) -> None:
        """Let others have it; a lease that another process has taken over is left alone."""
        self._released.set()
        self._heart.join()
        if self.is_held():
            self.path.unlink(missing_ok=True)
        os.close(self._descriptor)

    def is_held(self) -> bool:
        """Return whether no other process has taken the lease over, while this one was suspended."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), self.path.stat())
        except OSError:
            return False

    def _create(self) -> bool:
        try:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            return False
        text = json.dumps({"owner": asdict(Owner.here()), "seconds": self.seconds})
        try:
            os.write(self._descriptor, text.encode("ascii"))
        except BaseException:
            self.path.unlink(missing_ok=True)
            os.close(self._descriptor)
            raise
        return True

    def _beat(self) -> None:
        while not self._released.wait(self.seconds / BEATS_PER_LEASE):
            try:
                os.utime(self._descriptor)
            except OSError:  # the file server is away; it may be back for the next beat
                continue


def owner_of(path: Path) -> Owner | None:
    """Return the process that holds the lease; None when none does or it is just being written."""
    try:
        return _parse(path.read_text(encoding="ascii"), 0)[0]
    except OSError:
        return None


def is_live(path: Path, seconds: float = LEASE_SECONDS) -> bool:
    """Return whether the lease exists and is not abandoned."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return not _is_abandoned(path, descriptor, seconds)
    finally:
        os.close(descriptor)


def clear_abandoned(path: Path, seconds: float = LEASE_SECONDS) -> bool:
    """Take an abandoned lease out of the way; return True when ``path`` is free now.

    ``seconds`` counts where the lease itself does not say how long it is good without a heartbeat.
    Two that clear at once: the slower might move the faster one's new lease, notices, and puts it back.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)  # kept open, so that the inode is not used again meanwhile
    except FileNotFoundError:
        return True
    try:
        if not _is_abandoned(path, descriptor, seconds):
            return False
        moved = path.with_name(f"{path.name}.{token()}.gone")
        path.rename(moved)
        was_judged = os.path.samestat(moved.stat(), os.fstat(descriptor))
        if not was_judged:
            with suppress(OSError):  # then its owner goes on without a lease, which is safe
                os.link(moved, path)
        moved.unlink()
    except FileNotFoundError:  # another process cleared it
        return True
    else:
        return was_judged
    finally:
        os.close(descriptor)


def _is_abandoned(path: Path, descriptor: int, seconds: float) -> bool:
    owner, seconds = _parse(os.pread(descriptor, 1 << 16, 0).decode("ascii", "replace"), seconds)
    if owner and owner.is_dead():
        return True
    return _server_time(path) - os.fstat(descriptor).st_mtime > seconds


def _parse(text: str, seconds: float) -> tuple[Owner | None, float]:
    try:
        content = json.loads(text)
        owner, stated = Owner(**content["owner"]), float(content["seconds"])
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None, seconds
    is_a_process = type(owner.pid) is int and 0 < owner.pid < 2**31
    return (owner, stated) if is_a_process and stated > 0 else (None, seconds)


def _server_time(path: Path) -> float:
    """The present time by the clock of the file server that holds ``path``."""
    probe = path.with_name(f"{path.name}.{token()}.clock")
    try:
        probe.touch()
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)


KEYS = ".keys"
"""Suffix of a list of uses; its lease has the same name without it."""


class Uses:
    """The list of this process, made at the first use and removed when the store is closed or collected.

    Where the folder cannot be written nothing is listed: a store that may only be read serves all the same.
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        self.folder, self.seconds = folder, seconds
        self.keys_file: Path | None = None
        self._keys: set[str] = set()
        self._lock = threading.Lock()

    def add(self, key: str) -> None:
        """List a key; call it before the artifact is looked at."""
        with self._lock, suppress(OSError):
            if key in self._keys:
                return
            if self.keys_file is None:
                self.keys_file = self._begin()
            with self.keys_file.open("a", encoding="ascii") as file:
                file.write(f"{key}\n")
            self._keys.add(key)

    def _begin(self) -> Path:
        self.folder.mkdir(exist_ok=True)
        lease = Lease(self.folder / token(), self.seconds)
        keys = lease.path.with_suffix(KEYS)
        keys.touch()
        lease.acquire()
        weakref.finalize(self, _end, lease, keys)
        return keys


def _end(lease: Lease, keys: Path) -> None:
    with suppress(OSError):
        keys.unlink(missing_ok=True)
        lease.release()


def keys_in_use(folder: Path, besides: Uses | None = None) -> dict[str, Owner | None]:
    """Return the keys that living processes use, each with one of these processes (None when unknown).

    ``besides``: the list that does not count, the caller's own.
    """
    found: dict[str, Owner | None] = {}
    for path in folder.glob(f"*{KEYS}"):
        lease = path.with_suffix("")
        if (besides is not None and besides.keys_file == path) or not _may_be_live(lease):
            continue
        with suppress(FileNotFoundError):  # its process has just ended
            found |= dict.fromkeys(path.read_text(encoding="ascii").split(), owner_of(lease))
    return found


def abandoned(folder: Path) -> list[Path]:
    """Return the lists and leases of processes that ended without removing them."""
    try:
        files = sorted(folder.iterdir())
    except OSError:
        return []
    return [path for path in files if not _may_be_live(folder / path.name.partition(".")[0])]


def _may_be_live(lease: Path) -> bool:
    try:
        return is_live(lease)
    except FileNotFoundError:
        return False
    except OSError:  # it cannot be found out, so what it protects stays
        return True
