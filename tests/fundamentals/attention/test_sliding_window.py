"""A sliding window computed in blocks against full attention with a mask, and how far layers reach."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom.fundamentals.attention.sliding_window import (
    reach,
    sliding_window_attention,
    sliding_window_mask,
)


@settings(max_examples=60, deadline=None)
@given(length=st.integers(1, 40), window=st.integers(1, 45), seed=st.integers(0, 999))
def test_blocks_equal_masked_full_attention(length: int, window: int, seed: int) -> None:
    dice = torch.Generator().manual_seed(seed)
    query, key, value = torch.randn(3, 2, 2, length, 4, dtype=torch.float64, generator=dice)
    expected = F.scaled_dot_product_attention(
        query, key, value, attn_mask=sliding_window_mask(length, length, window)
    )
    answer = sliding_window_attention(query, key, value, window)
    torch.testing.assert_close(answer, expected, rtol=0, atol=1e-12)


def test_gradients_equal_masked_full_attention() -> None:
    given = torch.randn(3, 1, 2, 11, 4)
    one, two = given.clone().requires_grad_(), given.clone().requires_grad_()
    rough = torch.randn(1, 2, 11, 4)
    (sliding_window_attention(one[0], one[1], one[2], 3) * rough).sum().backward()
    masked = F.scaled_dot_product_attention(two[0], two[1], two[2], attn_mask=sliding_window_mask(11, 11, 3))
    (masked * rough).sum().backward()
    torch.testing.assert_close(one.grad, two.grad, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("window", [1, 2, 5, 9])
def test_the_mask_is_mistrals(window: int) -> None:
    from transformers.masking_utils import sliding_window_causal_mask_function

    allowed = sliding_window_causal_mask_function(window)
    place = torch.arange(9)
    theirs = torch.tensor([[bool(allowed(0, 0, q, k)) for k in place] for q in place])
    assert torch.equal(sliding_window_mask(9, 9, window), theirs)
    assert torch.equal(sliding_window_mask(4, 9, window), theirs[5:])


def test_layers_reach_as_far_as_is_said_and_no_further() -> None:
    layers, window, length = 3, 4, 20
    x = torch.randn(1, 1, length, 6, dtype=torch.float64, requires_grad=True)
    y = x
    for _ in range(layers):
        y = sliding_window_attention(y, y, y, window)
    (grad,) = torch.autograd.grad(y[0, 0, -1].sum(), x)
    touched = grad[0, 0].abs().sum(dim=1).ne(0)
    assert int(touched.sum()) == reach(layers, window) == 10
    assert touched[-10:].all()


def test_memory_grows_with_the_length_not_its_square() -> None:
    """The largest tensor that autograd keeps, per place, is the same for a text four times as long."""

    def largest(length: int) -> float:
        sizes: list[int] = []

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            sizes.append(tensor.numel())
            return tensor

        query, key, value = torch.randn(3, 1, 1, length, 4).requires_grad_()
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
            sliding_window_attention(query, key, value, 8)
        return max(sizes) / length

    assert largest(256) == largest(64)


def test_bad_windows_are_refused() -> None:
    x = torch.randn(1, 1, 4, 2)
    for wrong, words in (
        (lambda: sliding_window_attention(x, x, x, 0), "window is 0"),
        (lambda: sliding_window_mask(3, 3, -1), "window is -1"),
        (lambda: reach(2, 0), "window 0"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
