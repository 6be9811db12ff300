"""Both models are asked about the same pieces, and neither is asked where BERT may see the answer."""

import math
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from fathom.claims import both_sides_tell_more as claim
from fathom.data.split import Data, Tensors
from fathom.fundamentals.mathematics.kneser_ney import KneserNey
from fathom.tasks.masked_language_modelling import MaskedLanguageModelling
from fathom.training.objectives import IGNORE

TASK = MaskedLanguageModelling(
    vocabulary=("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "man", "red", "dog", "runs"), length=6
)
CAPTIONS = ["a man runs", "a dog runs", "a red dog", "a red man runs", "a man", "a dog"] * 20


@dataclass(frozen=True)
class Captions:
    """Every second caption is held out; in each of those the three fates of a chosen piece occur."""

    def load(self) -> Data:
        known, unseen = TASK.encode(CAPTIONS), TASK.encode(CAPTIONS[:7])
        token, target = unseen.clone(), torch.full_like(unseen, IGNORE)
        target[:, 1:3] = unseen[:, 1:3]
        token[:, 1] = TASK.masks.mask
        token[3, 2] = TASK.vocabulary.index("dog")  # exchanged; in the other rows it was kept
        split = Tensors((token, target))
        return Data(train=Tensors((known, known)), valid=split, test=split)


def test_bert_is_asked_where_a_mask_shows_and_nowhere_else() -> None:
    before, data = Captions().load(), claim.Asked(Captions(), TASK.masks.mask).load()
    assert before.test is not None and data.test is not None and data.valid is None
    token, target = data.test.rows(torch.arange(7))
    assert torch.equal(token, before.test.rows(torch.arange(7))[0])
    assert torch.equal(target[:, 1], TASK.encode(CAPTIONS[:7])[:, 1])
    target[:, 1] = IGNORE
    assert (target == IGNORE).all()


def test_counts_are_asked_the_same_and_see_what_stood_before() -> None:
    found = claim.counted(Captions().load(), TASK)
    assert found["hidden"] == 7 and found["order"] in claim.ORDERS
    assert found["order"] == min(claim.ORDERS, key=lambda n: found[f"loss/{n}"])
    lines = TASK.encode(CAPTIONS)
    model = KneserNey.fit(lines[lines > 0], len(TASK.vocabulary), int(found["order"]))
    asked = TASK.encode(CAPTIONS[:7])
    surprise, place = 0.0, 0
    written = asked[asked > 0]
    for row in asked:
        likely = model.following(written[: place + 1])  # all captions before, and this one's frame
        surprise -= math.log(likely[row[1]]) / 7
        place += int((row > 0).sum())
    assert found["loss"] == pytest.approx(surprise, rel=1e-9)
    assert found["perplexity"] == pytest.approx(math.exp(surprise), rel=1e-9)


def test_the_recipe_is_what_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    from fathom.recipes import bert
    from fathom.training import trial

    @dataclass(frozen=True)
    class Recipe:
        data: Any
        task: Any

    seen: list[Any] = []

    def noted(experiment: Any, seed: int) -> trial.Outcome:
        seen.append((experiment, seed))
        return trial.Outcome({"test/loss": 1.0, "test/accuracy": 0.5, "seconds": 1.0, "steps": 2.0}, [])

    monkeypatch.setattr(bert, "bert_captions", lambda: Recipe(Captions(), TASK))
    monkeypatch.setattr(trial, "trial", noted)
    found = claim.measure(3)
    ((experiment, seed),) = seen
    assert seed == 3 and experiment.data == claim.Asked(Captions(), TASK.masks.mask)
    assert set(found) == {"ngram", "bert"} and found["bert"]["perplexity"] == pytest.approx(math.e)
