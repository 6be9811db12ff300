"""The traced forward pass against hooks set here, one by one, and against layers called in turn."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fathom.fundamentals.networks.forward_trace import Step, table, tensors, trace, trace_by_hand


def mlp() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 8, bias=False), nn.Sigmoid(),
        nn.Linear(8, 3), nn.Softmax(dim=-1),
    ).double().eval()  # fmt: skip


def cnn() -> nn.Sequential:
    body = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=(1, 2)), nn.Tanh(), nn.MaxPool2d(2),
        nn.Conv2d(4, 3, (2, 3), stride=(1, 2), bias=False), nn.ReLU(), nn.AvgPool2d(2, stride=1),
    )  # fmt: skip
    head = nn.Sequential(nn.Flatten(), nn.Identity(), nn.Linear(6, 5))
    return nn.Sequential(body, head).double().eval()


CASES = ((mlp, (4, 6)), (mlp, (2, 3, 6)), (cnn, (2, 2, 9, 8)))


@torch.no_grad()
def hooked(model: nn.Module, x: Tensor) -> list[tuple[str, Tensor]]:
    """What the leaves of ``model`` return, found with torch's hooks."""
    seen: list[tuple[str, Tensor]] = []
    handles = [
        module.register_forward_hook(lambda m, a, out, name=name: seen.append((name, out.clone())))
        for name, module in model.named_modules()
        if not list(module.children())
    ]
    model(x)
    for handle in handles:
        handle.remove()
    return seen


def test_every_intermediate_is_what_torchs_hooks_see() -> None:
    for make, shape in CASES:
        model, x = make(), torch.randn(shape, dtype=torch.float64)
        expected = [("input", x), *hooked(model, x)]
        for found, tolerance in ((trace(model, x), 0.0), (trace_by_hand(model, x), 1e-12)):
            assert [step.name for step in found] == [name for name, _ in expected]
            for step, (_, value) in zip(found, expected, strict=True):
                assert step.shape == tuple(value.shape) and not step.value.requires_grad
                torch.testing.assert_close(step.value, value, rtol=0, atol=tolerance)
                assert step.mean == pytest.approx(float(value.mean()), abs=1e-12)
                assert step.deviation == pytest.approx(float(value.std(correction=0)), abs=1e-12)


def test_steps_by_hand_are_the_steps() -> None:
    for make, shape in CASES:
        model, x = make(), torch.randn(shape, dtype=torch.float64)
        for one, two in zip(trace(model, x), trace_by_hand(model, x), strict=True):
            assert (one.name, one.kind, one.shape) == (two.name, two.kind, two.shape)
            assert (one.mean, one.deviation) == pytest.approx((two.mean, two.deviation), abs=1e-12)


def test_layers_called_in_turn_give_the_values() -> None:
    """Without any hook."""
    model, x = mlp(), torch.randn(4, 6, dtype=torch.float64)
    for step, layer in zip(trace(model, x)[1:], model, strict=True):
        x = layer(x)
        assert torch.equal(step.value, x) and step.kind == type(layer).__name__


class Block(nn.Module):
    """A skip around two layers, the first called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.act = nn.Linear(3, 3), nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.act(self.layer(self.layer(x)))


class Added(nn.Module):
    """Writes over what its part returned."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x).add_(1)


class Failing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError("it broke")


def names(steps: list[Step]) -> list[str]:
    return [step.name for step in steps]


def test_a_block_is_a_step_where_it_does_something_of_its_own() -> None:
    model, x = nn.Sequential(Block(), nn.Sequential(nn.Tanh())), torch.randn(2, 3)
    steps = trace(model, x)
    assert names(steps) == ["input", "0.layer", "0.layer (2)", "0.act", "0", "1.0"]
    assert torch.equal(steps[4].value, x + steps[3].value)
    assert names(trace(Block(), x)) == ["input", "layer", "layer (2)", "act", "output"]
    added = trace(Added(), x)
    assert names(added) == ["input", "layer", "output"]
    assert torch.equal(added[2].value, added[1].value + 1)
    assert names(trace(nn.Sequential(nn.Sequential(nn.Identity())), x * torch.nan)) == ["input", "0.0"]
    assert names(trace(nn.Tanh(), x)) == ["input", "output"]


