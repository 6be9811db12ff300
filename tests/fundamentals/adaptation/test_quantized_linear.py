"""Quantised linear layers: the levels of the paper, how far off entries are, bytes, gradients, tuning."""

import pytest
import torch
from tests.fundamentals.adaptation.peers import MODELS, TOKENS
from torch import nn

from fathom.fundamentals.adaptation.lora import LowRank
from fathom.fundamentals.adaptation.quantized_linear import QuantizedLinear, levels, packed, unpacked
from fathom.training.adaptation import LoRA

PAPER = (  # Dettmers et al. 2023, appendix E
    -1.0, -0.6961928, -0.5250731, -0.3949175, -0.2844414, -0.1847734, -0.0910500, 0.0, 0.0795803, 0.1609302,
    0.2461123, 0.3379152, 0.4407098, 0.5626170, 0.7229568, 1.0,
)  # fmt: skip


def test_levels_are_those_of_the_paper() -> None:
    torch.testing.assert_close(levels(4), torch.tensor(PAPER), rtol=0, atol=1e-6)
    assert len(levels(8)) == 255 and levels(8)[127] == 0


@pytest.mark.parametrize("bits", [8, 4])
def test_no_entry_is_off_by_more_than_half_a_gap(bits: int) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(150, 9)
    made = QuantizedLinear(layer, bits, block=64)
    gap = (levels(bits)[1:] - levels(bits)[:-1]).max() / 2
    blocks = torch.nn.functional.pad(layer.weight, (0, 42)).unflatten(1, (3, 64))
    bound = (blocks.abs().amax(dim=2, keepdim=True) * gap).expand_as(blocks).flatten(1)[:, :150]
    assert ((made.weight - layer.weight).abs() <= bound + 1e-7).all()
    rough = QuantizedLinear(layer, 4).weight - layer.weight
    assert bits == 4 or (made.weight - layer.weight).abs().mean() < rough.abs().mean() / 8


def test_it_is_small_and_what_is_nothing_stays_nothing() -> None:
    layer = nn.Linear(256, 8)
    nn.init.zeros_(layer.weight)
    made = QuantizedLinear(layer, 4)
    assert (made.weight == 0).all()
    assert sum(b.numel() * b.element_size() for b in made.buffers()) == 8 * 256 // 2 + 8 * 4 * 4 + 8 * 4
    assert not list(made.parameters())
    codes = torch.randint(0, 16, (3, 7), dtype=torch.uint8)
    assert torch.equal(unpacked(packed(codes), 7), codes)


def test_gradients_pass_through_it_and_beside_it_something_learns() -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 10, requires_grad=True)
    base = QuantizedLinear(nn.Linear(10, 4), 4)
    LowRank(base, 2)(x).sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, base.weight.sum(dim=0).expand(3, -1))
    with pytest.raises(ValueError, match="the base is a QuantizedLinear; a change is merged into"):
        LowRank(base, 2).merged()


@pytest.mark.parametrize("name", list(MODELS))
@pytest.mark.parametrize("bits", [8, 4])
def test_a_whole_model_stays_near(name: str, bits: int) -> None:
    model, plain = MODELS[name](), MODELS[name]()
    LoRA(rank=2, bits=bits).apply(model)
    inside = [m for place, m in model.named_modules() if isinstance(m, QuantizedLinear)]
    assert len(inside) == sum(type(m) is nn.Linear and "." in place for place, m in plain.named_modules())
    wanted = plain(TOKENS)
    off = (model(TOKENS) - wanted).abs().mean() / wanted.abs().mean()
    assert 0 < off < (0.03 if bits == 8 else 0.5)


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="bits is 3; it must be 8 or 4"):
        LoRA(bits=3)
    with pytest.raises(ValueError, match="block is 0; it must be 1 or more"):
        QuantizedLinear(nn.Linear(2, 2), 4, block=0)
    layer = nn.Linear(2, 2)
    nn.init.constant_(layer.weight, torch.nan)
    with pytest.raises(ValueError, match="holds numbers that are not finite"):
        QuantizedLinear(layer, 4)
