"""The module is as short as it says, and what is measured would show an endpoint that answers otherwise."""

import inspect

import pytest

from fathom import catalog
from fathom.claim import promise
from fathom.claims import own_module_goes_the_whole_way as claim
from fathom.verbs.arms import judged


def test_the_module_is_short_and_knows_nothing_of_the_library() -> None:
    body = inspect.getsource(claim.own_network).splitlines()
    assert len([line for line in body if line.strip()]) <= 20
    assert not any("fathom" in line for line in body)


def test_answers_that_differ_are_noticed() -> None:
    one = {"label": "3", "probabilities": {"3": 0.9, "5": 0.1}}
    assert claim.apart(one, one) == 0
    assert claim.apart(one, one | {"probabilities": {"3": 0.8, "5": 0.2}}) == pytest.approx(0.1)
    assert claim.apart(one, one | {"label": "5"}) == 1


@pytest.mark.slow
def test_the_whole_way_is_gone() -> None:
    measured = [claim.measure(seed) for seed in (100, 101)]
    runs = {"own": [found["own"] for found in measured]}
    for text in catalog.claim("own_module_goes_the_whole_way").claim.expect:
        assert judged(promise(text), runs)["met"], text
