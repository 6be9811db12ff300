"""One neuron against torch's linear layer with one output, and the line it draws against geometry."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fathom.fundamentals.networks.neuron import (
    Neuron,
    decision_line,
    decision_line_by_hand,
    neuron,
    neuron_by_hand,
    step,
)

ACTIVATIONS = (torch.sigmoid, torch.tanh, F.relu, F.gelu, lambda z: z)


def far(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference, relative to values above 1."""
    assert ours.shape == theirs.shape
    ours, theirs = ours.detach().double(), theirs.detach().double()
    gap = (ours - theirs).abs() / theirs.abs().clamp(min=1)
    assert bool(gap.isfinite().all())
    return float(gap.max()) if gap.numel() else 0.0


def linear_of(ours: Neuron) -> nn.Linear:
    theirs = nn.Linear(len(ours.weight), 1, dtype=ours.weight.dtype)
    theirs.load_state_dict({"weight": ours.weight[None], "bias": ours.bias[None]})
    return theirs


def test_values_and_gradients_are_those_of_linear_with_one_output() -> None:
    for inputs in (1, 2, 7):
        for batch in ((), (1,), (5,), (2, 3), (0,), (2, 0)):
            for activation in ACTIVATIONS:
                ours = Neuron(inputs, activation).double()
                theirs = linear_of(ours)
                x = torch.randn(*batch, inputs, dtype=torch.float64) * 3
                a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
                one, two = ours(a), activation(theirs(b)[..., 0])
                hand = neuron_by_hand(x, ours.weight, ours.bias, activation)
                assert max(far(one, two), far(hand, two)) <= 1e-12
                g = torch.randn_like(one)
                one.backward(g)
                two.backward(g)
                assert a.grad is not None and b.grad is not None
                assert far(a.grad, b.grad) <= 1e-12
                assert far(ours.weight.grad, theirs.weight.grad[0]) <= 1e-12
                assert far(ours.bias.grad, theirs.bias.grad[0]) <= 1e-12


def test_a_step_is_torchs_heaviside() -> None:
    z = torch.tensor([-1e4, -1e-300, -0.0, 0.0, 1e-300, 2.0, torch.inf, -torch.inf], dtype=torch.float64)
    assert torch.equal(step(z), torch.heaviside(z, torch.zeros_like(z)))
    ours = Neuron(3, step).double()
    x = torch.randn(50, 3, dtype=torch.float64)
    sums = linear_of(ours)(x)[:, 0]
    assert torch.equal(ours(x), torch.heaviside(sums, torch.zeros_like(sums)))


def test_gates_of_two_switches() -> None:
    """McCulloch and Pitts's examples: a neuron is "and", "or" or "not", by its weights alone."""
    pairs = torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]])
    ones, minus = torch.ones(2), torch.tensor([-1.0, 0.0])
    assert neuron(pairs, ones, torch.tensor(-1.5), step).tolist() == [0, 0, 0, 1]
    assert neuron(pairs, ones, torch.tensor(-0.5), step).tolist() == [0, 1, 1, 1]
    assert neuron(pairs, minus, torch.tensor(0.5), step).tolist() == [1, 1, 0, 0]


def test_extremes_and_half_precision() -> None:
    weight, bias = torch.tensor([1e4, -1e4], dtype=torch.float64), torch.tensor(1e4, dtype=torch.float64)
    x = torch.tensor([[1e4, -1e4], [-1e4, 1e4], [0.0, 0.0], [0.5, 1.5]], dtype=torch.float64)
    x.requires_grad_()
    answers = neuron(x, weight, bias)
    assert answers.tolist() == [1, 0, 1, 0.5]
    answers.sum().backward()
    assert x.grad is not None and bool(x.grad.isfinite().all())
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        ours = Neuron(4, torch.tanh).to(dtype)
        x = torch.randn(6, 4).to(dtype)
        true = torch.tanh(x.double() @ ours.weight.double() + ours.bias.double())
        for found in (ours(x), neuron_by_hand(x, ours.weight, ours.bias, torch.tanh)):
            assert found.dtype == dtype
            assert far(found, true) <= 16 * torch.finfo(dtype).eps


