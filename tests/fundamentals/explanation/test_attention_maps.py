"""Noted maps against transformers' own, and against what attention makes of them; and what they must be."""

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from einops import rearrange
from tests.architectures.transformers import test_bert, test_gpt2, test_llama
from torch import Tensor, nn

from fathom.architectures.transformers import bert, gpt2, llama
from fathom.fundamentals.attention.multi_head import MultiHeadAttention
from fathom.fundamentals.attention.scaled_dot_product import attend
from fathom.fundamentals.attention.sliding_window import sliding_window_mask
from fathom.fundamentals.explanation.attention_maps import distances, entropies, noted_attention
from fathom.fundamentals.positions.alibi import alibi_bias

GPT2, BERT, LLAMA = test_gpt2.SMALL, test_bert.SMALL, test_llama.SMALL
MODELS: dict[str, Any] = {
    "gpt2": GPT2,
    "llama, shared keys": LLAMA,
    "mistral": replace(LLAMA, window=5, groups=1),
    "qwen 3": replace(LLAMA, query_key_norm=True, head_width=16),
    "bert, words": BERT,
    "bert, classes": test_bert.CLASSES,
}
EVERY = pytest.mark.parametrize("name", list(MODELS))


def built(name: str) -> nn.Module:
    """Weights from a wide distribution, so that heads do not look evenly."""
    model = MODELS[name].build().eval()
    for key, weight in model.named_parameters():
        nn.init.normal_(weight, 1.0 if "norm" in key else 0.0, 0.3)
    return model


def texts(name: str) -> Tensor:
    token = torch.randint(1, 19, (3, 16))
    if "bert" in name:
        token[1, 9:] = token[2, 2:] = bert.PADDING
    return token


def noted(model: nn.Module, *given: Any, **named: Any) -> list[Tensor]:
    with noted_attention() as maps, torch.no_grad():
        model(*given, **named)
    return maps


