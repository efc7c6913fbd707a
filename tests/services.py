"""What some tests need beside Python: a browser, SLURM, PostgreSQL, a small disk.

As a program, which ``make test`` runs, it installs what is missing, on Debian and Ubuntu, as root or with
passwordless sudo. It starts no service, now or at the next boot; ``SERVICES=no`` declines. Where it cannot
install, the tests of what is missing are skipped and named in the last line (tests/conftest.py).
Under ``CI=true`` a missing service is an error.
"""

from __future__ import annotations

import fcntl
import functools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

POLICY = Path("/usr/sbin/policy-rc.d")
POLICY_TEXT = """\
#!/bin/sh
# Lookalike's tests/services.py is installing packages; it removes this file afterwards.
exit 101
"""
LOCK = Path("/run/lookalike-services.lock")


@dataclass(frozen=True)
class Service:
    """Something that runs beside the tests. ``marker`` is that of the tests that need it."""

    marker: str
    name: str
    packages: tuple[str, ...]
    units: tuple[str, ...] = ()
    elsewhere: str = ""


SERVICES = (
    Service(
        "browser",
        "a browser",
        ("chromium", "fonts-dejavu-core"),
        elsewhere="install Chrome or Chromium, or name one in LOOKALIKE_CHROMIUM",
    ),
    Service(
        "slurm",
        "SLURM",
        ("slurmctld", "slurmd", "slurm-client", "munge"),
        ("slurmctld", "slurmd", "munge"),
        "point SLURM_CONF at a cluster, or use Debian or Ubuntu as root",
    ),
    Service(
        "postgres",
        "PostgreSQL",
        ("postgresql",),
        ("postgresql",),
        "install it, so that initdb is on the PATH",
    ),
    Service(
        "mounts",
        "a small disk",
        (),
        elsewhere="use Linux, as root or with unprivileged user namespaces",
    ),
)


def find_browser() -> str | None:
    """LOOKALIKE_CHROMIUM, or else the system's Chromium or Chrome, or one that Playwright fetched."""
    if named := os.environ.get("LOOKALIKE_CHROMIUM"):
        return named
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if found := shutil.which(name):
            return found
    fetched = Path.home().glob(".cache/ms-playwright/chromium-*/chrome-linux*/chrome")
    mac = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
    return next((str(path) for path in [*sorted(fetched, reverse=True), mac] if path.exists()), None)


def find_postgres() -> Path | None:
    """The folder of initdb and pg_ctl: Debian's newest, which is not on the PATH, else the one that is."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    found = debian[-1] if debian else shutil.which("initdb")
    return Path(found).parent if found else None


def search_path() -> str:
    """PATH with the folders that Debian leaves out for ordinary users."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def has_slurm_packages() -> bool:
    """Whether slurm/one_node.sh finds its programs."""
    return all(
        shutil.which(name, path=search_path())
        for name in ("munged", "mungekey", "slurmctld", "slurmd", "sbatch")
    )


