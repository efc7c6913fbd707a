"""What a sweep does is known, and said, before any of it is done."""

from __future__ import annotations

from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser

from lookalike.config.composing import compose
from lookalike.config.planning import plan
from lookalike.sweep.plan import Candidate, all_faults, plan_sweep, sweep_name


def candidates(*jobs: list[str]) -> list[Candidate]:
    return [Candidate.of(job, compose(["model=pixels", *job])) for job in jobs]


def labels(*jobs: list[str]) -> list[list[str]]:
    return [[point.label for point in job.points] for job in plan_sweep(candidates(*jobs)).jobs]


def test_a_ladder_has_exactly_one_flat_point() -> None:
    planned = plan_sweep(candidates(["index=flat", "search=ladder"], ["index=ivf_flat", "search=ladder"]))
    assert [len(job.points) for job in planned.jobs] == [1, 7]


def test_a_point_that_came_before_is_left_out_and_the_job_is_told() -> None:
    jobs = [["search.nprobe=[1,8]"], ["search.nprobe=[8,16]"], ["search.nprobe=8"]]
    planned = plan_sweep(candidates(*jobs))

    assert labels(*jobs) == [
        ["ivf_flat nlist=64 nprobe=1", "ivf_flat nlist=64 nprobe=8"],
        ["ivf_flat nlist=64 nprobe=16"],
    ]
    assert planned.duplicates == 2
    assert [point.covered for point in planned.jobs[1].plan.points] == [True, False]


def test_a_setting_that_the_index_does_not_have_makes_no_second_point() -> None:
    jobs = [["index=flat", "search.nprobe=1"], ["index=flat", "search.nprobe=8"]]
    planned = plan_sweep(candidates(*jobs))
    assert (len(planned.jobs), planned.duplicates) == (1, 1)
    assert planned.notices == ("search.nprobe is left out: index=flat has no such setting",)


def test_impossible_points_are_skipped_with_the_reason() -> None:
    jobs = [["index.nlist=4", "search.nprobe=[1,8]"], ["index.nlist=16", "search.nprobe=[1,8]"]]
    planned = plan_sweep(candidates(*jobs))

    assert planned.point_count == 3
    assert planned.lines() == [
        "sweep: 3 points in 2 jobs; 1 skipped:",
        "  ivf_flat nlist=4 nprobe=8: search.nprobe=8 exceeds index.nlist=4; lower nprobe or raise nlist",
    ]
    assert [len(job.plan.impossible) for job in planned.jobs] == [1, 0]


def test_impossible_jobs_are_skipped_with_the_reason() -> None:
    whole = candidates(["index.nlist=16"], ["index.nlist=0"])
    unknown = Candidate(("index=flat", "index.nlist=16"), None, ("index=flat has no nlist; it has metric",))
    planned = plan_sweep([*whole, unknown])

    assert len(planned.jobs) == 1
    assert planned.skipped == (
        ("index.nlist=0", "index.nlist must be a positive integer, not 0"),
        ("index=flat index.nlist=16", "index=flat has no nlist; it has metric"),
    )


def test_when_everything_is_impossible_each_reason_comes_once() -> None:
    broken = candidates(["search.k=0", "index=flat"], ["search.k=0", "index=hnsw"])
    assert plan_sweep(broken).jobs == ()
    assert all_faults(broken) == ["search.k must be a positive integer, not 0"]


def test_folders_are_stable_readable_and_apart() -> None:
    jobs = [["index=flat", "search.k=5"], ["index=ivf_flat", "index.nlist=8", "search.k=5"]]
    first, second = plan_sweep(candidates(*jobs)).jobs
    again = plan_sweep(candidates(*reversed(jobs))).jobs[1]

    assert first.folder == again.folder
    assert first.folder.startswith("index=flat-")
    assert second.folder.startswith("index=ivf_flat-index.nlist=8-")
    assert "search.k" not in first.folder  # what all jobs share tells none apart


def test_hostile_names_make_harmless_folders() -> None:
    overrides = ["index=factory", "index.factory='IVF16,Flat'", "name='../../x y'"]
    planned = plan_sweep(candidates(overrides, ["index=flat"]))
    assert all(c.isalnum() or c in "_.=+-" for c in planned.jobs[0].folder)
    assert not planned.jobs[0].folder.startswith(".")


def test_jobs_are_launched_with_what_the_sweep_adds() -> None:
    """Hydra reads the values as they were meant: keys of digits stay text."""
    jobs = [["model=pixels", "search.nprobe=[1,8]"], ["model=pixels", "search.nprobe=[8,16]"]]
    job = plan_sweep(candidates(*jobs)).jobs[1]
    overrides = job.entry("00e1", Path("/data/it's here")).overrides

    experiment = compose([line for line in overrides if not line.startswith("hydra.")])
    assert experiment.tracking.parent == "00e1"
    assert [point.label for point in plan(experiment).to_measure] == ["ivf_flat nlist=64 nprobe=16"]
    assert plan(experiment) == job.plan_under("00e1"), "a job of this process goes without composing"
    values = {each.key_or_group: each.value() for each in OverridesParser.create().parse_overrides(overrides)}
    assert values["hydra.sweep.dir"] == "/data/it's here"
    assert values["hydra.sweep.subdir"] == job.folder


def test_without_a_tracker_there_is_no_parent_to_tell() -> None:
    [job] = plan_sweep(candidates(["search.k=5"])).jobs
    assert job.entry(None, Path("/s")).overrides == [
        "search.k=5",
        "hydra.sweep.dir='/s'",
        f"hydra.sweep.subdir='{job.folder}'",
        "sweep.rows=4009",
    ]


def test_what_is_done_is_left_out_and_no_folder_is_used_twice(tmp_path: Path) -> None:
    [job] = plan_sweep(candidates(["search.nprobe=[1,8]"])).jobs
    first, second = (point.id for point in job.points)
    (tmp_path / job.folder).mkdir()

    assert job.without({first, second}, tmp_path) is None
    again = job.without(set(), tmp_path)
    assert again is not None
    assert (again.plan, again.folder) == (job.plan, f"{job.folder}.2")
    later = job.without(set(), tmp_path, taken={f"{job.folder}.2"})
    assert later is not None
    assert later.folder == f"{job.folder}.3", "the ledger has given that name away"
    rest = job.without({first}, tmp_path)
    assert rest is not None
    assert [point.id for point in rest.points] == [second]
    assert rest.folder not in (job.folder, again.folder)


def test_jobs_that_need_the_same_artifacts_are_built_together() -> None:
    def builds(*overrides: str) -> str:
        [job] = plan_sweep(candidates(list(overrides))).jobs
        return job.entry(None, Path()).builds

    assert builds("search.nprobe=1") == builds("search.nprobe=8", "search.batch_size=7", "model.workers=3")
    ways = [
        "index.nlist=8",
        "index=hnsw",
        "queries.seed=1",
        "dataset.limit=100",
        "search.k=5",
        "model.side=8",
    ]
    assert len({builds(way) for way in [*ways, "search.nprobe=1"]}) == len(ways) + 1


def test_names_of_sweeps() -> None:
    asked = ["experiment=index_family", "search.k=10", "hydra/launcher=slurm", "hydra.verbose=true"]
    assert sweep_name("mine", "index_family", asked) == "mine"
    assert sweep_name(None, "index_family", asked) == "index_family search.k=10"
    assert sweep_name(None, None, ["index=flat,hnsw"]) == "index=flat,hnsw"
    assert sweep_name(None, None, []) == "sweep"
    assert len(sweep_name("x" * 500, None, [])) == 100