def test_an_in_place_layer_does_not_write_over_the_step_before() -> None:
    model, x = nn.Sequential(nn.Linear(3, 50), nn.ReLU(inplace=True)), torch.randn(2, 3)
    before, after = trace(model, x)[1:]
    assert float(before.value.min()) < 0 <= float(after.value.min())
    assert torch.equal(after.value, before.value.relu())
    y = x.clone()
    assert torch.equal(trace(nn.ReLU(inplace=True), y)[0].value, x)


def test_hooks_are_gone_afterwards_even_on_errors() -> None:
    kept: list[int] = []
    model = nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.ReLU(), Failing()))
    handle = model[0].register_forward_hook(lambda m, a, out: kept.append(1))
    with pytest.raises(RuntimeError, match="it broke"):
        trace(model, torch.randn(2, 3))
    assert kept == [1]
    assert [len(module._forward_hooks) for module in model.modules()] == [0, 1, 0, 0, 0]  # the user's own
    handle.remove()
    good = mlp()
    trace(good, torch.randn(2, 6, dtype=torch.float64))
    assert not any(module._forward_hooks for module in good.modules())
    with pytest.raises(RuntimeError):
        trace(good, torch.randn(2, 5, dtype=torch.float64))
    assert not any(module._forward_hooks for module in good.modules())


def test_several_inputs_and_outputs() -> None:
    model, x = nn.LSTM(3, 4, batch_first=True), torch.randn(2, 5, 3)
    steps = trace(model, x)
    assert names(steps) == ["input", "output[0]", "output[1]", "output[2]"]
    with torch.no_grad():  # LSTMs have another kernel for it
        out, (h, c) = model(x)
    for step, value in zip(steps[1:], (out, h, c), strict=True):
        assert torch.equal(step.value, value)
    pair = trace(nn.Bilinear(3, 2, 4), torch.ones(2, 3), torch.ones(2, 2))
    assert names(pair) == ["input[0]", "input[1]", "output"]

    class Named(nn.Module):
        def forward(self, batch: dict[str, Tensor]) -> dict[str, Any]:
            return {"twice": 2 * batch["x"], "note": "none", "nothing": None, "list": [batch["x"]]}

    found = trace(nn.Sequential(Named()), {"x": x, "length": 5})
    assert names(found) == ["input", "0[0]", "0[1]"]
    assert torch.equal(found[1].value, 2 * x)
    assert tensors([1, None, "x"]) == []


def test_tokens_half_precision_and_extremes() -> None:
    tokens = torch.tensor([[0, 2], [1, 1]])
    steps = trace(nn.Sequential(nn.Embedding(3, 4)), tokens)
    assert steps[0].value.dtype == torch.int64
    assert (steps[0].mean, steps[0].deviation) == (1.0, math.sqrt(0.5))
    assert trace(nn.Identity(), torch.tensor([True, False]))[1].mean == 0.5
    for dtype in (torch.float16, torch.bfloat16):
        x = torch.full((300,), 3e4).to(dtype)  # a sum of them is beyond float16
        assert trace(nn.Identity(), x)[1].mean == pytest.approx(float(x[0]))
    steps = trace(nn.Sequential(nn.Tanh(), nn.Identity()), torch.tensor([1e4, -1e4, 0.0]))
    assert [round(step.deviation, 6) for step in steps] == [
        round(s * math.sqrt(2 / 3), 6) for s in (1e4, 1, 1)
    ]
    assert trace(nn.Identity(), torch.tensor(3.0))[1].deviation == 0
    for found in (trace(nn.Sequential(nn.ReLU()), torch.zeros(0, 3)),
                  trace_by_hand(nn.Sequential(nn.ReLU()), torch.zeros(0, 3))):  # fmt: skip
        assert found[1].shape == (0, 3)
        assert math.isnan(found[1].mean) and math.isnan(found[1].deviation)
    broken = trace(nn.Sequential(nn.Identity(), nn.ReLU()), torch.tensor([torch.nan, 1.0]))
    assert math.isnan(broken[2].mean)  # a table shows where the first one appeared


