"""A Python with everything that is installed here, except Lookalike."""

from __future__ import annotations

import os
import subprocess
import sysconfig
import venv
from pathlib import Path

REFUSE = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "lookalike":
            raise ImportError("there is no lookalike here")

sys.meta_path.insert(0, Refuse())
"""


class BarePython:
    """A virtual environment that borrows this one's packages: its ``.pth`` files, an editable install's
    among them, are not read, and an installed ``lookalike`` is refused.
    """

    def __init__(self, folder: Path) -> None:
        venv.create(folder, with_pip=False)
        self.python = folder / "bin" / "python"
        [site] = (folder / "lib").glob("python*/site-packages")
        borrowed = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
        (site / "refuse_lookalike.py").write_text(REFUSE, encoding="utf-8")
        (site / "borrowed.pth").write_text(
            "\n".join([*sorted(borrowed), "import refuse_lookalike"]), encoding="utf-8"
        )

    def run(self, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        return subprocess.run(
            [str(self.python), *arguments],
            cwd=cwd,
            env=environment | {"HF_HUB_OFFLINE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
