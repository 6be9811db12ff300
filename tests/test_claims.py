"""Every claim of the catalogue: what it names exists, what it promises can be read, its record is its own."""

import pytest

from fathom import catalog, evidence
from fathom.claim import Claim, promise
from fathom.verbs.arms import built

EVERY = pytest.mark.parametrize("name", catalog.claims())


@EVERY
def test_what_a_claim_names_exists(name: str) -> None:
    entry = catalog.claim(name)
    claim = entry.claim
    assert claim.sentence.endswith(".") and claim.source and claim.expect
    assert set(claim.rows) <= set(catalog.inventory())
    assert set(claim.builds_on) <= {*catalog.entries()}
    if claim.arms:
        lengths = {arm: built(settings).steps for arm, settings in claim.arms.items()}
        assert min(lengths.values()) > 0
    assert hasattr(entry.load(), "measure") == (not claim.arms)


@EVERY
def test_a_record_belongs_to_what_is_claimed_now(name: str) -> None:
    record, claim = evidence.claims().get(name), catalog.claim(name).claim
    if record is None:
        return
    assert [p["text"] for p in record["expect"]] == list(claim.expect)
    assert record["seeds"] == claim.seeds
    assert {arm: tuple(settings) for arm, settings in record["arms"].items()} == claim.arms
    assert record["met"] == all(p["met"] for p in record["expect"])


def test_names_are_not_used_twice() -> None:
    assert not set(catalog.claims()) & {*catalog.entries(), *catalog.recipes()}


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("valid/accuracy: he - xavier >= 0.05", ("valid/accuracy", "he", "xavier", ">=", 0.05)),
        ("seconds: mlp <= 1.2e2", ("seconds", "mlp", None, "<=", 120.0)),
        ("loss: batch-norm - group_norm <= -0.1", ("loss", "batch-norm", "group_norm", "<=", -0.1)),
    ],
)
def test_a_promise_is_read(text: str, read: tuple) -> None:
    found = promise(text)
    assert (found.metric, found.left, found.right, found.sign, found.bound) == read


@pytest.mark.parametrize("text", ["he >= 0.5", "loss: he > 0.5", "loss: he - >= 1", "loss: he >= much", ""])
def test_what_is_no_promise_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"promise|float"):
        promise(text)


def test_a_claim_about_an_arm_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="names the arm 'lecun'"):
        Claim(
            sentence="s.", rows=(), source="x", expect=("loss: he - lecun >= 0",),
            arms={"he": ("deep_mlp",), "xavier": ("deep_mlp",)},
        )  # fmt: skip
    with pytest.raises(ValueError, match="seeds is 0"):
        Claim(sentence="s.", rows=(), source="x", expect=(), seeds=0)
