"""Scaled dot-product attention against torch's kernels, what a mask hides, and why there is a root."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from fathom.fundamentals.attention.scaled_dot_product import (
    attend,
    attend_by_hand,
    attention_weights,
    causal_mask,
    saturation,
)


def triple(
    *, heads: int = 4, groups: int = 4, queries: int = 6, keys: int = 6, dtype: Any = torch.float32
) -> Any:
    query = torch.randn(2, heads, queries, 8, dtype=dtype)
    return query, torch.randn(2, groups, keys, 8, dtype=dtype), torch.randn(2, groups, keys, 8, dtype=dtype)


def masks() -> dict[str, Tensor]:
    seen = torch.rand(6, 6) > 0.4
    seen[2] = False  # a query that may look nowhere
    return {"bool": seen, "of each row": seen.expand(2, 1, 6, 6), "added": torch.randn(1, 4, 6, 6)}


@pytest.mark.parametrize("kernel", [SDPBackend.MATH, SDPBackend.FLASH_ATTENTION])
@pytest.mark.parametrize("which", ["none", "bool", "of each row", "added"])
def test_values_and_gradients_are_those_of_torchs_kernels(kernel: SDPBackend, which: str) -> None:
    given, mask = triple(), masks().get(which)
    one = [x.clone().requires_grad_() for x in given]
    two = [x.clone().requires_grad_() for x in given]
    ours, rough = attend(*one, mask=mask), torch.randn(2, 4, 6, 8)
    with sdpa_kernel(kernel):
        theirs = F.scaled_dot_product_attention(*two, attn_mask=mask)
    (ours * rough).sum().backward()
    (theirs * rough).sum().backward()
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    for a, b in zip(one, two, strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        attention_weights(given[0], given[1], mask) @ given[2], theirs, rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("kernel", [SDPBackend.MATH, SDPBackend.FLASH_ATTENTION])
def test_causal_is_torchs(kernel: SDPBackend) -> None:
    given = triple()
    with sdpa_kernel(kernel):
        theirs = F.scaled_dot_product_attention(*given, is_causal=True)
    torch.testing.assert_close(attend(*given, causal=True), theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("groups", [1, 2])
def test_grouped_heads_are_torchs_and_those_of_repeated_keys(groups: int) -> None:
    query, key, value = triple(groups=groups, dtype=torch.float64)
    theirs = F.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)
    ours = attend(query, key, value, causal=True)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    repeated = [x.repeat_interleave(4 // groups, dim=1) for x in (key, value)]
    torch.testing.assert_close(ours, attend(query, *repeated, causal=True), rtol=0, atol=1e-12)
    weights = attention_weights(query, key, causal=True)
    torch.testing.assert_close(weights @ repeated[1], ours, rtol=0, atol=1e-12)


def test_the_last_query_stands_beside_the_last_key() -> None:
    """So that a few queries after a long past see all of it, which torch's is_causal does not do."""
    query, key, value = triple(dtype=torch.float64)
    whole = attend(query, key, value, causal=True)
    torch.testing.assert_close(attend(query[:, :, 4:], key, value, causal=True), whole[:, :, 4:])
    assert causal_mask(2, 3).tolist() == [[True, True, False], [True, True, True]]
    early = attend(query, key[:, :, :2], value[:, :, :2], causal=True)  # the first four see nothing
    assert early[:, :, :4].eq(0).all() and early[:, :, 4:].ne(0).any()


def test_weights_are_shares() -> None:
    query, key, _ = triple(dtype=torch.float64)
    mask = masks()["bool"]
    weights = attention_weights(query, key, mask)
    sums = weights.sum(-1)
    assert sums[:, :, 2].eq(0).all()
    kept = [0, 1, 3, 4, 5]
    torch.testing.assert_close(sums[:, :, kept], torch.ones(2, 4, 5, dtype=torch.float64), rtol=0, atol=1e-12)
    assert weights.ge(0).all() and weights[:, :, ~mask].eq(0).all()


def test_what_a_mask_hides_changes_no_bit_and_gets_no_gradient() -> None:
    query, key, value = triple()
    mask = torch.ones(6, 6, dtype=torch.bool)
    mask[:, 3] = False
    before = attend(query, key, value, mask)
    other_key, other_value = key.clone(), value.clone()
    other_key[:, :, 3], other_value[:, :, 3] = 1e4, -1e4
    assert torch.equal(attend(query, other_key, other_value, mask), before)
    value.requires_grad_()
    attend(query, key, value, mask).sum().backward()
    assert value.grad is not None and value.grad[:, :, 3].eq(0).all()


