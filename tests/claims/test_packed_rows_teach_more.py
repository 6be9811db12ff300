"""The experiment on packed rows, made small: its arms, its curriculum, its counts and its picture."""

import itertools
from typing import Any

import pytest
import torch

from fathom.architectures.transformers.llama import Config
from fathom.claims import packed_rows_teach_more as claim
from fathom.data.documents import collected, packed
from fathom.fundamentals.corpora.packing import rows_in_order


def some_texts() -> list[str]:
    from fathom.data.sets import rt_polarity

    return list(rt_polarity.read().texts[:900])


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PIECES": 400, "BATCH": 4, "STEPS": 16, "POINTS": 4}.items():
        monkeypatch.setattr(claim, name, value)
    monkeypatch.setattr(claim, "texts", some_texts)


@pytest.mark.slow
def test_every_promise_can_be_judged_and_drawn(small: None) -> None:
    found = claim.measure(0)
    assert set(found) == {"packed", "crossed", "padded", "short_first", "corpus"}
    for wanted in claim.CLAIM.expect:
        metric, _, rest = wanted.partition(": ")
        arms = rest.split(" <= ")[0].split(" >= ")[0].split(" - ")
        assert all(metric in found[arm] for arm in arms), wanted
    assert found["corpus"]["lost"] == 0 and found["packed"]["gap"] < 1e-4 < 0.01 < found["crossed"]["gap"]
    assert found["packed"]["filled"] > 2 * found["padded"]["filled"]
    for arm in ("packed", "crossed", "padded", "short_first"):
        steps = [int(name.partition("/")[2]) for name in found[arm] if name.startswith("loss_at/")]
        assert steps == [0, 4, 8, 12, 16]
        assert found[arm]["valid/loss"] == found[arm]["loss_at/16"] < found[arm]["loss_at/0"]
    assert found["packed"]["loss_at/0"] == found["padded"]["loss_at/0"], "they begin as the same model"
    again = claim.measure(0)
    assert again == found
    chart, table = claim.picture(0, found)
    assert "short_first" in chart.html() and "perplexity" in table.html()


def test_a_curriculum_begins_with_the_shortest_and_ends_with_all() -> None:
    assert claim.competence(0.0) == pytest.approx(claim.EASIEST)
    shares = [claim.competence(i / 20) for i in range(21)]
    assert shares == sorted(shares) and shares[9] < 1.0 and shares[10:] == [1.0] * 11
    lengths = torch.randint(1, 100, (300,)).tolist()
    rows = claim.equally_long(lengths, 100)
    assert sorted(itertools.chain(*rows)) == list(range(300))
    in_turn = [lengths[n] for n in itertools.chain(*rows)]
    assert in_turn == sorted(lengths) and max(sum(lengths[n] for n in row) for row in rows) <= 100


def test_the_gap_is_of_what_others_in_the_row_add() -> None:
    """None where documents are kept apart; and none with one document a row, however it is read."""
    collection = collected(some_texts(), 400)
    model = Config(vocabulary=400, context=128, width=16, layers=2, heads=2, groups=1, hidden=24).build()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(8.0 if weight.ndim > 1 else 1.0)
    shared: Any = packed(collection, 128, rows_in_order).valid
    alone: Any = packed(collection, 128, lambda lengths, _: [[n] for n in range(len(lengths))]).valid
    assert claim.gap(model, shared, True) < 1e-4 < 0.1 < claim.gap(model, shared, False)
    assert claim.gap(model, alone, False) < 1e-4
