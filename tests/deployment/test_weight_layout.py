"""Weights that lie otherwise while a model writes: the same numbers, shapes and sharing."""

import copy
from typing import Any

import pytest
import torch
from torch import nn

from fathom.architectures.transformers import gpt2, llama
from fathom.deployment.weight_layout import FEWEST, REPAID, Blocks, blocks_are_known, lay_for_writing, packed

GPT = gpt2.Config(vocabulary=50, context=16, width=16, layers=2, heads=2, dropout=0.0)
LLAMA = llama.Config(vocabulary=50, context=16, width=16, layers=2, heads=2, groups=1, hidden=40)


def turned(model: nn.Module) -> set[str]:
    return {name for name, weight in model.named_parameters() if not weight.is_contiguous()}


def test_wide_layers_are_turned_and_others_are_not() -> None:
    model = nn.Sequential(
        nn.Linear(4, 9), nn.Linear(9, 4), nn.Linear(4, 4), nn.Embedding(9, 4), nn.LayerNorm(4)
    )
    before = copy.deepcopy(model.state_dict())
    lay_for_writing(model)
    assert turned(model) == {"0.weight", "3.weight"}
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    place = model[0].weight.data_ptr()  # type: ignore[union-attr]
    lay_for_writing(model)  # again: nothing is left to do
    assert model[0].weight.data_ptr() == place  # type: ignore[union-attr, operator]


def test_other_number_formats_are_left() -> None:
    model = nn.Linear(4, 9).to(torch.bfloat16)
    lay_for_writing(model)
    assert not turned(model)


def test_a_model_says_the_same_and_goes_on_learning_the_same() -> None:
    """A prompt, a token after it, and a step of training; tied weights stay one."""
    for cfg in (GPT, LLAMA):
        plain: Any = cfg.build().eval()
        other = copy.deepcopy(plain)
        with torch.inference_mode():  # as where it is called
            lay_for_writing(other)
        assert turned(other)
        token = torch.randint(0, 50, (3, 7))
        caches = [model.cache(3, 8) for model in (plain, other)]
        for read in (token, token[:, :1]):
            a, b = (m.read(read, c) for m, c in zip((plain, other), caches, strict=True))
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
        for model in (plain, other):
            optimizer = torch.optim.AdamW(model.train().parameters(), lr=1e-2)
            model(token).logsumexp(-1).sum().backward()
            optimizer.step()
        for a, b in zip(plain.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(not blocks_are_known(), reason="this processor has no blocks of oneDNN's")
def test_packed_layers_say_the_same_until_it_ends() -> None:
    for cfg in (GPT, LLAMA):
        model: Any = cfg.build().eval()
        layers = [m for m in model.modules() if isinstance(m, nn.Linear)]
        token = torch.randint(0, 50, (5, 7))

        def said(model: Any = model, token: torch.Tensor = token) -> list[torch.Tensor]:
            with torch.inference_mode():
                cache = model.cache(5, 9)
                return [model.read(token, cache), model.read(token[:, :1], cache), model(token)]

        plain = said()
        with packed(model, 5, REPAID):
            assert all(isinstance(vars(layer)["forward"], Blocks) for layer in layers)
            torch.testing.assert_close(said(), plain, rtol=1e-5, atol=1e-6)
            with packed(model, 5, REPAID):  # a second one ends first, and leaves plain layers behind
                pass
            torch.testing.assert_close(said(), plain, rtol=0, atol=0)
        assert not any("forward" in vars(layer) for layer in layers)


def test_nothing_is_packed_that_does_not_repay() -> None:
    narrow, other = nn.Linear(4, 9), nn.Linear(4, 9).to(torch.bfloat16)
    for model, texts, tokens in ((narrow, FEWEST - 1, 900), (narrow, 9, REPAID - 1), (other, 9, 900)):
        with packed(model, texts, tokens):
            assert "forward" not in vars(model)


def test_a_weight_that_is_not_contiguous_and_no_bias() -> None:
    layer, x = nn.Linear(4, 9, bias=False), torch.randn(3, 2, 4)
    lay_for_writing(layer)
    wanted = layer(x)
    with packed(layer, FEWEST, REPAID):
        assert ("forward" in vars(layer)) == blocks_are_known()
        torch.testing.assert_close(layer(x.transpose(0, 1)), wanted.transpose(0, 1))
