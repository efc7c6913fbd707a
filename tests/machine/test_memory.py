"""What the C library does with freed memory, in a process of its own: its settings cannot be taken back."""

from __future__ import annotations

import subprocess
import sys

BLOCKS, MIB, ROUNDS = 6, 8, 20
SCRIPT = f"""
import resource
import numpy as np
from lookalike.machine.environment import give_back_memory, keep_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def use_memory():
    blocks = [np.ones({MIB} << 20, np.uint8) for _ in range({BLOCKS})]

def faults_of_rounds():
    use_memory()
    before = faults()
    for _ in range({ROUNDS}):
        use_memory()
    return faults() - before

def resident():
    return int(open("/proc/self/statm").read().split()[1])

left_alone = faults_of_rounds()
keep_freed_memory()
kept, full = faults_of_rounds(), resident()
give_back_memory()
print(left_alone, kept, full - resident())
"""


def test_freed_memory_is_kept_until_it_is_given_back() -> None:
    told = subprocess.run([sys.executable, "-c", SCRIPT], check=True, capture_output=True, text=True).stdout
    left_alone, kept, given_back = map(int, told.split())
    assert kept < left_alone / 10
    assert given_back > BLOCKS * (MIB << 20) / 4096 / 2
