"""All three learn from and predict the same characters, and the networks read equally much."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from fathom.claims import three_models_of_one_text as claim
from fathom.data.split import Data
from fathom.data.windows import Windows, running_text
from fathom.errors import InputError


@pytest.fixture(scope="module")
def plays() -> dict[str, tuple[Any, Data]]:
    from fathom.recipes import char_lstm, gpt2

    try:
        recipes = {"lstm": char_lstm.char_lstm(), "gpt": gpt2.gpt_shakespeare()}
        return {arm: (experiment, experiment.data.load()) for arm, experiment in recipes.items()}
    except InputError as reason:
        pytest.skip(str(reason))


def test_all_learn_from_and_predict_the_same_characters(plays: dict[str, tuple[Any, Data]]) -> None:
    (lstm, one), (gpt, other) = plays["lstm"], plays["gpt"]
    for name in ("train", "test"):
        assert torch.equal(running_text(getattr(one, name)), running_text(getattr(other, name)))
    assert len(running_text(one.test)) - 1 == 55_769
    assert lstm.task.vocabulary == gpt.task.vocabulary


def test_networks_read_equally_much(
    plays: dict[str, tuple[Any, Data]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from fathom.training import trial

    asked: list[Any] = []

    def noted(experiment: Any, seed: int) -> trial.Outcome:
        asked.append(experiment)
        return trial.Outcome({"test/loss": 1.0, "seconds": 1.0}, [])

    monkeypatch.setattr(trial, "trial", noted)
    for experiment, _ in plays.values():
        claim.learned(experiment, 0)
    goal = claim.TIMES * len(running_text(plays["lstm"][1].train))
    for experiment in asked:
        data = experiment.data.load()
        step = experiment.batch_size * data.train.length
        assert abs(experiment.steps * step - goal) <= step / 2
        assert data.valid is None and data.test is not None


def chain() -> Data:
    """A text each of whose characters depends on the two before it."""
    dice = torch.Generator().manual_seed(0)
    likely = torch.randn(6, 6, 6, generator=dice).mul(2).softmax(-1)
    text = [0, 1]
    for _ in range(5000):
        text.append(int(torch.multinomial(likely[text[-2], text[-1]], 1, generator=dice)))
    whole = torch.tensor(text)
    nothing = Windows(torch.zeros(200, dtype=torch.int64), 16)
    return Data(train=Windows(whole[:4000], 16), valid=nothing, test=Windows(whole[4000:], 16))


def test_the_order_is_chosen_on_the_end_of_the_training_text() -> None:
    found = claim.counted(chain(), 6)
    losses = {n: found[f"loss/{n}"] for n in claim.ORDERS}
    assert found["order"] == min(losses, key=lambda n: losses[n]) == 3
    assert found["loss"] == pytest.approx(losses[3], abs=0.1) and losses[3] < losses[2] - 0.1
    assert found["perplexity"] == pytest.approx(math.exp(found["loss"])) and found["perplexity"] < 6


@pytest.mark.slow
def test_a_network_is_scored_on_the_test_text(monkeypatch: pytest.MonkeyPatch) -> None:
    from fathom.architectures.transformers import gpt2

    experiment = gpt2.tiny()
    data = experiment.data.load()

    class Odd:
        """Of which the part to choose by may not be looked at: it would be predicted at once."""

        def load(self) -> Data:
            return replace(data, valid=Windows(torch.zeros(200, dtype=torch.int64), 32))

    monkeypatch.setattr(claim, "TIMES", 20)
    found = claim.learned(replace(experiment, data=Odd()), 0)
    assert found["steps"] == round(20 * len(running_text(data.train)) / (16 * 32))
    assert 0 < found["loss"] < 3.0 and found["numbers"] == sum(
        p.numel() for p in experiment.build().parameters()
    )


def test_a_picture_is_drawn() -> None:
    told = {"loss": 1.5, "perplexity": 4.5, "numbers": 9.0, "seconds": 3.0}
    ngram = told | {"order": 5.0} | {f"loss/{n}": 2.0 - n / 10 for n in claim.ORDERS}
    drawn = "".join(block.html() for block in claim.picture(0, {"ngram": ngram, "lstm": told, "gpt": told}))
    assert "5-gram" in drawn and "every character equally likely" in drawn
