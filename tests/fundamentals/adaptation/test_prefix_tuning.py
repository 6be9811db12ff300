"""Prefix tuning against peft: its prefix in transformers' GPT-2 and LLaMA, and read on with a cache here."""

from typing import Any

import pytest
import torch
from tests.fundamentals.adaptation.peers import MODELS, TOKENS, drawn
from torch import nn

from fathom.architectures.transformers import gpt2, llama
from fathom.fundamentals.adaptation.prefix_tuning import Prefixed
from fathom.fundamentals.positions.rotary import frequencies, rotary_tables, rotate
from fathom.training.adaptation import Prefix

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"
)


def pair(name: str) -> tuple[nn.Module, Any]:
    """Ours and that of transformers, with the same weights."""
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

    model: Any = MODELS[name]()
    if name == "gpt2":
        other: Any = GPT2LMHeadModel(
            GPT2Config(
                vocab_size=17, n_positions=16, n_embd=12, n_layer=2, n_head=3, bos_token_id=0, eos_token_id=0
            )
        )
        other.load_state_dict(gpt2.to_transformers(model))
    else:
        other = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=17, max_position_embeddings=16, hidden_size=12, num_hidden_layers=2,
                num_attention_heads=6, num_key_value_heads=2, intermediate_size=20, rms_norm_eps=1e-5,
            )
        )  # fmt: skip
        other.load_state_dict(llama.to_transformers(model))
    return model, other.eval()


def both(name: str) -> tuple[nn.Module, Any, Any, list[Prefixed], torch.Tensor]:
    """Ours with a prefix of three places, transformers', and peft's; our layers, and the table of peft's."""
    from peft import PrefixTuningConfig, get_peft_model

    model, other = pair(name)
    Prefix(length=3).apply(model)
    theirs: Any = get_peft_model(
        other, PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)
    ).eval()
    layers = [layer for layer in model.modules() if isinstance(layer, Prefixed)]
    table = theirs.prompt_encoder["default"].embedding.weight  # (p, layers * 2 * g * e)
    found = table.detach().view(3, 2 * len(layers), *layers[0].keys.shape[::2])
    for i, layer in enumerate(layers):
        for own, part in ((layer.keys, found[:, 2 * i]), (layer.values, found[:, 2 * i + 1])):
            own.data.copy_(part.transpose(0, 1))
    return model, other, theirs, layers, table


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_equals_peft_itself_where_its_text_stands_three_places_on(name: str) -> None:
    """It counts the places of the text after those of the prefix: so does ours, with all turned by three."""
    model, _, theirs, layers, _ = both(name)
    with torch.no_grad():
        if name == "gpt2":  # a text that begins at place 3 reads the rows from 3 on
            positions: Any = model.positions
            positions.weight.copy_(positions.weight.roll(-3, 0))
        else:  # a query three places on meets a key as one from 0 meets the key three places back
            tables = rotary_tables(torch.full((3,), -3), frequencies(layers[0].keys.shape[-1]))
            for layer in layers:
                layer.keys.copy_(rotate(layer.keys, *tables))
    torch.testing.assert_close(model(TOKENS), theirs(TOKENS).logits, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_equals_transformers_with_the_prefix_of_peft(name: str) -> None:
    model, other, theirs, layers, table = both(name)
    made = model(TOKENS)
    place = torch.arange(7).expand(2, -1)  # counted as without a prefix
    wanted = other(
        TOKENS, past_key_values=theirs.get_prompt(2), position_ids=place, attention_mask=torch.ones(2, 10)
    ).logits
    torch.testing.assert_close(made, wanted, rtol=1e-5, atol=1e-5)
    for out in (made, wanted):
        out.square().mean().backward()
    grad = table.grad.view(3, 2 * len(layers), *layers[0].keys.shape[::2])
    for i, layer in enumerate(layers):
        assert layer.keys.grad is not None and layer.values.grad is not None
        torch.testing.assert_close(layer.keys.grad, grad[:, 2 * i].transpose(0, 1), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(
            layer.values.grad, grad[:, 2 * i + 1].transpose(0, 1), rtol=1e-4, atol=1e-5
        )
    assert all(p.grad is None for n, p in model.named_parameters() if not n.endswith((".keys", ".values")))


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_reading_on_sees_the_prefix_at_every_token(name: str) -> None:
    model: Any = MODELS[name]()
    Prefix(length=3).apply(model)
    for layer in model.modules():
        if isinstance(layer, Prefixed):
            nn.init.normal_(layer.keys)
            nn.init.normal_(layer.values)
    whole = model(TOKENS)
    cache = model.cache(2)
    read = [model.read(TOKENS[:, :3], cache), *(model.read(TOKENS[:, i : i + 1], cache) for i in range(3, 7))]
    torch.testing.assert_close(torch.stack(read, dim=1), whole[:, 2:], rtol=1e-4, atol=1e-5)
    states = [torch.zeros(2, *shape) for _, shape in model.cfg.states]
    for i in range(7):
        scores, *states = model(TOKENS[:, i], *states)
        torch.testing.assert_close(scores, whole[:, i], rtol=1e-4, atol=1e-5)


def test_padding_is_not_looked_at_and_the_prefix_is() -> None:
    model: Any = MODELS["bert"]()
    before = model(TOKENS)
    Prefix(length=2).apply(model)
    drawn(model)
    padded = torch.nn.functional.pad(TOKENS, (0, 4))
    torch.testing.assert_close(model(padded), model(TOKENS), rtol=1e-4, atol=1e-5)
    assert (model(TOKENS) - before).abs().max() > 1e-3


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="length is 0; it must be 1 or more"):
        Prefix(length=0)
