"""``make test`` installs what tests talk to, or says what was not tried. No real package is touched."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import services

ROOT = Path(__file__).parents[2]
BROWSER = services.SERVICES[0]

APT_GET = """#!/bin/sh
echo "$@" >>"$(dirname "$0")/calls"
{ "$(dirname "$0")/policy-rc.d" postgresql start; echo "policy $?" >>"$(dirname "$0")/calls"; }
for word in "$@"; do
  case $word in
    chromium) printf '#!/bin/sh\n' >"$(dirname "$0")/chromium"; /bin/chmod +x "$(dirname "$0")/chromium" ;;
    slurmd) echo 'E: Unable to locate package slurmd' >&2; exit 100 ;;
  esac
done
"""


def make_program(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the PATH: apt-get, and nothing of what it could install."""
    make_program(tmp_path / "apt-get", APT_GET)
    make_program(tmp_path / "dirname", f"#!/bin/sh\necho {tmp_path}\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("CI", "SERVICES", "SLURM_CONF", "LOOKALIKE_CHROMIUM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(services, "search_path", lambda: str(tmp_path))
    monkeypatch.setattr(services, "find_postgres", lambda: None)
    monkeypatch.setattr(services, "can_mount", lambda: True)
    services.as_root.cache_clear()
    services.cluster_answers.cache_clear()
    return tmp_path


def test_each_service_is_installed_and_none_is_started(machine: Path) -> None:
    failed = services.install_packages(services.SERVICES, machine / "policy-rc.d", machine / "lock")
    calls = (machine / "calls").read_text().splitlines()
    assert [line.split()[-1] for line in calls if not line.startswith("policy")] == [
        *("update", "fonts-dejavu-core", "munge", "postgresql")
    ]
    assert {line for line in calls if line.startswith("policy")} == {"policy 101"}
    assert services.find_browser() == str(machine / "chromium")
    assert failed == {"SLURM": "E: Unable to locate package slurmd"}, (
        "which keeps no other from being installed"
    )
    assert not (machine / "policy-rc.d").exists()


def test_what_another_run_installed_meanwhile_is_not_installed_again(machine: Path) -> None:
    make_program(machine / "chromium", "#!/bin/sh\n")
    services.install_packages([BROWSER], machine / "policy-rc.d", machine / "lock")
    assert "chromium" not in (machine / "calls").read_text()


FORBIDS = "#!/bin/sh\n# an administrator's\nexit 101\n"
ALLOWS = "#!/bin/sh\n# an administrator's\nexit 0\n"


@pytest.mark.parametrize("before", [None, FORBIDS, ALLOWS])
@pytest.mark.parametrize("leftover", [False, True])
def test_the_policy_is_what_it_was(tmp_path: Path, before: str | None, leftover: bool) -> None:
    policy = tmp_path / "policy-rc.d"
    if before:
        make_program(policy, before)
    if leftover:  # of a run that was killed
        if before:
            policy.rename(tmp_path / "policy-rc.d.before-lookalike")
        make_program(policy, services.POLICY_TEXT)
    with pytest.raises(KeyboardInterrupt), services.no_service_starts(policy):
        assert subprocess.run([policy, "munge", "start"], check=False).returncode == 101
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == (["policy-rc.d"] if before else [])
    assert not before or policy.read_text() == before


def test_services_are_declined(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SERVICES", "no")
    assert services.main([]) == 0
    assert (capsys.readouterr(), (machine / "calls").exists()) == (("", ""), False)


def test_nothing_is_skipped_in_ci(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SERVICES", "no")
    monkeypatch.setenv("CI", "true")
    assert services.main([]) == 1
    assert [line.split(" is missing")[0] for line in capsys.readouterr().err.splitlines()] == [
        *("a browser", "SLURM", "PostgreSQL")
    ]


@pytest.mark.parametrize(
    ("apt", "root", "says"),
    [
        (True, [], "make test installs it, unless SERVICES=no"),
        (True, None, "as root: apt-get install chromium fonts-dejavu-core"),
        (False, None, "install Chrome or Chromium, or name one in LOOKALIKE_CHROMIUM"),
    ],
)
def test_the_cure_is_one_that_works_here(
    machine: Path, monkeypatch: pytest.MonkeyPatch, apt: bool, root: list[str] | None, says: str
) -> None:
    if not apt:
        (machine / "apt-get").unlink()
    monkeypatch.setattr(services, "as_root", lambda: root)
    assert services.how_to_have(BROWSER) == says


@pytest.mark.parametrize("can", [True, False])
def test_a_small_disk_is_nothing_to_install(
    machine: Path, monkeypatch: pytest.MonkeyPatch, can: bool
) -> None:
    monkeypatch.setattr(services, "can_mount", lambda: can)
    mounts = services.SERVICES[-1]
    assert services.is_installed(mounts)
    assert services.how_to_have(mounts) == (None if can else mounts.elsewhere)


def test_slurm_needs_root_too(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "has_slurm_packages", lambda: True)
    monkeypatch.setattr(services, "as_root", lambda: None)
    assert services.how_to_have(services.SERVICES[1]) == "run as root, as slurmd has to"


@pytest.mark.parametrize("ci", [False, True])
def test_what_was_not_tried_is_the_last_line(machine: Path, ci: bool) -> None:
    (machine / "apt-get").unlink()
    tests = "tests/browser/test_query_page.py"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", tests],
        cwd=ROOT,
        env=os.environ | ({"CI": "true"} if ci else {}),
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stdout.splitlines()[-1]
    if ci:
        assert (done.returncode, "no browser was found" in done.stdout) == (1, True)
    else:
        assert (done.returncode, "1 skipped" in done.stdout) == (0, True)
        assert last == f"Tests not tried: 1 with a browser ({BROWSER.elsewhere})."