def test_the_mode_and_the_gradients_of_a_model_are_left() -> None:
    model = mlp().train()
    assert trace(model, torch.ones(2, 6, dtype=torch.float64))[3].name == "2"
    assert model.training and all(p.grad is None and p.requires_grad for p in model.parameters())
    assert torch.is_grad_enabled()


def test_table() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 0.0], [0.0, -1.0], [1.0, 1.0]]))
        model[0].bias.zero_()
        model[2].weight.fill_(0.5)
        model[2].bias.fill_(-1)
    x = torch.tensor([[1.0, 2.0]])
    assert table(trace(model, x)) == [
        "name   kind    shape    mean  deviation",
        "input  input   1 x 2     1.5        0.5",
        "0      Linear  1 x 3  0.6667      2.055",
        "1      ReLU    1 x 3   1.333      1.247",
        "2      Linear  1 x 1       1          0",
    ]
    assert table(trace_by_hand(model, x)) == table(trace(model, x))
    assert table(trace(nn.Identity(), torch.tensor(2.0)))[1].split() == ["input", "input", "()", "2", "0"]
    assert table([]) == ["name  kind  shape  mean  deviation"]


def test_a_residual_network_is_traced_to_its_end() -> None:
    """The last step is what the model returns, and the blocks are what a loop over them gives."""
    model = nn.Sequential(*[Block() for _ in range(4)], nn.Linear(3, 2)).eval()
    x = torch.randn(5, 3)
    steps = {step.name: step.value for step in trace(model, x)}
    assert torch.equal(steps["4"], model(x))
    for depth in range(4):
        inner = model[depth].layer
        x = x + F.relu(inner(inner(x)))
        assert torch.equal(steps[str(depth)], x)


def test_bad_input_is_refused() -> None:
    x, picture = torch.ones(2, 3), torch.ones(1, 2, 6, 6)

    def by_hand(*layers: nn.Module, given: Tensor = picture) -> list[Step]:
        return trace_by_hand(nn.Sequential(*layers), given)

    cases = [
        (lambda: trace(nn.Tanh()), r"inputs are \[\]; one must hold a tensor"),
        (lambda: trace(nn.Tanh(), 3.0), r"inputs are \['float'\]"),
        (lambda: by_hand(nn.Sequential(nn.Tanh(), nn.GELU())), "layer '0.1' is a GELU; by hand there are"),
        (lambda: by_hand(nn.Linear(4, 2), given=x), r"layer '0', Linear.*x has shape \(2, 3\)"),
        (lambda: by_hand(nn.Conv2d(2, 1, 3), given=x), r"x has shape \(2, 3\); it must be \(batch, channels"),
        (lambda: by_hand(nn.Conv2d(3, 1, 3)), "do not fit together"),
        (lambda: by_hand(nn.Conv2d(2, 2, 3, groups=2)), "groups is 2; by hand it must be 1"),
        (lambda: by_hand(nn.Conv2d(2, 2, 2, dilation=2)), r"dilation is \(2, 2\)"),
        (lambda: by_hand(nn.Conv2d(2, 2, 3, padding="same")), "padding is 'same'; by hand it must be given"),
        (lambda: by_hand(nn.Conv2d(2, 2, 3, padding_mode="reflect")), "padding_mode is 'reflect'"),
        (lambda: by_hand(nn.MaxPool2d(2, padding=1)), "padding is 1; by hand it must be 0"),
        (lambda: by_hand(nn.MaxPool2d(2, ceil_mode=True)), "ceil_mode is True"),
        (lambda: by_hand(nn.MaxPool2d((2, 2))), r"kernel_size is \(2, 2\)"),
        (lambda: by_hand(nn.MaxPool2d(2, dilation=2)), "dilation is 2; by hand it must be 1"),
        (lambda: by_hand(nn.MaxPool2d(9)), "kernel 9 x 9 with stride 9 does not fit"),
        (lambda: by_hand(nn.AvgPool2d(2, divisor_override=3)), "divisor_override is 3"),
        (lambda: by_hand(nn.Softmax()), "dim is None; by hand the axis"),
        (lambda: by_hand(nn.Dropout()), "training is True; by hand it must be False"),
    ]
    for call, words in cases:
        with pytest.raises(ValueError, match=words):
            call()