@functools.cache
def as_root() -> list[str] | None:
    """What precedes a command that is to run as root; None where that would need a password."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") is None:
        return None
    allowed = subprocess.run(
        ["sudo", "-n", "true"], capture_output=True, stdin=subprocess.DEVNULL, check=False
    )
    return ["sudo", "-n"] if allowed.returncode == 0 else None


@functools.cache
def cluster_answers() -> bool:
    """Whether SLURM_CONF names a cluster that is up."""
    if "SLURM_CONF" not in os.environ:
        return False
    try:
        asked = subprocess.run(["sinfo"], capture_output=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0


def is_installed(service: Service) -> bool:
    """Whether there is nothing to install for it."""
    if service.marker == "browser":
        return find_browser() is not None
    if service.marker == "slurm":
        return has_slurm_packages() or cluster_answers()
    return not service.packages or find_postgres() is not None


def how_to_have(service: Service) -> str | None:
    """What lets its tests run, as one clause; None when they can."""
    if not is_installed(service):
        if not has_apt():
            return service.elsewhere
        if as_root() is None:
            return f"as root: apt-get install {' '.join(service.packages)}"
        return "make test installs it, unless SERVICES=no"
    if service.marker == "slurm" and as_root() is None and not cluster_answers():
        return "run as root, as slurmd has to"
    if service.marker == "mounts" and not can_mount():
        return service.elsewhere
    return None


def in_own_mounts() -> list[str]:
    """What precedes a command whose mounts nobody else sees; root needs no user namespace for that."""
    return ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]


@functools.cache
def can_mount() -> bool:
    """Whether this user can have a disk of its own."""
    command = [*in_own_mounts(), "mount", "-t", "tmpfs", "tmpfs", "/tmp"]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def has_apt() -> bool:
    """Whether this is Debian, Ubuntu or a relative."""
    return shutil.which("apt-get") is not None


@contextmanager
def no_service_starts(policy: Path) -> Iterator[None]:
    """Forbid that packages start what they bring, as Debian's policy has it: ``policy-rc.d`` answers 101.

    An existing one that forbids is left alone; another one is set aside and put back. What a killed run left
    is tidied up first.
    """
    kept = policy.with_name(f"{policy.name}.before-lookalike")
    if policy.is_file() and policy.read_text(errors="replace") == POLICY_TEXT:
        policy.unlink()
    if kept.exists() and not policy.exists():
        kept.rename(policy)
    if policy.exists() and subprocess.run([policy, "postgresql", "start"], check=False).returncode == 101:
        yield
        return
    if policy.exists():
        policy.rename(kept)
    try:
        policy.touch(mode=0o755, exist_ok=False)
        policy.write_text(POLICY_TEXT)
        yield
    finally:
        policy.unlink(missing_ok=True)
        if kept.exists():
            kept.rename(policy)


def install_packages(services: Sequence[Service], policy: Path = POLICY, lock: Path = LOCK) -> dict[str, str]:
    """As root, each service by itself: name -> what apt-get said, for those that cannot be had."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "PATH": search_path()}

    def call(*command: str) -> None:
        pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
        subprocess.run(
            command, env=environment, stdin=nothing, stdout=nothing, stderr=pipe, text=True, check=True
        )

    apt = ("apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300")
    failed = {}
    with lock.open("w") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        missing = [
            service for service in services if not is_installed(service)
        ]  # another one may have done it
        with no_service_starts(policy):
            with suppress(subprocess.CalledProcessError):  # yesterday's lists may do
                call(*apt, "update")
            for service in missing:
                try:
                    call(*apt, "install", "--no-install-recommends", *service.packages)
                    for unit in service.units if shutil.which("systemctl") else ():
                        call("systemctl", "--quiet", "disable", unit)
                except subprocess.CalledProcessError as error:
                    failed[service.name] = last_line(error.stderr)
    return failed


def last_line(text: str) -> str:
    """The last line that says something."""
    return ([line.strip() for line in text.splitlines() if line.strip()] or ["no reason was named"])[-1]


def install_missing() -> None:
    """Install what is missing where that is possible, and say on stderr what could not be."""
    missing = [service for service in SERVICES if not is_installed(service)]
    if not missing or os.environ.get("SERVICES") == "no" or not has_apt() or as_root() is None:
        return
    packages = " ".join(package for service in missing for package in service.packages)
    print(
        f"installing what tests talk to: {packages} (no service is started; SERVICES=no declines)", flush=True
    )
    prefix = as_root()
    if prefix:
        proxies = [f"{name}={value}" for name, value in os.environ.items() if name.lower().endswith("_proxy")]
        prefix = [*prefix, "env", *proxies]
    # -I and -B: a program that runs as root imports nothing from here and writes nothing here.
    command = [*prefix, sys.executable, "-I", "-B", __file__, "--as-root", *(each.marker for each in missing)]
    subprocess.run(command, check=False)
    if find_browser() is None:  # Ubuntu has Chromium as a snap only
        fetch = [sys.executable, "-I", "-m", "playwright", "install", "--with-deps", "chromium"]
        done = subprocess.run(fetch, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            print(
                f"Playwright has no browser either: {last_line(done.stderr or done.stdout)}", file=sys.stderr
            )


def main(arguments: Sequence[str]) -> int:
    """The exit code: 1 when a service is missing under CI=true."""
    if arguments[:1] == ["--as-root"]:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # unwind, so that policy-rc.d is put back
        failed = install_packages([service for service in SERVICES if service.marker in arguments[1:]])
        for name, reason in failed.items():
            print(f"{name} could not be installed: {reason}", file=sys.stderr)
        return 1 if failed else 0
    install_missing()
    lacking = {service.name: how for service in SERVICES if (how := how_to_have(service))}
    if lacking and os.environ.get("CI") == "true":
        for name, how in lacking.items():
            print(f"{name} is missing, and CI=true skips no tests: {how}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