def value_of(layer: nn.Module, x: Tensor) -> Tensor:
    """(b, k, s, e), by the layer's own projection."""
    if isinstance(layer, gpt2.Attention):
        return rearrange(layer.qkv(x), "b s (three k e) -> three b k s e", three=3, k=layer.heads)[2]
    if isinstance(layer, llama.Attention):
        shared = rearrange(layer.value(x), "b s (g e) -> b g s e", e=layer.cfg.e)
        return shared.repeat_interleave(layer.cfg.heads // layer.cfg.groups, dim=1)
    assert isinstance(layer, MultiHeadAttention)
    return rearrange(layer.value(x), "b s (k e) -> b k s e", k=layer.heads)


@EVERY
@torch.no_grad()
def test_maps_times_values_are_what_the_layer_gives(name: str) -> None:
    model, seen = built(name), []
    kinds = (gpt2.Attention, llama.Attention, MultiHeadAttention)
    layers = [part for part in model.modules() if isinstance(part, kinds)]
    for layer in layers:
        layer.register_forward_hook(lambda layer, given, made: seen.append((layer, given[0], made)))
    maps = noted(model, texts(name))
    assert len(maps) == len(seen) == 3
    for weights, (layer, x, made) in zip(maps, seen, strict=True):
        heard = rearrange(weights @ value_of(layer, x), "b k t e -> b t (k e)")
        assert float((layer.out(heard) - made).abs().max()) <= 1e-6 * max(1.0, float(made.abs().max()))


@EVERY
def test_rows_sum_to_one_and_nothing_hidden_is_looked_at(name: str) -> None:
    token = texts(name)
    maps = torch.stack(noted(built(name), token))
    torch.testing.assert_close(maps.sum(dim=-1), torch.ones(3, 3, 4, 16), rtol=0, atol=1e-6)
    if "bert" in name:
        assert maps[:, 1, :, :, 9:].eq(0).all() and maps[:, 2, :, :, 2:].eq(0).all()
        assert maps[:, 0].gt(0).all()
    else:
        window = MODELS[name].window if name == "mistral" else 16
        allowed = sliding_window_mask(16, 16, window)
        assert maps[..., ~allowed].eq(0).all() and maps[..., allowed].gt(0).all()
    assert float(maps.std(dim=-1).mean()) > 0.02  # not even, or little would be shown


@EVERY
def test_the_model_answers_as_it_does_without(name: str) -> None:
    model, token = built(name), texts(name)
    with torch.no_grad():
        alone = model(token)
        with noted_attention():
            assert torch.equal(model(token), alone)
    with noted_attention() as maps:
        pass
    model(token)
    assert not maps, "noted outside"


def eager(other: Any) -> Any:
    other.set_attn_implementation("eager")
    return other.eval()


def test_maps_of_gpt2_equal_transformers() -> None:
    other = eager(test_gpt2.theirs())
    token = torch.randint(19, (3, 16))
    compare(noted(test_gpt2.ours(other), token), other(token, output_attentions=True))


@pytest.mark.parametrize("kind", ["BertForMaskedLM", "BertForSequenceClassification"])
def test_maps_of_bert_equal_transformers(kind: str) -> None:
    other = eager(test_bert.theirs(kind))
    cfg = test_bert.CLASSES if "Sequence" in kind else BERT
    model = bert.filled(cfg.build(), other.state_dict()).eval()
    token, segment, mask = test_bert.texts()
    asked = other(token, token_type_ids=segment, attention_mask=mask, output_attentions=True)
    compare(noted(model, token, segment), asked)


@pytest.mark.parametrize("kind", list(test_llama.KINDS))
def test_maps_of_llama_and_its_neighbours_equal_transformers(kind: str) -> None:
    other = eager(test_llama.theirs(kind))
    token = torch.randint(19, (3, 24))
    compare(noted(test_llama.ours(kind, other), token), other(token, output_attentions=True))


def compare(maps: list[Tensor], theirs: Any) -> None:
    assert len(maps) == len(theirs.attentions) == 3
    for ours, other in zip(maps, theirs.attentions, strict=True):
        assert ours.std(dim=-1).mean() > 0.01
        torch.testing.assert_close(ours, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("need_weights", [True, False])
def test_torchs_own_layer_is_seen(need_weights: bool) -> None:
    layer = nn.MultiheadAttention(8, 2, dropout=0.5, batch_first=True).eval()
    x, hidden = torch.randn(3, 5, 8), torch.ones(5, 5, dtype=torch.bool).triu(1)
    (weights,) = noted(layer, x, x, x, attn_mask=hidden, need_weights=need_weights)
    _, expected = layer(x, x, x, attn_mask=hidden, need_weights=True, average_attn_weights=False)
    torch.testing.assert_close(weights, expected)
    assert weights.shape == (3, 2, 5, 5) and weights[..., hidden].eq(0).all()


def test_torchs_encoder_is_seen_layer_by_layer() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False).eval()
    filling = torch.tensor([[False] * 5, [False, False, True, True, True]])
    x = torch.randn(2, 5, 8)
    maps = noted(model, x, src_key_padding_mask=filling)
    assert [m.shape for m in maps] == [(2, 2, 5, 5)] * 3
    assert all(m[1, :, :, 2:].eq(0).all() for m in maps)


@torch.no_grad()
def test_every_way_in_gives_the_weights_that_were_used() -> None:
    """Distances added to scores, scales, fewer queries, shared and single keys, dropout, half precision."""
    query, key, value = torch.randn(3, 2, 4, 6, 8).unbind()
    added = alibi_bias(4, 6, 6)
    with noted_attention() as maps:
        made = [
            attend(query, key, value, added),
            attend(query, key, value, causal=True, scale=0.7),
            attend(query[:, :, :2], key, value, causal=True),
            attend(query, key[:, :2], value[:, :2]),
            F.scaled_dot_product_attention(query[:, :, :2], key, value, None, 0.0, True),
            F.scaled_dot_product_attention(query, key[:1, :1], value),
            F.scaled_dot_product_attention(query[0, 0], key[0, 0], value[0, 0]),
        ]
        F.scaled_dot_product_attention(query, key, value, dropout_p=0.9)
        half = attend(query.bfloat16(), key.bfloat16(), value.bfloat16(), added.bfloat16())
    shared = value[:, :2].repeat_interleave(2, dim=1)
    values = [value, value, value, shared, value, value, value[0, 0]]
    for weights, v, expected in zip(maps, values, made, strict=False):
        torch.testing.assert_close(weights @ v, expected, rtol=1e-6, atol=1e-6)
    assert len(maps) == 9 and maps[8].dtype == torch.float32
    torch.testing.assert_close(maps[7], (query @ key.mT / 8**0.5).softmax(dim=-1))
    torch.testing.assert_close(maps[8] @ value, half.float(), rtol=0.02, atol=0.02)


def test_gradients_pass_as_without() -> None:
    query = torch.randn(1, 2, 3, 4, requires_grad=True)
    with noted_attention() as maps:
        F.scaled_dot_product_attention(query, query, query).sum().backward()
    assert query.grad is not None and not maps[0].requires_grad


def test_distance_and_entropy_at_the_ends() -> None:
    n = 7
    itself, even = torch.eye(n), torch.full((n, n), 1 / n)
    assert distances(itself).eq(0).all() and entropies(itself).eq(0).all()
    torch.testing.assert_close(entropies(even).exp(), torch.full((n,), float(n)))
    before = torch.eye(n).roll(1, dims=0)
    assert distances(before)[1:].eq(1).all() and distances(before)[0] == n - 1
    assert distances(even)[3] == pytest.approx(12 / 7)  # 3 2 1 0 1 2 3
