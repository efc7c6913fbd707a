"""The example of a site's own launcher composes where a user would put it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

EXAMPLE = Path(__file__).parents[2] / "slurm" / "site.example.yaml"


def test_the_example_is_a_launcher(tmp_path: Path) -> None:
    mine = tmp_path / "conf" / "hydra" / "launcher" / "mysite.yaml"
    mine.parent.mkdir(parents=True)
    shutil.copy(EXAMPLE, mine)
    asked = (sys.executable, "-m", "lookalike", "run", "hydra/launcher=mysite", "--cfg", "hydra")
    environment = os.environ | {"LOOKALIKE_HOME": str(tmp_path)}

    shown = subprocess.run(asked, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)

    launcher = yaml.safe_load(shown.stdout)["hydra"]["launcher"]
    assert launcher["_target_"].endswith("LookalikeSlurmLauncher")
    assert launcher["account"] == "vision"
    assert launcher["timing"]["exclusive"] is True, "what the example does not say is as shipped"
    assert set(launcher["build"]) == set(launcher["timing"]), "it makes up no keys"
