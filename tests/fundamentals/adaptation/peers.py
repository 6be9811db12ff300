"""Our Transformers, small and random, and the same ones adapted by peft."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from fathom.architectures.transformers import bert, gpt2, llama

TOKENS = torch.randint(1, 17, (2, 7), generator=torch.Generator().manual_seed(3))


def gpt() -> nn.Module:
    return drawn(gpt2.Config(vocabulary=17, context=16, width=12, layers=2, heads=3, dropout=0.0).build())


def bidirectional() -> nn.Module:
    cfg = bert.Config(
        vocabulary=17, context=16, width=12, layers=2, heads=3, hidden=20, dropout=0.0, classes=3
    )
    return drawn(cfg.build())


def chat() -> nn.Module:
    cfg = llama.Config(vocabulary=17, context=16, width=12, layers=2, heads=6, groups=2, hidden=20)
    return drawn(cfg.build())


MODELS: dict[str, Callable[[], nn.Module]] = {"gpt2": gpt, "bert": bidirectional, "llama": chat}


def drawn(model: nn.Module) -> nn.Module:
    """With weights that matter, biases and norms among them, the same each time."""
    dice = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.copy_(torch.randn(weight.shape, generator=dice) * 0.3)
            weight += "norm" in name and name.endswith("weight")
    return model.eval()


def injected(model: nn.Module, config: Any) -> nn.Module:
    """A copy of ``model`` with peft's layers in it, their weights drawn."""
    from peft import inject_adapter_in_model

    theirs = inject_adapter_in_model(config, copy.deepcopy(model)).eval()
    dice = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name, weight in theirs.named_parameters():
            if "lora_" in name or "ia3_" in name:
                weight.copy_(torch.randn(weight.shape, generator=dice) * 0.5 + ("ia3_" in name))
    return theirs


def merged_weights(theirs: nn.Module) -> dict[str, Tensor]:
    """The matrices of the layers that peft adapted, with what was learned in them, by place."""
    held: dict[str, Any] = {
        place: layer for place, layer in theirs.named_modules() if hasattr(layer, "merge")
    }
    for layer in held.values():
        layer.merge()
    return {place: layer.base_layer.weight for place, layer in held.items()}


def equal(ours: nn.Module, theirs: nn.Module, pairs: list[tuple[Tensor, Tensor]]) -> None:
    """Outputs within 1e-5, and the gradients of ``pairs`` of weights within 1e-4; of nothing else any."""
    made, wanted = ours(TOKENS), theirs(TOKENS)
    torch.testing.assert_close(made, wanted, rtol=1e-5, atol=1e-5)
    for out in (made, wanted):
        out.square().mean().backward()
    assert pairs
    for one, other in pairs:
        assert one.grad is not None and other.grad is not None
        assert one.grad.abs().max() > 0
        torch.testing.assert_close(one.grad, other.grad.reshape(one.shape), rtol=1e-4, atol=1e-5)
    assert {id(p) for p in ours.parameters() if p.grad is not None} == {id(one) for one, _ in pairs}
