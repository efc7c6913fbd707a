"""A real PostgreSQL and a real MLflow server on it, started by the test and killed when it is over."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

from tests.services import find_postgres

DEADLINE_SECONDS = 120.0
SUPERUSER = "postgres"


def postgres_binaries() -> Path:
    """The folder of initdb and pg_ctl; their absence fails the test."""
    if (found := find_postgres()) is None:
        pytest.fail("PostgreSQL is missing: make test installs it")
    return found


class PostgreSQL:
    """A cluster of its own on a socket of its own; runs as ``postgres`` when the test is root."""

    def __init__(self) -> None:
        self.binaries = postgres_binaries()
        self.folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))  # a socket's path has < 108 characters
        self.folder.chmod(0o755)
        self.data = self.folder / "data"
        self.user = SUPERUSER if os.geteuid() == 0 else None
        if self.user:
            owner = pwd.getpwnam(self.user)
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)

    @property
    def uri(self) -> str:
        """For SQLAlchemy."""
        return f"postgresql+psycopg2://{SUPERUSER}@/mlflow?host={self.folder}"

    def start(self) -> None:
        self._do("initdb", "-D", str(self.data), "-U", SUPERUSER, "-A", "trust", "--no-sync", "-E", "UTF8")
        settings = f"-c listen_addresses='' -c unix_socket_directories={self.folder} -c fsync=off"
        log = str(self.folder / "log")
        self._do("pg_ctl", "-D", str(self.data), "-l", log, "-o", settings, "-w", "-t", "60", "start")
        self._do("createdb", "-h", str(self.folder), "-U", SUPERUSER, "mlflow")

    def stop(self) -> None:
        try:
            self._do("pg_ctl", "-D", str(self.data), "-m", "immediate", "-w", "stop")
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _do(self, command: str, *arguments: str) -> None:
        environment = {**os.environ, "LC_ALL": "C.UTF-8"}
        done = subprocess.run(
            [str(self.binaries / command), *arguments],
            user=self.user,
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=(output := (self.folder / "output").open("a+")),  # a pipe would stay open in the server
            stderr=subprocess.STDOUT,
            check=False,
            timeout=DEADLINE_SECONDS,
        )
        output.seek(0)
        assert done.returncode == 0, output.read()


class MlflowServer:
    """``mlflow server`` on a port of its own, which it keeps when it is started again."""

    def __init__(self, backend: str, artifacts: Path) -> None:
        self.artifacts = artifacts
        self.log = artifacts.with_suffix(".log")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.command = [sys.executable, "-m", "mlflow", "server", "--workers", "2"]
        self.command += ["--backend-store-uri", backend, "--artifacts-destination", str(artifacts)]
        self.command += ["--host", "127.0.0.1", "--port", str(self.port)]
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns when it answers."""
        quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        self.process = subprocess.Popen(
            self.command,
            env={**os.environ, **quiet},
            start_new_session=True,
            stdout=self.log.open("ab"),
            stderr=subprocess.STDOUT,
        )
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not self._answers():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, "mlflow server does not answer"
            time.sleep(0.2)

    def kill(self) -> None:
        """SIGKILL to it and its workers, as a machine that goes down would."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(f"{self.uri}/health", timeout=5).close()
        except (urllib.error.URLError, OSError):
            return False
        return True
