"""The figure is drawn for any number of points; what it shows was looked at by eye."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from lookalike.report import write_comparison
from lookalike.report.pareto import draw_figure, pareto_figure
from lookalike.runs.record import Record
from tests import records

SWEEPS: dict[str, list[Record]] = {
    "one point": [records.make_record()],
    "six points": records.make_sweep(),
    "many points": [
        records.make_record(records.make_ladder(family, "nprobe", [2**n for n in range(8)], slowness))
        for family, slowness in [("ivf_flat", 1.0), ("ivf_sq8", 0.8), ("ivf_pq", 0.6), ("unheard_of", 2.0)]
    ],
    "equal points": [records.make_record([records.make_point(), records.make_point(trial_key="b")])],
}


def labels_of(figure: Any) -> list[Any]:
    return [text for axes in figure.axes for text in axes.texts]


@pytest.mark.parametrize("name", SWEEPS)
def test_labels_overlap_neither_each_other_nor_the_points(name: str) -> None:
    figure = draw_figure(SWEEPS[name], name)
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [text.get_window_extent(renderer) for text in labels_of(figure)]
    assert not [(a, b) for n, a in enumerate(boxes) for b in boxes[:n] if a.overlaps(b)]
    (axes,) = figure.axes
    points = [xy for line in axes.lines for xy in axes.transData.transform(line.get_xydata())]
    assert not [(box, xy) for box in boxes for xy in points if box.contains(*xy)]


def test_labels_say_what_varies_and_the_legend_what_does_not() -> None:
    figure = draw_figure(records.make_sweep(), "title")
    assert {"nprobe=1", "nprobe=8", "nprobe=32"} <= {text.get_text() for text in labels_of(figure)}
    legend = {text.get_text() for text in figure.axes[0].get_legend().get_texts()}
    assert {"flat", "ivf_flat nlist=64", "hnsw hnsw_m=32"} <= legend


def test_terms_are_written_under_the_axis_and_the_measure_beside_it() -> None:
    (axes,) = draw_figure([records.make_record(timing={"flags": ["drift of 9 %"]})], "title").axes
    assert axes.get_xscale() == "log"
    for told in ("4,009 images", "200 originals × 7 edits", "k = 100", "Imaginary CPU 9000", "drift of 9 %"):
        assert told in axes.get_xlabel().replace("\n", " ")
    assert axes.get_ylabel().startswith("knn_recall@100")


def test_machines_never_share_a_front() -> None:
    other = records.make_record()
    other.environment = {**other.environment, "cpu": "Another CPU"}
    figure = draw_figure([*records.make_sweep(), other], "title")
    assert [axes.get_title() for axes in figure.axes] == ["Imaginary CPU 9000", "Another CPU"]


def test_text_with_dollars_is_not_read_as_mathematics(tmp_path: Path) -> None:
    point = records.make_point(label="ivf_flat $\\frac{1", index_settings={"factory": "$\\frac{1$"})
    pareto_figure([records.make_record([point])], tmp_path / "figure.png", "$\\bad{$")
    with Image.open(tmp_path / "figure.png") as image:
        assert image.format == "PNG" and image.width >= 1000


def test_without_a_measured_point_there_is_no_figure(tmp_path: Path) -> None:
    failed = records.make_record([], status="failed", error="no")
    with pytest.raises(ValueError, match="no operating point"):
        pareto_figure([failed], tmp_path / "figure.png", "title")
    assert [p.name for p in write_comparison([failed], tmp_path, "title")] == [
        "comparison.csv",
        "comparison.md",
    ]


def test_the_comparison_is_three_files(tmp_path: Path) -> None:
    written = write_comparison(records.make_sweep(), tmp_path / "new", "title")
    assert [p.name for p in written] == ["comparison.csv", "comparison.md", "pareto.png"]
    assert all(p.stat().st_size > 0 for p in written)
