from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from lookalike.store.lease import Lease, Owner, clear_abandoned, is_live, owner_of
from lookalike.store.store import Store

from .builders import Builder, Listener, recipe_of, scratch

Python = Callable[..., "subprocess.Popen[str]"]

ELSEWHERE = Owner(host="node7", boot="b", pid=1, started="1", job="4711")


def write_lease(path: Path, owner: Owner, seconds: float = 100.0, age: float = 0.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"owner": asdict(owner), "seconds": seconds}))
    now = time.time()
    os.utime(path, (now - age, now - age))


def ended_process() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_a_lease_exists_while_it_is_held(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    with Lease(path) as lease:
        assert lease.is_held()
        assert is_live(path)
        assert owner_of(path) == Owner.here()
    assert not path.exists()
    assert not is_live(path)


def test_the_heart_beats(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    with Lease(path, seconds=0.06):
        os.utime(path, (1, 1))
        deadline = time.monotonic() + 10
        while path.stat().st_mtime == 1 and time.monotonic() < deadline:
            time.sleep(0.005)
        assert path.stat().st_mtime > 1


def test_a_dead_owner_is_followed_at_once(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    write_lease(path, replace(Owner.here(), pid=ended_process()), seconds=1e9)
    with Lease(path, on_wait=lambda owner: pytest.fail("waited for the dead")):
        assert owner_of(path) == Owner.here()


def test_a_process_id_used_again_is_another_process() -> None:
    here = Owner.here()
    assert not here.is_dead()
    assert replace(here, started="1").is_dead()


def test_nothing_is_known_of_processes_elsewhere() -> None:
    ended = ended_process()
    assert replace(Owner.here(), pid=ended).is_dead()
    assert not replace(Owner.here(), pid=ended, host="node7").is_dead()
    assert not replace(Owner.here(), pid=ended, boot="before").is_dead()


def test_an_expired_lease_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    write_lease(path, ELSEWHERE, seconds=100, age=101)
    with Lease(path, seconds=1e9, on_wait=lambda owner: pytest.fail("waited for the expired")):
        assert owner_of(path) == Owner.here()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"owner": {"host": "x"}, "seconds": 1}'])
def test_an_unreadable_lease_expires_too(tmp_path: Path, text: str) -> None:
    path = tmp_path / "lease"
    path.write_text(text)
    assert not clear_abandoned(path, seconds=100)
    os.utime(path, (1, 1))
    assert clear_abandoned(path, seconds=100)
    assert list(tmp_path.iterdir()) == []


def test_a_live_owner_elsewhere_is_waited_for(store: Store) -> None:
    store.obtain(recipe_of(1), Builder())
    path = store.root / "leases" / recipe_of(2).key
    write_lease(path, ELSEWHERE)
    progress = Listener(act=lambda line: path.unlink())
    assert not Store(store.root, progress=progress).obtain(recipe_of(2), Builder()).reused
    assert progress.lines == ["index: waiting for process 1 on node7 (job 4711), which is building it"]
    assert scratch(store) == []


def test_who_was_taken_over_leaves_the_new_lease_alone(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    with Lease(path) as lease:
        path.unlink()
        write_lease(path, ELSEWHERE)
        assert not lease.is_held()
    assert owner_of(path) == ELSEWHERE


def test_a_slow_clearer_puts_a_new_lease_back(tmp_path: Path, python: Python) -> None:
    # Between judging the old lease and moving it away, another process clears it and makes its own.
    path = tmp_path / "lease"
    write_lease(path, ELSEWHERE, age=1000)
    script = """
        import os, sys
        from pathlib import Path
        from lookalike.store.lease import clear_abandoned
        path, new = Path(sys.argv[1]), Path(sys.argv[2])

        def intrude(event, arguments):
            if event == "os.rename" and str(arguments[0]) == str(path) and new.exists():
                os.replace(new, path)

        sys.addaudithook(intrude)
        print(clear_abandoned(path))
    """
    new = tmp_path / "new"
    write_lease(new, Owner.here())
    inode = new.stat().st_ino
    assert python(script, path, new).communicate()[0].strip() == "False"
    assert path.stat().st_ino == inode
    assert owner_of(path) == Owner.here()
    assert list(tmp_path.iterdir()) == [path]
