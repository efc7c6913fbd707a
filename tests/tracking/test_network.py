"""File systems as Linux lists them, and what SQLite on a network file system means for a sweep."""

from __future__ import annotations

from pathlib import Path

import pytest

from lookalike import schemas
from lookalike.cli import main
from lookalike.machine.filesystems import file_system_of
from lookalike.sweep import task
from lookalike.tracking import NoTracker, Tracker, one_writer_notice, open_tracker
from lookalike.tracking.mlflow_tracker import MlflowTracker
from tests.mounts import mount
from tests.tracking.snapshots import runs_shown, snapshot

MOUNTS = (
    ("/", "ext4"),
    ("/home", "nfs4"),
    ("/home/local", "xfs"),
    ("/scratch", "lustre"),
    ("/mnt/two words", "cifs"),
    ("/mnt/fuse", "fuse.sshfs"),
    ("/mnt/ntfs", "fuseblk"),
    ("/twice", "nfs"),
    ("/twice", "tmpfs"),
    ("/bee", "beegfs"),
    ("/gpfs", "gpfs"),
    ("/ceph", "ceph"),
    ("/cephfuse", "fuse.ceph-fuse"),
)


@pytest.mark.parametrize(
    ("path", "kind", "is_network"),
    [
        ("/var/tmp", "ext4", False),
        ("/home/me/new/root", "nfs4", True),
        ("/home/local/me", "xfs", False),
        ("/home/localised", "nfs4", True),
        ("/scratch", "lustre", True),
        ("/mnt/two words/x", "cifs", True),
        ("/mnt/fuse/x", "fuse.sshfs", True),
        ("/mnt/ntfs", "fuseblk", False),
        ("/twice/x", "tmpfs", False),
        ("/bee/x", "beegfs", True),
        ("/gpfs/x", "gpfs", True),
        ("/ceph/x", "ceph", True),
        ("/cephfuse/x", "fuse.ceph-fuse", True),
    ],
)
def test_the_file_system_of_a_path(
    path: str, kind: str, is_network: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount(monkeypatch, *MOUNTS)
    found = file_system_of(Path(path))
    assert found is not None
    assert (found.type, found.is_network) == (kind, is_network)


def test_this_machine_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = file_system_of(tmp_path / "new")
    assert found is not None and tmp_path.is_relative_to(found.mount_point)
    mount(monkeypatch)
    assert file_system_of(tmp_path) is None


@pytest.fixture
def on_nfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``tmp_path``, which the system says is mounted from a server."""
    mount(monkeypatch, ("/", "ext4"), (str(tmp_path), "nfs4"))
    return tmp_path


def test_jobs_leave_logging_to_whoever_gathers(on_nfs: Path) -> None:
    job = schemas.Tracking(parent="a sweep's")
    assert isinstance(open_tracker(job, on_nfs), NoTracker)
    assert isinstance(open_tracker(schemas.Tracking(), on_nfs), MlflowTracker), "the one process that gathers"
    notice = one_writer_notice(schemas.Tracking(), on_nfs)
    assert notice is not None and "nfs4" in notice and "tracking=server" in notice


def test_on_a_local_disk_or_a_server_jobs_log_themselves(tmp_path: Path, on_nfs: Path) -> None:
    server = schemas.Tracking(kind="server", uri="http://127.0.0.1:9", parent="a sweep's")
    assert isinstance(open_tracker(server, on_nfs), MlflowTracker), "and a dead server is found out later"
    assert one_writer_notice(server, on_nfs) is None
    assert isinstance(open_tracker(schemas.Tracking(parent="a sweep's"), Path("/var/tmp")), MlflowTracker)
    assert one_writer_notice(schemas.Tracking(), Path("/var/tmp")) is None


def test_a_sweep_there_warns_and_logs_through_whoever_gathers(
    on_nfs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which process logs what is seen by the trackers that are opened."""
    opened: list[tuple[bool, str]] = []
    real = task.Services.open_tracker

    def remembered(self: task.Services, experiment: schemas.Experiment) -> Tracker:
        tracker = real(self, experiment)
        opened.append((experiment.tracking.parent is not None, type(tracker).__name__))
        return tracker

    monkeypatch.setattr(task.Services, "open_tracker", remembered)
    small = ["model=pixels", "dataset.limit=12", "queries.n=1", "search.k=5", "search.repeats=1"]
    root = on_nfs / "root"
    assert main(["run", "-m", *small, "index=flat,brute_force", f"paths.root={root}"]) == 0
    assert capsys.readouterr().err.count("lies on a network file system (nfs4)") == 1
    assert opened == [(False, "MlflowTracker"), (True, "NoTracker"), (True, "NoTracker")]
    found = snapshot(f"sqlite:///{root}/mlruns/mlflow.db", root / "mlruns" / "artifacts")
    runs = runs_shown(found, schemas.Tracking.experiment)
    [parent] = [run_id for run_id, run in runs.items() if "mlflow.parentRunId" not in run.tags]
    children = [run for run_id, run in runs.items() if run_id != parent]
    assert {run.tags["mlflow.parentRunId"] for run in children} == {parent}
    assert sorted(run.params["index"] for run in children) == ["brute_force", "flat"]
    assert {run.status for run in runs.values()} == {"FINISHED"}
