"""Weights that lie otherwise while a model writes: the same numbers, shapes and sharing."""

import copy
from typing import Any

import torch
from torch import nn

from fathom.architectures.transformers import gpt2, llama
from fathom.deployment.weight_layout import lay_for_writing

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
