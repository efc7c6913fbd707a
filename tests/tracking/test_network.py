"""File systems as Linux lists them, and what SQLite on a network file system means for a sweep."""

from __future__ import annotations

from pathlib import Path

import pytest

from lookalike import schemas
from lookalike.cli import main
from lookalike.machine import filesystems
from lookalike.machine.filesystems import file_system_of
from lookalike.sweep import task
from lookalike.tracking import NoTracker, Tracker, one_writer_notice, open_tracker
from lookalike.tracking.mlflow_tracker import MlflowTracker
from tests.tracking.snapshots import runs_shown, snapshot

MOUNTS = r"""22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:40 / /home rw,relatime shared:1 - nfs4 server:/export/home rw,vers=4.2
31 22 0:41 / /home/local rw - xfs /dev/vdb rw
32 22 0:42 / /scratch rw - lustre 10.0.0.1@o2ib:/scratch rw
33 22 0:43 / /mnt/two\040words rw - cifs //server/share rw
34 22 0:44 / /mnt/fuse rw - fuse.sshfs me@there: rw
35 22 0:45 / /mnt/ntfs rw - fuseblk /dev/sdb1 rw
36 22 0:46 / /twice rw - nfs server:/a rw
37 36 0:47 / /twice rw - tmpfs tmpfs rw
38 22 0:48 / /bee rw - beegfs beegfs_nodev rw
39 22 0:49 / /gpfs rw - gpfs fs1 rw
40 22 0:50 / /ceph rw - ceph mon:/ rw
41 22 0:51 / /cephfuse rw - fuse.ceph-fuse ceph-fuse rw
a line of nonsense
"""


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
def test_the_file_system_of_a_path(path: str, kind: str, is_network: bool) -> None:
    found = file_system_of(Path(path), MOUNTS)
    assert found is not None
    assert (found.type, found.is_network) == (kind, is_network)


def test_this_machine_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = file_system_of(tmp_path / "new")
    assert found is not None and tmp_path.is_relative_to(found.mount_point)
    monkeypatch.setattr(filesystems, "MOUNTS", tmp_path / "nothing")
    assert file_system_of(tmp_path) is None


@pytest.fixture
def on_nfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``tmp_path``, which the system says is mounted from a server."""
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"22 1 254:0 / / rw - ext4 /dev/vda rw\n30 22 0:40 / {tmp_path} rw - nfs4 s:/e rw\n")
    monkeypatch.setattr(filesystems, "MOUNTS", mounts)
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
    real = task.Parts.open_tracker

    def remembered(self: task.Parts, experiment: schemas.Experiment) -> Tracker:
        tracker = real(self, experiment)
        opened.append((experiment.tracking.parent is not None, type(tracker).__name__))
        return tracker

    monkeypatch.setattr(task.Parts, "open_tracker", remembered)
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
