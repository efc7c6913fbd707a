"""Override lines to jobs: a union of products."""

from __future__ import annotations

import json

import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser

from lookalike.errors import ConfigError
from lookalike.sweep.blocks import job_lines


def multiply(lines: list[str]) -> list[list[str]]:
    [jobs] = BasicSweeper.split_arguments(OverridesParser.create().parse_overrides(lines), None)
    return jobs


@pytest.mark.parametrize(
    ("block", "overrides"),
    [
        ("index=flat", ["index=flat"]),
        ("  index=ivf_flat   index.nlist=1,2 ", ["index=ivf_flat", "index.nlist=1,2"]),
        ("search.nprobe=[1, 8] search.k=10", ["search.nprobe=[1, 8]", "search.k=10"]),
        ("name='IVF64, as it was' ++a.b=1", ["name='IVF64, as it was'", "++a.b=1"]),
        ("a={x: [1, 2]} b=choice(1, 2)", ["a={x: [1, 2]}", "b=choice(1, 2)"]),
    ],
)
def test_a_block_that_is_a_text_is_told_as_a_list(block: str, overrides: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        job_lines({}, [block], [], multiply)  # type: ignore[list-item]
    assert str(caught.value).endswith(f"write a block as a list of its overrides: {json.dumps(overrides)}")


def test_without_blocks_there_is_one_product() -> None:
    assert job_lines({}, [], ["index=flat,hnsw", "search.k=1,10"], multiply) == [
        ["index=flat", "search.k=1"],
        ["index=flat", "search.k=10"],
        ["index=hnsw", "search.k=1"],
        ["index=hnsw", "search.k=10"],
    ]


def test_nothing_to_sweep_is_one_job() -> None:
    assert job_lines({}, [], [], multiply) == [[]]


def test_blocks_are_a_union_and_the_command_line_multiplies_each() -> None:
    blocks = [["index=flat"], ["index=ivf_flat", "index.nlist=16,64", "search.nprobe=[1,8]"]]
    assert job_lines({}, blocks, ["search.k=1,10"], multiply) == [
        ["index=flat", "search.k=1"],
        ["index=flat", "search.k=10"],
        ["index=ivf_flat", "index.nlist=16", "search.nprobe=[1,8]", "search.k=1"],
        ["index=ivf_flat", "index.nlist=16", "search.nprobe=[1,8]", "search.k=10"],
        ["index=ivf_flat", "index.nlist=64", "search.nprobe=[1,8]", "search.k=1"],
        ["index=ivf_flat", "index.nlist=64", "search.nprobe=[1,8]", "search.k=10"],
    ]


def test_the_later_one_wins() -> None:
    """The command line narrows what a block or an experiment's params sweep."""
    jobs = job_lines(
        {"search.k": "1,10", "index": "hnsw"}, [["index=flat,ivf_flat"]], ["search.k=5"], multiply
    )
    assert jobs == [["search.k=5", "index=flat"], ["search.k=5", "index=ivf_flat"]]


def test_the_same_job_comes_once() -> None:
    assert job_lines({}, [["index=flat"], ["index=flat"]], [], multiply) == [["index=flat"]]
