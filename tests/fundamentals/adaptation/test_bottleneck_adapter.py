"""Bottleneck adapters: nothing at first, the formula then, and no way to merge them."""

from typing import Any

import pytest
import torch
from tests.fundamentals.adaptation.peers import MODELS, TOKENS
from torch import nn

from fathom.errors import InputError
from fathom.fundamentals.adaptation.bottleneck_adapter import Bottleneck
from fathom.training.adaptation import Adapters, merge


@pytest.mark.parametrize("name", list(MODELS))
def test_a_model_begins_as_it_was_and_then_follows_the_formula(name: str) -> None:
    model, plain = MODELS[name](), MODELS[name]()
    Adapters(narrow=2).apply(model)
    made = [layer for layer in model.modules() if isinstance(layer, Bottleneck)]
    assert len(made) == 4  # two behind each block's two halves
    assert torch.equal(model(TOKENS), plain(TOKENS))
    torch.manual_seed(0)
    for layer in made:
        nn.init.normal_(layer.up.weight)
    seen: list[Any] = []  # what the layer said, then what the adapter made of it
    made[0].base.register_forward_hook(lambda _, __, out: seen.append(out))
    made[0].register_forward_hook(lambda _, __, out: seen.append(out))
    model(TOKENS).sum().backward()
    said, corrected = seen
    down, up = made[0].down, made[0].up
    narrow = said @ down.weight.T + down.bias
    wanted = said + narrow * (1 + torch.erf(narrow / 2**0.5)) / 2 @ up.weight.T + up.bias
    torch.testing.assert_close(corrected, wanted, rtol=1e-5, atol=1e-5)
    learned = {n for n, p in model.named_parameters() if p.grad is not None}
    assert learned and all(".down." in n or ".up." in n for n in learned)
    with pytest.raises(InputError, match="Bottleneck cannot be merged into the layers; keep them beside"):
        merge(model)


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="narrow is 0; it must be 1 or more"):
        Adapters(narrow=0)
    with pytest.raises(ValueError, match="width is 0; it must be 1 or more"):
        Bottleneck(nn.Identity(), 0)
