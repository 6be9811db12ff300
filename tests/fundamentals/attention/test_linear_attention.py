"""Linear attention in blocks against all pairs written down, and place by place against both."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fathom.fundamentals.attention.linear_attention import (
    features,
    linear_attention,
    linear_attention_step,
)


def weights(query: Tensor, key: Tensor, causal: bool) -> Tensor:
    """Shares of all pairs, as one matrix."""
    likeness = torch.einsum("bkte,bkse->bkts", features(query), features(key))
    likeness = likeness.tril() if causal else likeness
    return likeness / likeness.sum(dim=-1, keepdim=True)


@settings(max_examples=60, deadline=None)
@given(length=st.integers(1, 40), block=st.integers(1, 45), causal=st.booleans(), seed=st.integers(0, 999))
def test_blocks_equal_all_pairs(length: int, block: int, causal: bool, seed: int) -> None:
    dice = torch.Generator().manual_seed(seed)
    query, key, value = torch.randn(3, 2, 2, length, 4, dtype=torch.float64, generator=dice)
    answer = linear_attention(query, key, value, causal=causal, block=block)
    torch.testing.assert_close(answer, weights(query, key, causal) @ value, rtol=0, atol=1e-12)


def test_gradients_equal_all_pairs() -> None:
    inputs = torch.randn(3, 1, 2, 11, 4)
    one, two = inputs.clone().requires_grad_(), inputs.clone().requires_grad_()
    rough = torch.randn(1, 2, 11, 4)
    (linear_attention(one[0], one[1], one[2], causal=True, block=3) * rough).sum().backward()
    (weights(two[0], two[1], True) @ two[2] * rough).sum().backward()
    torch.testing.assert_close(one.grad, two.grad, rtol=1e-4, atol=1e-5)


def test_it_is_a_recurrent_network() -> None:
    """Section 3.3: one place after another, with a state that does not grow, gives the same."""
    query, key, value = torch.randn(3, 2, 3, 9, 4, dtype=torch.float64)
    state, answers = None, []
    for i in range(9):
        answer, state = linear_attention_step(query[:, :, i], key[:, :, i], value[:, :, i], state)
        answers.append(answer)
        assert [tuple(part.shape) for part in state] == [(2, 3, 4, 4), (2, 3, 4)]
    wanted = linear_attention(query, key, value, causal=True, block=4)
    torch.testing.assert_close(torch.stack(answers, dim=2), wanted, rtol=0, atol=1e-12)


def test_weights_are_shares_and_the_order_of_keys_does_not_matter() -> None:
    query, key, value = 5 * torch.randn(3, 1, 2, 6, 4, dtype=torch.float64)
    ones = torch.ones(1, 2, 6, 1, dtype=torch.float64)
    for causal in (False, True):
        torch.testing.assert_close(linear_attention(query, key, ones, causal=causal), ones)
    order = torch.randperm(6)
    mixed = linear_attention(query, key[:, :, order], value[:, :, order])
    torch.testing.assert_close(mixed, linear_attention(query, key, value))


def test_what_comes_later_changes_nothing() -> None:
    query, key, value = torch.randn(3, 1, 1, 12, 4)
    before = linear_attention(query, key, value, causal=True, block=5)
    key[:, :, 8:], value[:, :, 8:] = 100.0, -100.0
    after = linear_attention(query, key, value, causal=True, block=5)
    assert torch.equal(before[:, :, :8], after[:, :, :8]) and not torch.equal(before, after)


@pytest.mark.parametrize("causal", [False, True])
def test_memory_grows_with_the_length_not_its_square(causal: bool) -> None:
    """The largest tensor that autograd keeps, per place, is the same for a text four times as long."""

    def largest(length: int) -> float:
        sizes: list[int] = []

        def keep(tensor: Tensor) -> Tensor:
            sizes.append(tensor.numel())
            return tensor

        query, key, value = torch.randn(3, 1, 1, length, 4).requires_grad_()
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
            linear_attention(query, key, value, causal=causal, block=8)
        return max(sizes) / length

    assert largest(256) == largest(64)


def test_nonsense_is_refused() -> None:
    x, longer = torch.randn(1, 1, 4, 2), torch.randn(1, 1, 5, 2)
    with pytest.raises(ValueError, match="block is 0; it must be 1 or more"):
        linear_attention(x, x, x, causal=True, block=0)
    with pytest.raises(ValueError, match="there are 4 queries and 5 keys"):
        linear_attention(x, longer, longer, causal=True)
