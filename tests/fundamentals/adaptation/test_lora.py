"""LoRA against peft: the same change beside the layers of a GPT-2, a BERT and a LLaMA, and merged."""

from typing import Any

import pytest
import torch
from tests.fundamentals.adaptation.peers import MODELS, TOKENS, equal, injected, merged_weights
from torch import nn

from fathom.fundamentals.adaptation.lora import LowRank
from fathom.training.adaptation import LoRA, merge

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.mark.parametrize("name", list(MODELS))
@pytest.mark.parametrize("layers", [("qkv", "query", "value"), ("out", "wide")])
def test_equals_peft(name: str, layers: tuple[str, ...]) -> None:
    from peft import LoraConfig

    model = MODELS[name]()
    there = {place.rpartition(".")[2] for place, _ in model.named_modules()}
    layers = tuple(layer for layer in layers if layer in there)
    config = LoraConfig(r=3, lora_alpha=5, target_modules=list(layers), init_lora_weights=False)
    theirs = injected(model, config)
    LoRA(rank=3, alpha=5.0, layers=layers).apply(model)
    pairs = []
    for place, layer in model.named_modules():
        if isinstance(layer, LowRank):
            other: Any = theirs.get_submodule(place)
            for own, name_there in ((layer.down, "lora_A"), (layer.up, "lora_B")):
                weight = getattr(other, name_there)["default"].weight
                own.weight.data.copy_(weight)
                pairs.append((own.weight, weight))
    equal(model, theirs, pairs)

    before = model(TOKENS).detach()
    merge(model)
    assert not any(isinstance(layer, LowRank) for layer in model.modules())
    torch.testing.assert_close(model(TOKENS), before, rtol=1e-5, atol=1e-5)
    wanted = merged_weights(theirs)
    assert len(wanted) == len(pairs) // 2
    for place, weight in wanted.items():
        torch.testing.assert_close(model.get_submodule(place).weight, weight, rtol=1e-5, atol=1e-5)


def test_it_begins_as_the_layer_that_it_was() -> None:
    torch.manual_seed(0)
    layer, x = nn.Linear(5, 4), torch.randn(3, 5)
    assert torch.equal(LowRank(layer, 2)(x), layer(x))


def test_dropout_is_of_the_change_alone() -> None:
    torch.manual_seed(0)
    layer = LowRank(nn.Linear(5, 4), 2, dropout=0.9)
    nn.init.ones_(layer.up.weight)
    x = torch.randn(3, 5)
    assert not torch.equal(layer(x), layer(x))
    nn.init.zeros_(layer.up.weight)
    assert torch.equal(layer(x), layer.base(x))


def test_a_layer_keeps_its_type_of_numbers_when_merged() -> None:
    merged = LowRank(nn.Linear(5, 4, bias=False).double(), 2).double().merged()
    assert merged.weight.dtype == torch.float64 and merged.bias is None
    with pytest.raises(ValueError, match="the base is a Identity; a change is merged into"):
        base = nn.Identity()
        base.in_features = base.out_features = 4  # type: ignore[assignment]
        LowRank(base, 2).merged()


@pytest.mark.parametrize(("given", "said"), [
    ({"rank": 0}, "rank is 0; it must be 1 or more"),
    ({"rank": 1, "alpha": 0.0}, "alpha is 0.0; it must be positive"),
    ({"rank": 1, "dropout": 1.0}, r"dropout is 1.0; it must be in \[0, 1\)"),
])  # fmt: skip
def test_nonsense_is_refused(given: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        LoRA(**given)  # type: ignore[arg-type]
