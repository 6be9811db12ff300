"""IA3 against peft: the same factors in a GPT-2, a BERT and a LLaMA, and merged."""

from typing import Any

import pytest
import torch
from tests.fundamentals.adaptation.peers import MODELS, TOKENS, equal, injected, merged_weights
from torch import nn

from fathom.fundamentals.adaptation.ia3 import Scaled
from fathom.training.adaptation import IA3, merge

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.mark.parametrize("name", list(MODELS))
def test_equals_peft(name: str) -> None:
    from peft import IA3Config

    model = MODELS[name]()
    there = {place.rpartition(".")[2] for place, _ in model.named_modules()}
    layers = [layer for layer in IA3.usual + IA3.within if layer in there]
    theirs = injected(model, IA3Config(target_modules=layers, feedforward_modules=list(IA3.within)))
    IA3().apply(model)
    pairs = []
    for place, layer in model.named_modules():
        if isinstance(layer, Scaled):
            assert layer.inputs == place.endswith("narrow")
            other: Any = theirs.get_submodule(place)
            factor = other.ia3_l["default"]
            layer.factor.data.copy_(factor.flatten())
            pairs.append((layer.factor, factor))
    equal(model, theirs, pairs)

    before = model(TOKENS).detach()
    merge(model)
    assert not any(isinstance(layer, Scaled) for layer in model.modules())
    torch.testing.assert_close(model(TOKENS), before, rtol=1e-5, atol=1e-5)
    wanted = merged_weights(theirs)
    assert len(wanted) == len(pairs)
    for place, weight in wanted.items():
        torch.testing.assert_close(model.get_submodule(place).weight, weight, rtol=1e-5, atol=1e-5)


def test_it_begins_as_the_layer_that_it_was() -> None:
    torch.manual_seed(0)
    layer, x = nn.Linear(5, 4), torch.randn(3, 5)
    for inputs in (False, True):
        assert torch.equal(Scaled(layer, inputs=inputs)(x), layer(x))
    base = nn.Identity()
    base.in_features = base.out_features = 4  # type: ignore[assignment]
    with pytest.raises(ValueError, match="the base is a Identity; factors are merged into"):
        Scaled(base).merged()
