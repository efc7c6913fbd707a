"""Each protocol's queries, gallery and relevance, and what it says when the dataset does not fit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lookalike.datasets.sets import ImageSet, TextSet
from lookalike.errors import QueryError
from lookalike.queries import plan_queries
from lookalike.queries.edits import EDITS
from lookalike.queries.plan import QueryPlan
from lookalike.schemas import (
    CaptionsQueries,
    CopiesQueries,
    FilesQueries,
    HeldOutQueries,
    InGalleryQueries,
    LabelsQueries,
    Queries,
)
from tests.queries.worlds import images, relevant_ids, vectors

LABELS = ["cat", "dog", "cat", None, "cat", "bird", "dog", None, "cat", "dog"]


# --- copies ------------------------------------------------------------------------------------------------


def copies(n: int | None = 3, **options: object) -> QueryPlan:
    return plan_queries(CopiesQueries(n=n, **options), images())  # type: ignore[arg-type]


def by_id(plan: QueryPlan) -> dict[str, tuple[str, bytes]]:
    queries = plan.queries
    assert isinstance(queries, ImageSet)
    return {
        id_: (queries.fingerprints[row], queries.load(row).tobytes()) for row, id_ in enumerate(queries.ids)
    }


def test_every_original_gets_every_edit() -> None:
    plan = copies()
    assert plan.description == "3 originals × 7 edits"
    assert len(plan) == 21
    assert plan.edits == list(EDITS) * 3
    assert plan.gallery.ids == images().ids
    assert [
        f"{source}#{edit}" for source, edit in zip(plan.sources, plan.edits, strict=True)
    ] == plan.queries.ids
    assert plan.relevant_ids == [(source,) for source in plan.sources]
    assert plan.ignored_ids is None
    assert len(set(plan.queries.fingerprints)) == 21


def test_more_originals_and_other_edits_leave_a_copy_as_it_is() -> None:
    few, many = by_id(copies(2, edits=["blur", "crop"])), by_id(copies(6))
    assert few.items() <= many.items()
    assert len(few) == 4


def test_another_seed_edits_otherwise() -> None:
    first, second = by_id(copies(None)), by_id(copies(None, seed=1))
    assert first.keys() == second.keys()
    assert not {print_ for print_, _ in first.values()} & {print_ for print_, _ in second.values()}
    assert (
        first["00.png#crop"][1] != second["00.png#crop"][1] or first["01.png#crop"] != second["01.png#crop"]
    )


def test_a_copy_of_a_changed_original_is_another_copy() -> None:
    dataset = images()
    changed = replace(dataset, fingerprints=["new", *dataset.fingerprints[1:]])
    before, after = (plan_queries(CopiesQueries(n=None), one).queries for one in (dataset, changed))
    assert not set(before.fingerprints[:7]) & set(after.fingerprints[:7])
    assert before.fingerprints[7:] == after.fingerprints[7:]


def test_fewer_images_than_asked_for_are_all_taken_with_a_notice() -> None:
    plan = copies(200)
    assert plan.description == "10 originals × 7 edits"
    assert plan.notices == ("queries.n=200 exceeds the 10 there are; all of them are taken",)
    assert copies(10).notices == copies(None).notices == ()


# --- images of the gallery ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("dataset", "kind"), [(images(), "images"), (vectors(), "vectors")])
def test_held_out_images_leave_the_gallery(dataset: object, kind: str) -> None:
    plan = plan_queries(HeldOutQueries(n=4), dataset)  # type: ignore[arg-type]
    assert len(plan.queries) == 4
    assert len(plan.gallery) == 6
    assert {*plan.queries.ids, *plan.gallery.ids} == set(dataset.ids)  # type: ignore[attr-defined]
    assert plan.ignored_ids is None
    assert not plan.judged
    assert plan.description == f"4 {kind} held out of 10"


def test_held_out_images_are_judged_by_label_else_by_group() -> None:
    for dataset in (images(labels=LABELS), images(groups=LABELS)):
        plan = plan_queries(HeldOutQueries(n=5), dataset)
        label = dict(zip(dataset.ids, LABELS, strict=True))
        for query, relevant in zip(plan.queries.ids, relevant_ids(plan), strict=True):
            assert list(relevant) == [
                id_ for id_ in plan.gallery.ids if label[id_] is not None and label[id_] == label[query]
            ]


def test_in_gallery_images_ignore_themselves() -> None:
    plan = plan_queries(InGalleryQueries(n=4), vectors(labels=LABELS))
    assert len(plan.gallery) == 10
    assert plan.ignored_ids == [(id_,) for id_ in plan.queries.ids]
    assert not plan.judged
    assert plan.sources == plan.queries.ids


def test_labels_leave_one_out() -> None:
    plan = plan_queries(LabelsQueries(n=None), images(labels=LABELS))
    assert plan.queries.ids == ["00.png", "01.png", "02.png", "04.png", "06.png", "08.png", "09.png"]
    assert relevant_ids(plan)[0] == ["02.png", "04.png", "08.png"]
    assert relevant_ids(plan)[1] == ["06.png", "09.png"]
    assert plan.ignored_ids == [(id_,) for id_ in plan.queries.ids]


def test_labels_by_group_look_at_groups() -> None:
    dataset = images(labels=["same"] * 10, groups=["a", "a", *"bcdefghi"])
    plan = plan_queries(LabelsQueries(by="group"), dataset)
    assert plan.queries.ids == ["00.png", "01.png"]
    assert relevant_ids(plan) == [["01.png"], ["00.png"]]


def test_queries_of_the_same_seed_are_nested() -> None:
    few, many = (plan_queries(InGalleryQueries(n=n), images()).queries.ids for n in (2, 6))
    assert set(few) < set(many)


# --- captions ----------------------------------------------------------------------------------------------


def test_captions_find_all_images_that_have_them() -> None:
    captions = ["a cat", None, "a dog", "a cat", *[None] * 6]
    plan = plan_queries(CaptionsQueries(n=None), images(captions=captions))
    assert isinstance(plan.queries, TextSet)
    assert plan.queries.ids == ["00.png#caption", "02.png#caption", "03.png#caption"]
    assert [plan.queries.load(row) for row in range(3)] == ["a cat", "a dog", "a cat"]
    assert relevant_ids(plan) == [["00.png", "03.png"], ["02.png"], ["00.png", "03.png"]]
    assert plan.sources == ["00.png", "02.png", "00.png"], "one caption is one observation"
    assert plan.queries.fingerprints[0] == plan.queries.fingerprints[2] != plan.queries.fingerprints[1]


# --- taking some queries -----------------------------------------------------------------------------------


def test_take_keeps_everything_of_a_query_together() -> None:
    plan = copies()
    some = plan.take([5, 0])
    assert some.queries.ids == [plan.queries.ids[5], plan.queries.ids[0]]
    assert some.sources == [plan.sources[5], plan.sources[0]]
    assert some.edits == ["colour", "crop"]
    assert some.relevant_ids == [(plan.sources[5],), (plan.sources[0],)]
    assert by_id(some) == {id_: by_id(plan)[id_] for id_ in some.queries.ids}


def test_a_description_counts_what_was_asked_and_searched() -> None:
    held_out = plan_queries(HeldOutQueries(n=4), images()).take([0, 2])
    assert held_out.describe(5) == "2 images held out of 7", "two queries and one image were bad"
    assert copies().take([0, 1, 7]).description == "2 originals × 7 edits"
    assert plan_queries(InGalleryQueries(n=4), images()).take([1]).description == (
        "1 gallery images, each itself ignored"
    )


def test_images_of_one_class_count_as_alike_where_the_classes_are_ten() -> None:
    labels = [*[f"class {row // 2}" for row in range(22)], None]
    plan = plan_queries(LabelsQueries(n=None), images(23, labels=labels))
    assert len(plan.clusters) == 22
    assert plan.clusters[0] == plan.clusters[1] != plan.clusters[2]
    assert plan.description == "22 gallery images, leave-one-out by label, intervals over 11 classes"
    fewer = plan.take(range(18))
    assert fewer.clusters == fewer.sources, "of nine classes: other images of these"
    assert "intervals" not in fewer.description
    held_out = plan_queries(HeldOutQueries(n=22), images(23, labels=labels))
    assert len(set(held_out.clusters)) == 11 + (None in held_out.classes.queries)  # type: ignore[union-attr]
    assert copies().clusters == copies().sources


# --- what does not fit -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "dataset", "reason"),
    [
        (CopiesQueries(), vectors(), "dataset=embeddings has vectors only"),
        (CopiesQueries(edits=["crop", "sepia"]), images(), "sepia is not known; choose from crop, resize"),
        (CopiesQueries(edits=["crop", "crop"]), images(), "names crop more than once"),
        (CopiesQueries(edits=[]), images(), "is empty"),
        (CopiesQueries(n=0), images(), "queries.n=0 asks for no query"),
        (InGalleryQueries(n=-1), images(), "queries.n=-1 asks for no query"),
        (HeldOutQueries(n=10), images(), "queries.n=10 leaves no gallery of 10"),
        (HeldOutQueries(n=None), images(), "queries.n=null leaves no gallery"),
        (
            LabelsQueries(),
            images(),
            "needs labels, and the dataset has none.*to folder.*or a column of",
        ),
        (LabelsQueries(by="group"), images(labels=LABELS), "needs groups, and the dataset has none"),
        (LabelsQueries(by="colour"), images(labels=LABELS), "queries.by must be one of label, group"),
        (LabelsQueries(), images(3, labels=["a", "b", None]), "no two images share a label"),
        (LabelsQueries(), images(3, labels=["a"] * 3), "all 3 images have the label 'a'.*labels=folder"),
        (LabelsQueries(by="group"), images(3, groups=["a"] * 3), "all 3 images have the group 'a'"),
        (CaptionsQueries(), images(3, captions=["a dog"] * 3), "all 3 images have the caption 'a dog'"),
        (CaptionsQueries(), images(), "needs captions"),
        (CaptionsQueries(), images(captions=[None] * 10), "needs captions"),
        (CaptionsQueries(), vectors(), "needs captions"),
        (FilesQueries(root="x"), vectors(), "use ready query vectors"),
    ],
)
def test_a_protocol_that_does_not_fit_is_an_error(config: Queries, dataset: ImageSet, reason: str) -> None:
    with pytest.raises(QueryError, match=reason):
        plan_queries(config, dataset)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (
            ["a"] * 10,
            "all 10 images have the label 'a', so everything that is found counts: relevance is not judged",
        ),
        (
            list("abcdefghij"),
            "no two images share a label, so there is nothing to find: relevance is not judged",
        ),
    ],
)
def test_held_out_images_are_not_judged_by_labels_that_tell_nothing(labels: list[str], said: str) -> None:
    plan = plan_queries(HeldOutQueries(n=4), images(labels=labels))
    assert not plan.judged
    assert plan.notices == (said,)


def test_one_label_and_images_without_any_can_be_told_apart() -> None:
    plan = plan_queries(LabelsQueries(n=None), images(4, labels=["a", "a", None, None]))
    assert [len(ids) for ids in relevant_ids(plan)] == [1, 1]
