"""What a user reads when an override does not fit."""

from __future__ import annotations

import pytest
from hydra.errors import HydraException

from lookalike.config.composing import compose
from lookalike.config.explaining import explain
from lookalike.errors import ConfigError


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["index=flat", "index.nlist=3"], "index=flat has no nlist; it has family, metric"),
        (["model=pixels", "model.sid=8"], "model=pixels has no sid (did you mean side?)"),
        (["search.nprob=8"], "there is no search.nprob (did you mean nprobe?); it has k, nprobe"),
        (
            ["index=ivf_flat", "index.nprob=4"],
            "index=ivf_flat has no nprob (did you mean search.nprobe?); it has",
        ),
        (["index=ivf_flat", "index.nprobe=4"], "index=ivf_flat has no nprobe (did you mean search.nprobe?)"),
        (["model=pixels", "model.nlist=4"], "model=pixels has no nlist (did you mean index.nlist?)"),
        (["nprob=4"], "there is no nprob (did you mean search.nprobe?)"),
        (["cutoff=[1]"], "there is no cutoff (did you mean measures.cutoffs?)"),
        (["search.rot=x"], "(did you mean dataset.root or queries.root or paths.root?)"),
        (["indx=flat"], "there is no indx (did you mean index?); `lookalike run --help` lists"),
        (["index=ivf"], "index=ivf does not exist"),
        (["index=hsnw"], "index=hsnw does not exist (did you mean hnsw?); choose one of auto, brute_force,"),
        (["search.k=many"], "search.k must be a positive integer, not many"),
        (["search.batch_size=null"], "search.batch_size must be a positive integer, not null"),
        (["search.k=[1"], "search.k=[1 cannot be read; write key=value"),
        (["flat"], "flat cannot be read; write key=value"),
        (
            ["index.nlist=1,2"],
            "index.nlist=1,2 means a sweep, because of the comma; add -m to sweep, or write",
        ),
        (["index=flat,hnsw"], "index=flat,hnsw means a sweep, because of the comma; add -m to sweep"),
        (["dataset=folder", "dataset.root=a,b"], "quote it twice: 'dataset.root=\"a,b\"'"),
        (["index=factory", "index.factory=IVF8,Flat"], "quote it twice: 'index.factory=\"IVF8,Flat\"'"),
        (["search.k=range(1,3)"], "search.k=range(1,3) is a sweep; add -m"),
    ],
)
def test_cause_and_cure_on_one_line(overrides: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose(overrides)
    message = str(caught.value)
    assert said in message
    assert "\n" not in message
    assert ";" in message or " must be " in message


def test_what_is_not_known_keeps_its_own_words() -> None:
    assert explain(HydraException("something\n  new")) == "something new"
    assert explain(HydraException()) == "HydraException"
