"""LSUV: unit variance to one per cent, whatever lies between the layers; against the algorithm by hand."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fathom.fundamentals.initialization.lsuv import lsuv_, lsuv_by_hand


def dice(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def measured(model: nn.Module, batch: Tensor) -> dict[str, float]:
    """Variance of the outputs of each layer, seen from outside."""
    found: dict[str, float] = {}

    def note(name: str, outputs: Tensor) -> None:
        found.setdefault(name, float(outputs.detach().double().var(correction=0)))

    hooks = [
        m.register_forward_hook(lambda m, x, y, name=name: note(name, y))
        for name, m in model.named_modules()
        if isinstance(m, nn.Linear | nn.Conv2d)
    ]
    model.eval()
    model(batch)
    for hook in hooks:
        hook.remove()
    return found


class Odd(nn.Module):
    """Layers registered in another order than they run in, with a branch, pooling, and one used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(16, 4)
        self.twice = nn.Linear(16, 16)
        self.stem = nn.Conv2d(3, 16, 3)
        self.dropout = nn.Dropout(0.5)
        self.norm = nn.BatchNorm2d(16)

    def forward(self, image: Tensor) -> Tensor:
        x = self.norm(F.relu(self.stem(image))).amax((2, 3))
        x = x + self.dropout(torch.sigmoid(self.twice(x)))
        return self.head(torch.tanh(self.twice(x)))


def test_every_layer_has_unit_variance_to_one_per_cent() -> None:
    model, batch = Odd(), torch.randn(32, 3, 8, 8, generator=dice()) * 7 + 2
    reached = lsuv_(model, batch, generator=dice())
    assert list(reached) == ["stem", "twice", "head"]  # as they run
    again = measured(model, batch)
    for name, variance in reached.items():
        assert abs(variance - 1) <= 0.01 and again[name] == pytest.approx(variance, abs=1e-6)


def test_twenty_layers_of_any_activation() -> None:
    for activation in (nn.ReLU, nn.Tanh, nn.Sigmoid, nn.GELU):
        layers = [part for _ in range(20) for part in (nn.Linear(64, 64), activation())]
        model, batch = nn.Sequential(*layers), torch.randn(64, 64, generator=dice())
        lsuv_(model, batch, generator=dice())
        assert all(abs(v - 1) <= 0.01 for v in measured(model, batch).values())


def test_weights_are_those_of_the_algorithm_by_hand() -> None:
    shapes = [(6, 5), (6, 6), (3, 6)]
    batch = torch.randn(12, 5, dtype=torch.float64, generator=dice())
    layers = [nn.Linear(i, o).double() for o, i in shapes]
    model = nn.Sequential(layers[0], nn.Tanh(), layers[1], nn.Tanh(), layers[2])
    lsuv_(model, batch, tolerance=1e-9, generator=dice(5))
    for layer, weight in zip(layers, lsuv_by_hand(shapes, batch, torch.tanh, dice(5)), strict=True):
        assert torch.allclose(layer.weight, weight, rtol=0, atol=1e-12)
        assert not bool(layer.bias.any())


def test_nothing_else_changes() -> None:
    model, batch = Odd(), torch.randn(8, 3, 6, 6, generator=dice())
    model.norm.eval()
    running = model.norm.running_var.clone()  # type: ignore[union-attr]
    before = torch.get_rng_state()
    lsuv_(model, batch, generator=dice())
    assert torch.equal(before, torch.get_rng_state())  # dropout drew nothing
    assert torch.equal(running, model.norm.running_var)  # type: ignore[arg-type]
    assert model.training and model.dropout.training and not model.norm.training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert all(p.requires_grad for p in model.parameters())


def test_half_precision() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8)).bfloat16()
    reached = lsuv_(model, torch.randn(64, 8, generator=dice()).bfloat16(), tolerance=0.02, generator=dice())
    assert all(abs(v - 1) <= 0.02 for v in reached.values()) and model[0].weight.dtype == torch.bfloat16


def test_bad_input_is_refused_and_leaves_modes_and_hooks_as_they_were() -> None:
    model, batch = nn.Sequential(nn.Linear(3, 2), nn.Dropout()), torch.randn(4, 3, generator=dice())
    for tolerance in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match=f"tolerance is {tolerance}; it must be positive and finite"):
            lsuv_(model, batch, tolerance)
    with pytest.raises(ValueError, match="tries is 0; it must be 1 or more"):
        lsuv_(model, batch, tries=0)
    with pytest.raises(ValueError, match="without an example"):
        lsuv_(model, torch.zeros(0, 3))
    with pytest.raises(ValueError, match="no linear or convolution layer"):
        lsuv_(nn.ReLU(), batch)
    with pytest.raises(ValueError, match="layer '0' has outputs of variance 0"):
        lsuv_(model, torch.zeros(4, 3))
    with pytest.raises(ValueError, match="layer '0' has outputs of variance nan"):
        lsuv_(model, torch.full((4, 3), math.nan))
    with pytest.raises(RuntimeError):
        lsuv_(model, torch.zeros(4, 5))  # torch's own words for a batch that the model does not take
    assert model.training and not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    fixed = nn.utils.parametrizations.weight_norm(
        nn.Linear(3, 2)
    )  # its weight is computed, so dividing it is lost
    with pytest.raises(ValueError, match=r"has variance .* after 10 tries; it must come within 0\.01 of 1"):
        lsuv_(nn.Sequential(fixed), batch * 9)
