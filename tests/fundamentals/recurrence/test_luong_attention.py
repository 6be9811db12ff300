"""Multiplicative attention against Keras's and torch's."""

import os

import pytest
import torch
import torch.nn.functional as F

from fathom.fundamentals.recurrence.luong_attention import LuongAttention

os.environ.setdefault("KERAS_BACKEND", "torch")
MASK = torch.arange(7) < torch.tensor([4, 7])[:, None]


def draws(width: int, memory: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(2, 5, width), torch.randn(2, 7, memory)


def test_dot_is_that_of_keras() -> None:
    import keras

    query, memory = draws(4, 4)
    seen, weights = LuongAttention(4, 4)(query, memory, MASK)
    theirs = keras.layers.Attention()
    expected, shares = theirs([query, memory], mask=[None, MASK], return_attention_scores=True)
    torch.testing.assert_close(weights, shares, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(seen, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("score", ["dot", "general"])
def test_dot_and_general_are_torchs(score: str) -> None:
    layer = LuongAttention(4, 4 if score == "dot" else 3, score).double()  # type: ignore[arg-type]
    query, memory = (part.double().requires_grad_() for part in draws(4, 4 if score == "dot" else 3))
    keys = memory if score == "dot" else memory @ layer.general.weight.T
    expected = F.scaled_dot_product_attention(query, keys, memory, MASK[:, None], scale=1.0)
    seen, _ = layer(query, memory, MASK)
    torch.testing.assert_close(seen, expected, rtol=1e-10, atol=1e-12)
    leaves = [query, memory, *layer.parameters()]
    ours = torch.autograd.grad(seen.square().sum(), leaves, retain_graph=True)
    theirs = torch.autograd.grad(expected.square().sum(), leaves)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


def test_concat_is_that_of_keras() -> None:
    """Keras adds query and key, scales the tanh's input by one number and the sum by another."""
    import keras

    layer = LuongAttention(4, 3, "concat", 6)
    query, memory = draws(4, 3)
    with torch.no_grad():
        layer.score.weight.fill_(0.7)
        seen, weights = layer(query, memory, MASK)
        joined = layer.join.weight
        asked, keys = query @ joined[:, :4].T, memory @ joined[:, 4:].T
    theirs = keras.layers.Attention(score_mode="concat")
    theirs.build([asked.shape, memory.shape, keys.shape])
    theirs.set_weights([torch.tensor(0.7).numpy()])
    expected, shares = theirs([asked, memory, keys], mask=[None, MASK], return_attention_scores=True)
    torch.testing.assert_close(weights, shares, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(seen, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("score", ["dot", "general", "concat"])
def test_steps_with_keys_made_before_are_the_whole(score: str) -> None:
    layer = LuongAttention(4, 4, score)  # type: ignore[arg-type]
    query, memory = draws(4, 4)
    (whole, look), keys = layer(query, memory, MASK), layer.keys(memory)
    for t in range(5):
        seen, weights = layer(query[:, t : t + 1], memory, MASK, keys)
        torch.testing.assert_close(seen, whole[:, t : t + 1])
        torch.testing.assert_close(weights, look[:, t : t + 1])


def test_it_looks_where_the_states_are_alike() -> None:
    seen, weights = LuongAttention(6, 6)(30 * torch.eye(6)[None, 2:3], torch.eye(6)[None])
    assert weights[0, 0, 2] > 0.999 and seen[0, 0].argmax() == 2


def test_bad_input_is_refused() -> None:
    for wrong, words in (
        (lambda: LuongAttention(4, 0), "memory is 0"),
        (lambda: LuongAttention(4, 3), "query is 4 and memory 3 .* score='general'"),
        (lambda: LuongAttention(4, 3, "concat", 0), "width is 0"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
    with pytest.raises((ValueError, TypeError), match="score"):
        LuongAttention(4, 4, "location")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"mask is torch\.bool of shape"):
        LuongAttention(4, 4)(*draws(4, 4), MASK[:, :6])