def test_nothing_later_changes_what_came_before() -> None:
    query, key, value = triple()
    before = attend(query, key, value, causal=True)
    key[:, :, 4:] += 1
    value[:, :, 4:] += 1
    after = attend(query, key, value, causal=True)
    assert torch.equal(after[:, :, :4], before[:, :, :4]) and not torch.allclose(after, before)


@settings(max_examples=40, deadline=None)
@given(order=st.permutations(range(6)), seed=st.integers(0, 2**20))
def test_the_order_of_places_is_of_no_matter(order: list[int], seed: int) -> None:
    """Self-attention is equivariant: permuted inputs give the same outputs, permuted."""
    x = torch.randn(1, 2, 6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    y = attend(x, x, x)
    moved = x[:, :, order]
    torch.testing.assert_close(attend(moved, moved, moved), y[:, :, order], rtol=0, atol=1e-12)
    torch.testing.assert_close(attend(x, moved, moved), y, rtol=0, atol=1e-12)  # keys and values: invariant


def test_a_causal_mask_breaks_that_symmetry() -> None:
    x = torch.randn(1, 1, 6, 4, dtype=torch.float64)
    moved = x.flip(2)
    assert not torch.allclose(attend(moved, moved, moved, causal=True), attend(x, x, x, causal=True).flip(2))


@pytest.mark.parametrize("depth", [4, 64, 1024])
def test_the_root_keeps_the_softmax_awake(depth: int) -> None:
    """Footnote 4: undivided, scores deviate by sqrt(depth); the weights saturate and gradients vanish."""
    plain, scaled = saturation(depth, scaled=False), saturation(depth, scaled=True)
    assert plain.deviation == pytest.approx(math.sqrt(depth), rel=0.05)
    assert scaled.deviation == pytest.approx(1, rel=0.05)
    assert scaled.largest < 0.35 and scaled.gradient > 0.25  # whatever the depth
    if depth == 1024:
        assert plain.largest > 0.95 and plain.gradient < 0.2 * scaled.gradient


def test_the_undivided_softmax_saturates_more_with_each_doubling() -> None:
    found = [saturation(2**k, scaled=False) for k in range(3, 11)]
    assert [f.largest for f in found] == sorted(f.largest for f in found)
    assert [f.gradient for f in found][2:] == sorted((f.gradient for f in found[2:]), reverse=True)


def test_scores_too_large_for_an_exponential() -> None:
    query, key, value = triple(dtype=torch.float64)
    answer = attend(query * 1e4, key * 1e4, value)
    assert answer.isfinite().all()
    torch.testing.assert_close(answer, attend_by_hand(query * 1e4, key * 1e4, value), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision(kind: torch.dtype) -> None:
    given = [x.to(kind) for x in triple()]
    expected = attend(*(x.float() for x in given), causal=True)
    torch.testing.assert_close(attend(*given, causal=True).float(), expected, rtol=0.02, atol=0.02)


def test_dropout_drops_weights_and_keeps_the_mean() -> None:
    ones = torch.ones(1, 1, 4, 8)
    heard = torch.stack([attend(ones, ones, ones, dropout=0.5) for _ in range(400)])
    assert heard.std() > 0.1
    torch.testing.assert_close(heard.mean(), torch.tensor(1.0), rtol=0, atol=0.05)


def test_two_axes_are_enough() -> None:
    query, key, value = (x[0, 0] for x in triple())
    whole = attend(query[None, None], key[None, None], value[None, None], causal=True)[0, 0]
    torch.testing.assert_close(attend(query, key, value, causal=True), whole)


def test_bad_input_is_refused() -> None:
    query, key, value = triple()
    for wrong, words in (
        (lambda: attend(query, key[0], value[0]), "equally many axes"),
        (lambda: attend(query[..., :0], key[..., :0], value), "1 or more"),
        (lambda: attend(query[:, :3], key[:, :2], value[:, :2]), "heads of queries may be a multiple"),
        (lambda: attend(query, key, value, torch.ones(5, 6).bool()), r"mask has shape \(5, 6\)"),
        (lambda: attend(query, key, value, torch.ones(3, 1, 1, 6, 6).bool()), "must be broadcastable"),
        (lambda: attend(query, key, value, torch.ones(6, 6).long()), "mask has dtype torch.int64"),
        (lambda: attend(query, key, value, dropout=1.0), "dropout is 1.0"),
        (lambda: saturation(0, scaled=True), "depth is 0"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
