"""The search page without a browser: captions, and questions that no click could have asked."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import lookalike.ui
from lookalike.config.planning import plan
from lookalike.index.families.flat import FlatIndex
from lookalike.run import run
from lookalike.runs.catalog import searchable_points
from lookalike.runs.session import Session
from lookalike.schemas import TransformersModel
from lookalike.ui.app import Question, choice_of
from lookalike.ui.server import packed
from tests.checkpoints import make_tiny_siglip
from tests.pipeline.conftest import paint, small_experiment
from tests.ui.worlds import Home

SCRIPT = Path(lookalike.ui.__file__).with_name("app.py")


def opened(monkeypatch: pytest.MonkeyPatch, root: Path, run: str) -> AppTest:
    """The page as it is drawn first."""
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), packed({"root": str(root), "run": run})])
    page = AppTest.from_file(str(SCRIPT), default_timeout=60).run()
    assert not page.exception
    return page


def shown(page: AppTest) -> list[str]:
    return [heading.value for heading in page.subheader]


def test_a_model_without_text_offers_no_caption(monkeypatch: pytest.MonkeyPatch, home: Home) -> None:
    assert list(opened(monkeypatch, home.root, "fine").text_input) == []


def test_a_caption_is_searched_for_where_the_model_reads_text(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for number in range(12):
        paint(tmp_path / "pictures" / f"{number}.png", number)
    experiment = small_experiment(
        tmp_path,
        tmp_path / "pictures",
        model=TransformersModel(name_or_path=str(make_tiny_siglip(tmp_path / "siglip"))),
        index=FlatIndex(),
        name="reads",
    )
    run(plan(experiment), tmp_path / "outputs" / "reads", Session(experiment))
    page = opened(monkeypatch, tmp_path, "reads")
    page.text_input[0].set_value("a photo of a *red* house").run()
    assert not page.exception and not page.error
    assert [text.value for text in page.text] == ["“a photo of a *red* house”"]
    assert shown(page) == ["flat", "exact"]
    assert page.metric[0].value == "10 of 10"


@pytest.mark.parametrize("id_", ["../../etc/passwd", "/etc/passwd", "", "cats/../../secret.png"])
def test_what_is_no_gallery_image_is_not_searched_for(
    monkeypatch: pytest.MonkeyPatch, home: Home, id_: str
) -> None:
    page = opened(monkeypatch, home.root, "fine")
    page.session_state["question"] = Question(id_, id=id_)
    page.run()
    assert not page.exception
    assert shown(page) == ["Drop an image at the left, or click one of the gallery"]


def test_a_run_whose_vectors_are_gone_says_so_in_the_page(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for number in range(12):
        paint(tmp_path / "pictures" / f"{number}.png", number)
    experiment = small_experiment(tmp_path, tmp_path / "pictures", index=FlatIndex(), name="gone")
    run(plan(experiment), tmp_path / "outputs" / "gone", Session(experiment))
    for folder in (tmp_path / "store" / "artifacts").glob("embeddings/*"):
        folder.rename(tmp_path / folder.name)
    page = opened(monkeypatch, tmp_path, "gone")
    assert len(page.error) == 1
    assert "run the experiment again" in page.error[0].value


def test_every_index_is_offered_once_with_what_it_is(home: Home) -> None:
    titles = [choice_of(run).title for run in searchable_points(home.root)]
    assert titles == [
        "flat · pixels · folder, 60 images",
        "ivf_flat nlist=8 · pixels · folder, 60 images",
    ]
