"""Several processes, some of which are killed, suspended or late."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lookalike.store.store import Store

from .builders import Builder, Listener, recipe_of, scratch

Python = Callable[..., "subprocess.Popen[str]"]

pytestmark = pytest.mark.timeout(60)

RECIPE = recipe_of()

OBTAIN = """
    import os, sys
    from pathlib import Path
    from lookalike.progress import Progress
    from lookalike.store.recipe import Recipe
    from lookalike.store.store import Store

    class Printing(Progress):
        def say(self, line): print(line)

    root, lease_seconds = Path(sys.argv[1]), float(sys.argv[2])
    recipe = Recipe("index", 1, {"nlist": 64}, {"embeddings": "e1"})
    store = Store(root, progress=Printing(), lease_seconds=lease_seconds)

    def build(draft):
        bench = store.checkpoints(recipe)
        (bench / "block").write_bytes(b"child")
        (draft / "half").write_bytes(b"child")
        print("building")
        sys.stdin.readline()
        (bench / "block").write_bytes(b"late")
        (draft / "part").mkdir()
        (draft / "part" / "lists.bin").write_bytes(b"child")

    artifact = store.obtain(recipe, build)
    print("reused" if artifact.reused else "built", artifact.file("part/lists.bin").read_text())
"""


def next_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def enter(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()


def test_one_builds_and_the_other_waits_and_reuses(store: Store, python: Python) -> None:
    first = python(OBTAIN, store.root, 120)
    assert next_line(first) == "building"
    second = python(OBTAIN, store.root, 120)
    assert next_line(second).startswith(f"index: waiting for process {first.pid} on ")
    enter(first)
    assert next_line(first) == "built child"
    assert next_line(second) == "reused child"
    assert scratch(store) == []


@pytest.mark.parametrize("reaped", [True, False])
def test_a_killed_builder_is_followed_at_once(store: Store, python: Python, reaped: bool) -> None:
    killed = python(OBTAIN, store.root, 1e9)
    assert next_line(killed) == "building"
    killed.kill()
    os.waitid(os.P_PID, killed.pid, os.WEXITED | (0 if reaped else os.WNOWAIT))
    seen = []

    def build(draft: Path) -> dict[str, Any]:
        seen.append((store.checkpoints(RECIPE) / "block").read_bytes())
        return Builder()(draft)

    progress = Listener()
    store.progress = progress
    assert not store.obtain(RECIPE, build).reused
    assert seen == [b"child"]
    assert progress.lines == []
    assert scratch(store) == []


def test_a_suspended_builder_that_wakes_up_too_late_reuses(store: Store, python: Python) -> None:
    child = python(OBTAIN, store.root, 0.3)
    assert next_line(child) == "building"
    child.send_signal(signal.SIGSTOP)
    assert not store.obtain(RECIPE, Builder(b"parent")).reused
    child.send_signal(signal.SIGCONT)
    enter(child)
    assert next_line(child) == "reused parent"
    assert scratch(store) == []


def test_a_suspended_builder_that_wakes_up_during_the_next_build_waits(store: Store, python: Python) -> None:
    child = python(OBTAIN, store.root, 0.3)
    assert next_line(child) == "building"
    child.send_signal(signal.SIGSTOP)

    def build(draft: Path) -> dict[str, Any]:
        block = store.checkpoints(RECIPE) / "block"
        child.send_signal(signal.SIGCONT)
        enter(child)
        assert next_line(child).startswith(f"index: waiting for process {os.getpid()} on ")
        assert block.read_bytes() == b"child"
        return Builder(b"parent")(draft)

    assert not store.obtain(RECIPE, build).reused
    assert next_line(child) == "reused parent"
    assert scratch(store) == []


KILLED_AT_EVERY_STEP = """
    import itertools, os, shutil, signal, sys
    from pathlib import Path
    from lookalike.progress import Progress
    from lookalike.store import upkeep
    from lookalike.store.recipe import Recipe
    from lookalike.store.store import Store

    root, reuse = Path(sys.argv[1]), sys.argv[2] == "reuse"
    recipe = Recipe("index", 1, {"nlist": 64}, {"embeddings": "e1"})
    steps_left = -1

    def kill_in_time(event, arguments):
        global steps_left
        if steps_left >= 0 and arguments and str(arguments[0]).startswith(str(root)):
            if steps_left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            steps_left -= 1

    def build(store, content):
        def run(draft):
            (store.checkpoints(recipe) / "block").write_bytes(b"half")
            (draft / "a").write_bytes(content)
            (draft / "b").write_bytes(content)
        return run

    def attempt(steps):
        global steps_left
        child = os.fork()
        if child:
            return os.waitpid(child, 0)[1]
        steps_left = steps
        store = Store(root, reuse=reuse)
        store.obtain(recipe, build(store, b"child"))
        os._exit(0)

    class Complaining(Progress):
        def say(self, line): print("unexpected:", line)
        warn = say

    sys.addaudithook(kill_in_time)
    for steps in itertools.count():
        shutil.rmtree(root, ignore_errors=True)
        if not reuse:
            before = Store(root)
            before.obtain(recipe, build(before, b"old"))
        finished = attempt(steps) == 0
        store = Store(root, progress=Complaining())
        artifact = store.obtain(recipe, build(store, b"parent"))
        contents = {artifact.file(name).read_bytes() for name in "ab"}
        assert len(contents) == 1, contents
        assert contents == {b"parent"} or artifact.reused, contents
        upkeep.prune(store, dry_run=False)
        left = [path for folder in ("scratch", "leases", "damaged") for path in (root / folder).iterdir()]
        assert left == [], (steps, left)
        if finished:
            break
    print("survived", steps)
"""


@pytest.mark.parametrize("mode", ["reuse", "rebuild"])
def test_killed_before_any_of_its_steps_nothing_is_lost(tmp_path: Path, python: Python, mode: str) -> None:
    process = python(KILLED_AT_EVERY_STEP, tmp_path / "store", mode)
    lines = process.communicate()[0].splitlines()
    assert process.returncode == 0
    assert len(lines) == 1
    word, steps = lines[0].split()
    assert word == "survived"
    assert int(steps) > 30
