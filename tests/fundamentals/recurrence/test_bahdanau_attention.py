"""Additive attention against Keras's, and what a mask hides."""

import os

import pytest
import torch
from torch import nn

from fathom.fundamentals.recurrence.bahdanau_attention import BahdanauAttention, look

os.environ.setdefault("KERAS_BACKEND", "torch")


def test_weights_contexts_and_gradients_are_those_of_keras() -> None:
    """Keras adds and scales; the products W q and U m are made before, by hand."""
    import keras

    layer = BahdanauAttention(4, 3, 6)
    query, memory = torch.randn(2, 5, 4, requires_grad=True), torch.randn(2, 7, 3, requires_grad=True)
    mask = torch.arange(7) < torch.tensor([4, 7])[:, None]
    seen, weights = layer(query, memory, mask)
    theirs = keras.layers.AdditiveAttention(use_scale=True)
    w, u, v = (weight.detach() for weight in layer.parameters())
    asked, keys = (query @ w.T).detach().requires_grad_(), (memory @ u.T).detach().requires_grad_()
    theirs.build([asked.shape, (2, 7, 3), keys.shape])
    theirs.set_weights([v[0].numpy()])
    expected, shares = theirs([asked, memory.detach(), keys], mask=[None, mask], return_attention_scores=True)
    torch.testing.assert_close(weights, shares, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(seen, expected, rtol=1e-5, atol=1e-6)
    goal = torch.randn(2, 5, 3)
    slope = torch.autograd.grad((seen * goal).sum(), list(layer.parameters()))
    (expected * goal).sum().backward()
    torch.testing.assert_close(slope[2][0], theirs.trainable_variables[0].value.grad, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(slope[0], (asked.grad.mT @ query).sum(0).detach(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(slope[1], (keys.grad.mT @ memory).sum(0).detach(), rtol=1e-4, atol=1e-4)


def test_keys_are_computed_once_for_a_writer_that_goes_step_by_step() -> None:
    layer, query, memory = BahdanauAttention(4, 3, 6), torch.randn(2, 5, 4), torch.randn(2, 7, 3)
    whole, keys = layer(query, memory)[0], layer.keys(memory)
    for t in range(5):
        torch.testing.assert_close(layer(query[:, t : t + 1], memory, None, keys)[0], whole[:, t : t + 1])


def test_what_is_hidden_is_not_seen() -> None:
    layer, query, memory = BahdanauAttention(4, 3, 6), torch.randn(2, 5, 4), torch.randn(2, 7, 3)
    mask = torch.arange(7) < torch.tensor([4, 0])[:, None]
    seen, weights = layer(query, memory, mask)
    other = memory.masked_fill(~mask[:, :, None], 1e6)
    assert torch.equal(layer(query, other, mask)[0], seen)
    assert not weights[0, :, 4:].any()
    torch.testing.assert_close(weights[0].sum(dim=1), torch.ones(5))
    torch.testing.assert_close(seen[:1], layer(query[:1], memory[:1, :4])[0])
    assert not seen[1].any() and not weights[1].any()  # nothing to see: zeros, not NaN
    seen.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in layer.parameters())


def test_an_alignment_is_learned_from_answers_alone() -> None:
    """The answer to a key is the number that stands beside it; where it stands is never told."""
    torch.manual_seed(0)
    layer, size = BahdanauAttention(6, 7, 32), 6
    adam = torch.optim.Adam(layer.parameters(), 0.02)
    for _ in range(150):
        keys = torch.stack([torch.eye(size)[torch.randperm(size)] for _ in range(32)])
        memory = torch.cat([keys, torch.randn(32, size, 1)], dim=2)
        seen, weights = layer(keys[:, 2:3], memory)
        loss = (seen[:, 0, -1] - memory[:, 2, -1]).square().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    assert (weights[:, 0].argmax(dim=1) == 2).all() and weights[:, 0, 2].min() > 0.8


def test_bad_input_is_refused() -> None:
    scores, memory = torch.randn(2, 5, 7), torch.randn(2, 7, 3)
    for wrong, words in (
        (lambda: BahdanauAttention(0, 3, 6), "query is 0"),
        (lambda: BahdanauAttention(4, 3, 0), "width is 0"),
        (lambda: look(scores, memory, torch.ones(2, 5, dtype=torch.bool)), r"bool of shape \(2, 5\)"),
        (lambda: look(scores, memory, torch.ones(2, 7)), "torch.float32"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
    assert isinstance(BahdanauAttention(4, 3, 6).score, nn.Linear)
