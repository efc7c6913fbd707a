"""What MLflow is told of a record, without MLflow."""

from __future__ import annotations

import re

from lookalike.tracking import content, view
from tests import records


def test_params_are_flat_and_hold_index_and_search_settings() -> None:
    point = records.make_point("ivf_pq", {"nlist": 64, "pq_m": 8}, {"nprobe": 4})
    params = content.params(records.make_record([point]), point)
    wanted = {"dataset": "twemoji", "model": "efficientnet_lite0", "queries": "copies", "index": "ivf_pq"}
    wanted |= {"metric": "l2", "nlist": "64", "pq_m": "8", "nprobe": "4", "k": "100"}
    wanted |= {"n_gallery": "4009", "n_queries": "1400", "threads_single": "1", "threads_batch": "2"}
    assert wanted.items() <= params.items()
    assert "None" not in params.values()


def test_single_values_stand_for_three_cutoffs_only_and_curves_for_all() -> None:
    point = records.make_point()
    point.metrics["knn_recall_at_50"] = 0.9
    names = content.single_metrics(point)
    assert {int(m[1]) for name in names if (m := re.search(r"_at_(\d+)$", name))} == {1, 10, 100}
    assert {"latency_single_p50_ms", "qps_batch", "build_seconds", "index_bytes"} <= names.keys()
    steps = [k for name, k, _ in content.curve_metrics(point) if name == "knn_recall_at_k"]
    assert steps == [1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]


def test_what_came_later_adds_few_single_values() -> None:
    names = content.single_metrics(records.make_point()).keys()
    assert {name for name in names if re.match("mrr|ndcg|precision|r_precision|map_at_r", name)} == {
        "mrr_at_10",
        "ndcg_at_10",
        "precision_at_10",
    }
    assert {name.removeprefix("knn_recall_at_100_") for name in names if re.search("_share_|_p0", name)} == {
        *("share_0.5", "share_0.8", "share_0.9"),
        *("p01", "p05"),
    }, "of relevant_recall they are in the record and the report"
    curves = {name for name, _, _ in content.curve_metrics(records.make_point())}
    assert {"mrr_at_k", "ndcg_at_k", "precision_at_k", "r_precision_at_k", "map_at_r_at_k"} <= curves


def test_no_name_is_a_bare_recall_and_mlflow_allows_them_all() -> None:
    point = records.make_point()
    names = [*content.single_metrics(point), *(name for name, _, _ in content.curve_metrics(point))]
    assert not [name for name in names if name.startswith("recall") or not re.fullmatch(r"[\w./: -]+", name)]


def test_a_run_is_named_by_its_label_and_by_what_was_chosen_by_hand() -> None:
    point = records.make_point()
    named = {
        (): "ivf_flat nlist=64 nprobe=8",
        ("index=ivf_flat",): "ivf_flat nlist=64 nprobe=8",
        ("model=pixels",): "efficientnet_lite0 ivf_flat nlist=64 nprobe=8",
        ("+model.dtype=bfloat16",): "efficientnet_lite0 ivf_flat nlist=64 nprobe=8",
        ("search.k=100",): "k=100 ivf_flat nlist=64 nprobe=8",
        ("dataset.limit=100",): "twemoji n=4009 ivf_flat nlist=64 nprobe=8",
    }
    for overrides, name in named.items():
        assert content.run_name(records.make_record([point], overrides=list(overrides)), point) == name


def test_tags_hold_stages_index_reference_and_origin() -> None:
    record = records.make_record(timing={"flags": ["drift of 9 %"]})
    tags = content.tags(record, record.points[0])
    assert tags["lookalike.stage.embeddings"] == "reused" and tags["lookalike.stage.index"] == "built"
    assert tags["lookalike.stage.index.key"] == "d" * 32
    assert tags["lookalike.index.sha256"] == "c" * 64 and tags["lookalike.index.bytes"] == "20861211"
    assert tags["lookalike.faiss_version"] == "1.15.1"
    assert tags["mlflow.source.git.commit"] == record.environment["git_commit"]
    assert tags["lookalike.trial_key"] == record.points[0].trial_key
    assert tags["lookalike.flags"] == "drift of 9 %"
    assert all(len(value) <= content.MAX_TAG for value in tags.values())


def test_the_note_says_what_was_found_and_labels_a_lower_cutoff() -> None:
    point = records.make_point(recall=0.95)
    record = records.make_record([point])
    assert "Finds 95.0% of the exact 100 nearest;" in content.note(record, point)
    del point.curves["knn_recall"]["100"]
    assert "of the exact 90 nearest (first 90 of 100);" in content.note(record, point)


def test_the_note_of_a_point_without_latency_has_no_nan() -> None:
    point = records.make_point(metrics={}, curves={})
    assert "Nothing was measured." in content.note(records.make_record([point]), point)


def test_very_long_values_are_cut_to_what_mlflow_takes() -> None:
    point = records.make_point(index_settings={"factory": "x" * 9000})
    record = records.make_record([point], error="y" * 9000, status="failed")
    assert len(content.params(record, point)["factory"]) <= content.MAX_PARAM
    assert len(content.tags(record, point)["lookalike.error"]) == content.MAX_TAG


def test_the_dataset_digest_fits() -> None:
    record = records.make_record()
    record.data["gallery_key"] = "k" * 200
    assert len(content.dataset_input(record)["digest"]) <= 36
    other = records.make_record()
    assert content.dataset_input(other)["digest"] == other.data["gallery_key"]


def test_edits_are_rows() -> None:
    point = records.make_point(by_edit={"crop": {"hit_rate": {"1": 0.5, "10": 0.75}}})
    assert content.edits_table(point) == [
        {"edit": "crop", "measure": "hit_rate", "k": 1, "value": 0.5},
        {"edit": "crop", "measure": "hit_rate", "k": 10, "value": 0.75},
    ]


def test_points_of_a_sweep_have_colours_of_their_own() -> None:
    sweep = records.make_sweep()
    colours = [content.colour(record, point) for record in sweep for point in record.points]
    assert len(set(colours)) == 6
    assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in colours)


def test_the_shared_view_fits_into_a_tag_and_names_real_metrics() -> None:
    key, value = view.shared_view("a" * 32)
    assert key.endswith("a" * 32) and len(value) <= 20_000
    point = records.make_point("hnsw", {"nlist": 1}, {"nprobe": 1, "ef_search": 1})
    record = records.make_record([point])
    known = {f"params.`{name}`" for name in content.params(record, point)}
    known |= {f"metrics.`{name}`" for name in content.single_metrics(point)}
    assert set(view.COLUMNS) <= known
    curves = {name for name, _, _ in content.curve_metrics(point)}
    assert set(view.LINES) <= curves
    assert {
        f"metrics.`{name}`" for name in (*view.BARS, *(n for pair in view.SCATTERS for n in pair))
    } <= known


def test_a_doubtful_point_says_so_in_its_tags_and_note() -> None:
    point = records.make_point(flags=["single searches took 12% longer at times than at others"])
    record = records.make_record([point], timing={"flags": ["busy"]})
    assert content.tags(record, point)["lookalike.flags"] == f"busy, {point.flags[0]}"
    assert f"Warning: {point.flags[0]}." in content.note(record, point)
    assert content.tags(record, None)["lookalike.flags"] == "busy"
