"""Learned positions against GPT-2's, and that the order of words matters with them."""

import pytest
import torch

from fathom.fundamentals.attention.scaled_dot_product import attend
from fathom.fundamentals.positions.learned_positions import LearnedPositions


def test_equals_gpt2_without_layers() -> None:
    from transformers import GPT2Config, GPT2Model

    theirs = GPT2Model(GPT2Config(n_layer=0, n_embd=8, n_head=2, n_positions=6, vocab_size=11)).eval()
    theirs.ln_f = torch.nn.Identity()  # type: ignore[assignment]
    ours = LearnedPositions(6, 8)
    ours.load_state_dict(theirs.wpe.state_dict())
    token = torch.randint(11, (3, 5))
    expected = theirs(token).last_hidden_state
    torch.testing.assert_close(ours(theirs.wte(token)), expected, rtol=0, atol=1e-6)


def test_with_positions_the_order_matters() -> None:
    x, add = torch.randn(1, 5, 8), LearnedPositions(5, 8)
    torch.nn.init.normal_(add.weight)
    moved, y = add(x.flip(1)), add(x)
    assert (attend(moved, moved, moved) - attend(y, y, y).flip(1)).abs().max() > 0.1


def test_only_places_that_were_reached_learn() -> None:
    layer = LearnedPositions(6, 4)
    layer(torch.zeros(2, 2, 4), 3).sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.abs().sum(dim=1).ne(0).tolist() == [False, False, False, True, True, False]


def test_a_text_that_is_too_long_is_refused() -> None:
    layer = LearnedPositions(6, 4)
    with pytest.raises(ValueError, match="places 0 to 6 are asked for; this model learned 0 to 5; cut"):
        layer(torch.zeros(1, 7, 4))
    with pytest.raises(ValueError, match="places 5 to 6"):
        layer(torch.zeros(1, 2, 4), 5)
    with pytest.raises(ValueError, match="longest is 0"):
        LearnedPositions(0, 4)