def test_begins_as_torchs_linear_layer_does() -> None:
    """Weights first, then the bias, uniform in +-1 / sqrt(inputs)."""
    torch.manual_seed(3)
    theirs = nn.Linear(9, 1)
    ours = Neuron(9, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(ours.weight, theirs.weight[0], rtol=0, atol=1e-7)
    torch.testing.assert_close(ours.bias, theirs.bias[0], rtol=0, atol=1e-7)


def test_ends_lie_on_the_line_and_on_the_border_of_the_box() -> None:
    dice = np.random.default_rng(0)
    met = 0
    for _ in range(2000):
        w, b = dice.normal(size=2) * 10 ** dice.uniform(-3, 3), dice.normal() * 10 ** dice.uniform(-3, 3)
        left, bottom = dice.normal(size=2) * 3
        right, top = left + dice.uniform(0.1, 5), bottom + dice.uniform(0.1, 5)
        line = decision_line(w.tolist(), float(b), (left, right, bottom, top))
        assert math.hypot(*line.normal) == pytest.approx(1, abs=1e-14)
        size = float(np.hypot(*w))
        assert line.offset == pytest.approx(-b / size, rel=1e-12)
        corners = [(x, y) for x in (left, right) for y in (bottom, top)]
        sides = {(w[0] * x + w[1] * y + b) > 0 for x, y in corners}
        assert (line.ends is not None) == (len(sides) == 2)
        if line.ends is None:
            continue
        met += 1
        for x, y in line.ends:
            assert left <= x <= right and bottom <= y <= top
            assert min(x - left, right - x, y - bottom, top - y) <= 1e-12
            assert abs(w[0] * x + w[1] * y + b) / size <= 1e-12
        (x1, y1), (x2, y2) = line.ends
        middle = np.array([(x1 + x2) / 2, (y1 + y2) / 2])
        to_the_left = middle + 1e-3 * np.array([y1 - y2, x2 - x1])
        assert math.hypot(x2 - x1, y2 - y1) < 1e-6 or w @ to_the_left + b > 0
    assert 300 < met < 1700


def test_lines_by_hand_are_the_same() -> None:
    dice = torch.Generator().manual_seed(0)
    for _ in range(300):
        w, b = torch.randn(2, generator=dice, dtype=torch.float64), torch.randn((), generator=dice).double()
        ours, hand = decision_line(w, b), decision_line_by_hand(w, b)
        assert (ours.ends is None) == (hand.ends is None)
        np.testing.assert_allclose(ours.normal, hand.normal, rtol=0, atol=1e-12)
        assert ours.offset == pytest.approx(hand.offset, rel=1e-12)
        if ours.ends and hand.ends:
            np.testing.assert_allclose(ours.ends, hand.ends, rtol=0, atol=1e-12)


def test_known_lines() -> None:
    upright = decision_line([2.0, 0.0], -1.0)
    assert (upright.normal, upright.offset, upright.ends) == ((1, 0), 0.5, ((0.5, 1.0), (0.5, -1.0)))
    level = decision_line([0.0, -2.0], 1.0)
    assert (level.normal, level.offset, level.ends) == ((0, -1), -0.5, ((1.0, 0.5), (-1.0, 0.5)))
    diagonal = decision_line([1.0, 1.0], 0.0)
    np.testing.assert_allclose(diagonal.ends, ((-1, 1), (1, -1)), atol=1e-15)
    border = decision_line([1.0, 0.0], -1.0)  # along the right side
    assert border.ends == ((1.0, 1.0), (1.0, -1.0))
    corner = decision_line([1.0, 1.0], -2.0 + 1e-9)  # all but misses the box
    np.testing.assert_allclose(corner.ends, ((1 - 1e-9, 1), (1, 1 - 1e-9)), rtol=0, atol=1e-15)
    assert decision_line([1.0, 0.0], -1.5).ends is None
    assert decision_line([0.0, 1.0], 1.5).ends is None
    assert decision_line([1.0, 1.0], -2.1).ends is None


def test_scaling_weights_and_bias_leaves_the_line() -> None:
    one = decision_line([0.3, -0.4], 0.1)
    for factor in (1e-300, 5e-5, 7.0, 1e300):
        other = decision_line([0.3 * factor, -0.4 * factor], 0.1 * factor)
        np.testing.assert_allclose(other.normal, one.normal, atol=1e-12)
        np.testing.assert_allclose(other.offset, one.offset, atol=1e-12)
        assert one.ends is not None and other.ends is not None
        np.testing.assert_allclose(other.ends, one.ends, atol=1e-12)
    turned = decision_line([-0.3, 0.4], -0.1)
    assert one.ends is not None and turned.ends is not None
    np.testing.assert_allclose(turned.normal, [-n for n in one.normal], atol=1e-12)
    np.testing.assert_allclose(turned.ends, one.ends[::-1], atol=1e-12)


def test_the_answer_changes_at_the_line() -> None:
    ours = Neuron(2).double()
    line = ours.decision_line((-9.0, 9.0, -9.0, 9.0))
    assert line.ends is not None
    ends, normal = (torch.tensor(part, dtype=torch.float64) for part in (line.ends, line.normal))
    middle = ends.mean(0)
    ours.requires_grad_(False)
    assert float(ours(middle)) == pytest.approx(0.5, abs=1e-12)
    steps = Neuron(2, step).double()
    steps.load_state_dict(ours.state_dict())
    assert steps(torch.stack([middle - 1e-6 * normal, middle + 1e-6 * normal])).tolist() == [0, 1]
    slope = float(ours.weight.norm())  # one unit away from the line, the sum is |w|
    assert float(torch.logit(ours(middle + normal))) == pytest.approx(slope, abs=1e-9)


def test_bad_input_is_refused() -> None:
    x, w, b = torch.ones(3, 2), torch.ones(2), torch.tensor(0.0)
    cases = [
        (lambda: neuron(x.long(), w, b), "x has dtype torch.int64; it must hold floating-point"),
        (lambda: neuron(x, w.double(), b), "weight has dtype torch.float64; x has torch.float32"),
        (lambda: neuron(x, w[None], b), r"weight has shape \(1, 2\); it must be \(i,\)"),
        (lambda: neuron(x[:, :0], w[:0], b), r"weight has shape \(0,\)"),
        (lambda: neuron(x, w, b[None]), r"bias has shape \(1,\); it must be a single number"),
        (lambda: neuron(x.T, w, b), r"x has shape \(2, 3\); weight asks for \(\.\.\., 2\)"),
        (lambda: neuron(b, w, b), r"x has shape \(\); weight asks for"),
        (lambda: neuron(x, w, b, torch.sum), r"activation turns shape \(3,\) into \(\)"),
        (lambda: step(x.long()), "z has dtype torch.int64"),
        (lambda: Neuron(0), "inputs is 0; it must be 1 or more"),
        (lambda: Neuron(3).decision_line(), r"weight has shape \(3,\); a line takes two inputs"),
        (lambda: decision_line([1.0], 0.0), "weight has 1 entries; a line takes two inputs"),
        (lambda: decision_line([0.0, 0.0], 1.0), r"weight is \[0.0, 0.0\]; it must be finite and not all 0"),
        (lambda: decision_line([math.nan, 1.0], 1.0), r"weight is \[nan, 1.0\]"),
        (lambda: decision_line([1.0, 1.0], math.inf), "bias is inf; it must be finite"),
        (lambda: decision_line([1e-300, 0.0], 1e300), "the line is farther away than a number can say"),
        (lambda: decision_line([1.0, 1.0], 0.0, (1.0, 1.0, 0.0, 1.0)), "box is .* left < right"),
        (lambda: decision_line([1.0, 1.0], 0.0, (0.0, math.inf, 0.0, 1.0)), "it must be finite, with left"),
    ]
    for call, words in cases:
        with pytest.raises(ValueError, match=words):
            call()
