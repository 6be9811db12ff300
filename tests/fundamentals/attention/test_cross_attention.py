"""Cross-attention against torch's, and inside a decoder layer against torch's whole one."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fathom.fundamentals.attention.cross_attention import CrossAttention
from fathom.fundamentals.attention.multi_head import MultiHeadAttention

FILLED = torch.tensor([[True] * 7, [True] * 4 + [False] * 3])


def copied(theirs: nn.MultiheadAttention, ours: nn.Module) -> None:
    """The weights of torch into ours."""
    query, key, value = theirs.in_proj_weight.detach().chunk(3)
    biases = theirs.in_proj_bias.detach().chunk(3)
    names = ("query", "key", "value")
    state = {f"{n}.weight": w for n, w in zip(names, (query, key, value), strict=True)}
    state |= {f"{n}.bias": b for n, b in zip(names, biases, strict=True)}
    state |= {f"out.{n}": w.detach() for n, w in theirs.out_proj.named_parameters()}
    ours.load_state_dict(state)


@pytest.mark.parametrize("present", [None, FILLED])
def test_equals_torch_weight_for_weight(present: Tensor | None) -> None:
    theirs, ours = nn.MultiheadAttention(8, 2, batch_first=True), CrossAttention(8, 2)
    nn.init.normal_(theirs.in_proj_bias)
    copied(theirs, ours)
    given = torch.randn(2, 3, 8), torch.randn(2, 7, 8)
    one, two = ([x.clone().requires_grad_() for x in given] for _ in range(2))
    hidden = None if present is None else ~present
    expected, maps = theirs(two[0], two[1], two[1], key_padding_mask=hidden, average_attn_weights=False)
    answer, rough = ours(one[0], one[1], present), torch.randn(2, 3, 8)
    torch.testing.assert_close(answer, expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(ours.weights(one[0], one[1], present), maps, rtol=1e-6, atol=1e-6)
    (answer * rough).sum().backward()
    (expected * rough).sum().backward()
    for a, b in zip(one, two, strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-5, atol=1e-5)


def test_a_memory_of_another_width_equals_torch() -> None:
    theirs = nn.MultiheadAttention(8, 2, kdim=5, vdim=5, batch_first=True)
    ours = CrossAttention(8, 2, memory_width=5)
    state = {f"{n}.weight": getattr(theirs, f"{n[0]}_proj_weight") for n in ("query", "key", "value")}
    biases = theirs.in_proj_bias.detach().chunk(3)
    state |= {f"{n}.bias": b for n, b in zip(("query", "key", "value"), biases, strict=True)}
    ours.load_state_dict(state | {f"out.{n}": w for n, w in theirs.out_proj.named_parameters()})
    x, memory = torch.randn(2, 3, 8), torch.randn(2, 6, 5)
    torch.testing.assert_close(ours(x, memory), theirs(x, memory, memory)[0], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("norm_first", [False, True])
def test_a_decoder_layer_made_of_it_equals_torchs(norm_first: bool) -> None:
    """Self-attention, cross-attention, two dense layers, norms first or last: nn.TransformerDecoderLayer."""
    theirs = nn.TransformerDecoderLayer(8, 2, 16, dropout=0.0, batch_first=True, norm_first=norm_first)
    own, cross = MultiHeadAttention(8, 2), CrossAttention(8, 2)
    copied(theirs.self_attn, own)
    copied(theirs.multihead_attn, cross)
    x, memory = torch.randn(2, 5, 8), torch.randn(2, 7, 8)

    def dense(x: Tensor) -> Tensor:
        return theirs.linear2(F.relu(theirs.linear1(x)))

    y = x
    for part, norm in (
        (lambda y: own(y, causal=True), theirs.norm1),
        (lambda y: cross(y, memory, FILLED), theirs.norm2),
        (dense, theirs.norm3),
    ):
        y = y + part(norm(y)) if norm_first else norm(y + part(y))
    later = nn.Transformer.generate_square_subsequent_mask(5)
    expected = theirs(x, memory, tgt_mask=later, tgt_is_causal=True, memory_key_padding_mask=~FILLED)
    torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-5)


def test_a_remembered_memory_serves_every_step() -> None:
    layer = CrossAttention(8, 4)
    x, memory = torch.randn(2, 5, 8), torch.randn(2, 7, 8)
    whole, kept = layer(x, memory, FILLED), layer.remember(memory)
    for t in range(5):
        torch.testing.assert_close(layer(x[:, t : t + 1], kept, FILLED), whole[:, t : t + 1])


def test_the_order_of_the_memory_is_of_no_matter_and_filling_is_not_seen() -> None:
    layer = CrossAttention(8, 2).double()
    x, memory = torch.randn(2, 3, 8).double(), torch.randn(2, 7, 8).double()
    torch.testing.assert_close(layer(x, memory[:, torch.randperm(7)]), layer(x, memory), rtol=0, atol=1e-12)
    other = memory.clone()
    other[1, 4:] = 99.0
    assert torch.equal(layer(x, other, FILLED), layer(x, memory, FILLED))


def test_bad_sizes_are_refused() -> None:
    for wrong, words in (
        (lambda: CrossAttention(8, 3), "width is 8, heads 3"),
        (lambda: CrossAttention(8, 2, memory_width=0), "memory_width is 0"),
        (lambda: CrossAttention(8, 2, dropout=1.0), "dropout is 1.0"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
