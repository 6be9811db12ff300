"""Multi-head attention against torch's, weight for weight, and with shared keys against transformers'."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fathom.fundamentals.attention.multi_head import MultiHeadAttention


def torchs(ours: MultiHeadAttention, width: int) -> nn.MultiheadAttention:
    """A layer of torch with the weights of ``ours``: it packs the three projections into one matrix."""
    own = ours.state_dict()
    theirs = nn.MultiheadAttention(width, ours.heads, batch_first=True).to(own["out.weight"].dtype)
    theirs.load_state_dict(
        {
            "in_proj_weight": torch.cat([own[f"{n}.weight"] for n in ("query", "key", "value")]),
            "in_proj_bias": torch.cat([own[f"{n}.bias"] for n in ("query", "key", "value")]),
            "out_proj.weight": own["out.weight"],
            "out_proj.bias": own["out.bias"],
        }
    )
    return theirs


@pytest.mark.parametrize("heads", [1, 2, 4])
@pytest.mark.parametrize("causal", [False, True])
def test_equals_torch_weight_for_weight(heads: int, causal: bool) -> None:
    ours = MultiHeadAttention(8, heads)
    for bias in (ours.query.bias, ours.key.bias, ours.value.bias, ours.out.bias):
        nn.init.normal_(bias)
    theirs = torchs(ours, 8)
    hidden = ~torch.ones(5, 5).tril().bool() if causal else None  # torch's mask says who may not look
    one = torch.randn(3, 5, 8, requires_grad=True)
    two = one.detach().clone().requires_grad_()
    answer, rough = ours(one, causal=causal), torch.randn(3, 5, 8)
    expected, maps = theirs(two, two, two, attn_mask=hidden, average_attn_weights=False)
    torch.testing.assert_close(answer, expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(ours.weights(one, causal=causal), maps, rtol=1e-6, atol=1e-6)
    (answer * rough).sum().backward()
    (expected * rough).sum().backward()
    torch.testing.assert_close(one.grad, two.grad, rtol=1e-5, atol=1e-5)
    packed = torch.cat([ours.query.weight.grad, ours.key.weight.grad, ours.value.weight.grad])  # type: ignore[list-item]
    torch.testing.assert_close(packed, theirs.in_proj_weight.grad, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours.out.weight.grad, theirs.out_proj.weight.grad, rtol=1e-5, atol=1e-5)


def test_filling_is_hidden_as_torch_hides_it() -> None:
    ours = MultiHeadAttention(8, 2)
    filling = torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
    x = torch.randn(2, 5, 8)
    expected, _ = torchs(ours, 8)(x, x, x, key_padding_mask=filling)
    answer = ours(x, ~filling[:, None, None, :])
    torch.testing.assert_close(answer, expected, rtol=1e-6, atol=1e-6)
    x[1, 3:] = 7.0
    torch.testing.assert_close(ours(x, ~filling[:, None, None, :])[1, :3], answer[1, :3])


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_shared_keys_are_those_of_transformers(groups: int) -> None:
    """LLaMA's attention with all angles at zero, that is, without positions."""
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaAttention

    config = LlamaConfig(
        hidden_size=16, num_attention_heads=4, num_key_value_heads=groups, attention_bias=True
    )
    config._attn_implementation = "eager"
    theirs, ours = LlamaAttention(config, 0).eval(), MultiHeadAttention(16, 4, groups=groups)
    names = {"q_proj": "query", "k_proj": "key", "v_proj": "value", "o_proj": "out"}
    state = {f"{names[n.split('.')[0]]}.{n.split('.')[1]}": t for n, t in theirs.state_dict().items()}
    ours.load_state_dict(state)
    x = torch.randn(2, 5, 16)
    mask = torch.full((5, 5), -torch.inf).triu(1)
    nowhere = torch.ones(2, 5, 4), torch.zeros(2, 5, 4)  # cosine and sine of no turn
    expected, _ = theirs(x, nowhere, mask)
    torch.testing.assert_close(ours(x, causal=True), expected, rtol=1e-6, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(order=st.permutations(range(5)))
def test_without_positions_it_does_not_know_the_order(order: list[int]) -> None:
    layer = MultiHeadAttention(8, 4, groups=2).double()
    x = torch.randn(2, 5, 8, dtype=torch.float64)
    torch.testing.assert_close(layer(x[:, order]), layer(x)[:, order], rtol=0, atol=1e-12)


def test_heads_look_at_different_places() -> None:
    """One head is all taken up by the first place, the other by the last: one softmax could not."""
    layer = MultiHeadAttention(4, 2, bias=False).double()
    with torch.no_grad():
        layer.query.weight.copy_(torch.eye(4) * 50)
        layer.key.weight.copy_(torch.eye(4))
    x = torch.tensor([[[1.0, 0, 0, 0], [0.5, 0, 0.5, 0], [0, 0, 1.0, 0]]], dtype=torch.float64)
    maps = layer.weights(x)[0, :, 1]
    assert maps[0].argmax() == 0 and maps[1].argmax() == 2 and maps.amax(dim=1).min() > 0.99


def test_number_of_weights() -> None:
    def count(layer: nn.Module) -> int:
        return sum(p.numel() for p in layer.parameters())

    assert count(MultiHeadAttention(16, 4)) == count(nn.MultiheadAttention(16, 4)) == 4 * 16 * 17
    assert count(MultiHeadAttention(16, 4, groups=1, bias=False)) == 2 * 16 * 16 + 2 * 16 * 4


def test_dropout_is_there_in_training_only() -> None:
    layer = MultiHeadAttention(8, 2, dropout=0.5)
    x = torch.randn(1, 6, 8)
    assert not torch.equal(layer(x), layer(x))
    layer.eval()
    assert torch.equal(layer(x), layer(x))


def test_bad_sizes_are_refused() -> None:
    for wrong, words in (
        (lambda: MultiHeadAttention(8, 3), "width is 8, heads 3"),
        (lambda: MultiHeadAttention(8, 0), "heads 0"),
        (lambda: MultiHeadAttention(8, 4, groups=3), "groups is 3; it must divide the 4 heads"),
        (lambda: MultiHeadAttention(8, 4, dropout=-0.1), "dropout is -0.1"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
