"""Run benchmarks and keep what they say: ``results.json`` and the table in README.md, both beside this file.

    python benchmarks/record.py [--size tiny|small|full] [NAME ...]

Without names all of them, one after the other; nothing else should run meanwhile. What was kept of the same
benchmark at another size stays: the table has the newest of each.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness import SIZES

HERE = Path(__file__).parent
RESULTS, README = HERE / "results.json", HERE / "README.md"
NOT_BENCHMARKS = ("record", "harness", "bare_run", "bare_sweep", "memory_of_stage")
NAMES = sorted(file.stem for file in HERE.glob("*.py") if file.stem not in NOT_BENCHMARKS)
MARKS = ("<!-- results.json -->", "<!-- end -->")


def main() -> None:
    """Measure, keep, and write the table again."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--size", choices=SIZES, default="small")
    options = parser.parse_args()
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")
    kept: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    for name in options.names or NAMES:
        kept[name] = measure(name, options.size)
        RESULTS.write_text(json.dumps(dict(sorted(kept.items())), indent=1) + "\n", encoding="utf-8")
    before, _, rest = README.read_text(encoding="utf-8").partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    README.write_text(f"{before}{MARKS[0]}\n\n{table(kept)}\n\n{MARKS[1]}{after}", encoding="utf-8")


def measure(name: str, size: str) -> dict[str, Any]:
    """Run one; its last line, and the day. What it says before is shown."""
    command = [sys.executable, "-u", str(HERE / f"{name}.py"), "--size", size]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        last = ""
        for last in process.stdout:
            print(last, end="", flush=True)
    if process.returncode:
        raise SystemExit(f"{name} could not be measured")
    return {**json.loads(last), "day": datetime.now(UTC).date().isoformat()}


def table(kept: dict[str, Any]) -> str:
    """One line a benchmark, and what they were measured on."""
    lines = ["| benchmark | size | ratio | goal | |", "| --- | --- | ---: | ---: | --- |"]
    for name, told in sorted(kept.items()):
        goal = f"{'≥' if told['at_least'] else '≤'} {told['goal']:g}"
        met = "met" if told["ok"] else "**missed**"
        lines.append(f"| [{name}]({name}.py) | {told['size']} | {told['ratio']:.3g} | {goal} | {met} |")
    machines = {
        f"{told['machine']['cpu']}, {told['machine']['cores']} cores, {told['day']}" for told in kept.values()
    }
    return "\n".join([*lines, "", f"Measured on: {'; '.join(sorted(machines))}."])


if __name__ == "__main__":
    main()
