"""The perceptron: its updates against scikit-learn's, Novikoff's bound, and its failure on XOR."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from fathom.fundamentals.networks.perceptron import (
    Perceptron,
    cycle,
    exclusive_or,
    novikoff_bound,
    trajectory,
    updates,
    updates_by_hand,
)


def parted(seed: int, count: int = 60, margin: float = 0.1) -> tuple[Tensor, Tensor, Tensor, float]:
    """Points on both sides of a plane, none nearer to it than ``margin``; their labels, and the plane."""
    dice = np.random.default_rng(seed)
    inputs = int(dice.integers(1, 7))
    normal = dice.normal(size=inputs)
    normal, bias = normal / np.linalg.norm(normal), float(dice.normal() / 2)
    points = dice.normal(size=(8 * count, inputs)) * 2
    side = points @ normal + bias
    points, side = points[abs(side) > margin][:count], side[abs(side) > margin][:count]
    labels = torch.tensor((side > 0).astype(np.int64))
    return torch.tensor(points), labels, torch.tensor(normal), bias


@pytest.mark.slow
def test_every_update_is_scikit_learns() -> None:
    """One example at a time is given to both; the weights agree after each, to the last bit."""
    from sklearn.linear_model import Perceptron as Theirs

    made = 0
    for seed in range(6):
        points, labels, _, _ = parted(seed, count=40)
        if labels.unique().numel() < 2:
            continue
        if seed % 2:
            points = (points * 4).round()  # whole numbers: sums are exact, and some points lie on the plane
        for rate, with_bias in ((1.0, True), (1.0, False), (0.1, True)):
            theirs = Theirs(penalty=None, shuffle=False, eta0=rate, fit_intercept=with_bias)
            expected, places = [], []
            epochs = 5
            for epoch in range(epochs):
                before = len(expected)
                for i, (x, label) in enumerate(zip(points.numpy(), labels.numpy(), strict=True)):
                    old = expected[-1] if expected else np.zeros(points.shape[1] + 1)
                    theirs.partial_fit(x[None], label[None], classes=[0, 1])
                    new = np.append(theirs.coef_[0], theirs.intercept_[0])
                    if not np.array_equal(new, old):
                        expected.append(new)
                        places.append((epoch, i))
                if len(expected) == before:
                    break
            ours = list(updates(points, labels, epochs, learning_rate=rate, with_bias=with_bias))
            assert [(update.epoch, update.example) for update in ours] == places
            np.testing.assert_array_equal(trajectory(ours).numpy(), np.array(expected))
            made += len(ours)
    assert made > 100


@pytest.mark.slow
def test_the_end_is_scikit_learns() -> None:
    from sklearn.linear_model import Perceptron as Theirs

    for seed in range(20):
        points, labels, _, _ = parted(seed, count=200)
        if labels.unique().numel() < 2:
            continue
        ours = Perceptron.fit(points, labels, epochs=2000)
        assert ours.converged
        theirs = Theirs(penalty=None, shuffle=False, eta0=1.0, tol=None, max_iter=len(ours.mistakes))
        theirs.fit(points.numpy(), labels.numpy())
        np.testing.assert_array_equal(ours.weight.numpy(), theirs.coef_[0])
        assert ours.bias == theirs.intercept_[0]
        fresh = torch.randn(100, points.shape[1], dtype=torch.float64)
        assert ours.predict(fresh).tolist() == theirs.predict(fresh.numpy()).tolist()


def test_what_a_plane_parts_is_learned_within_novikoffs_bound() -> None:
    """And so are the two inequalities of the proof, after every single update."""
    for seed in range(60):
        points, labels, normal, bias = parted(seed)
        ours = list(updates(points, labels, 5000))
        learned = Perceptron.fit(points, labels, 5000)
        assert learned.converged and learned.predict(points).tolist() == labels.tolist()
        assert sum(learned.mistakes) == len(ours)
        bound = novikoff_bound(points, labels, normal, bias)
        assert len(ours) <= bound
        assert len(ours) <= novikoff_bound(points, labels, learned.weight, learned.bias)

        path = trajectory(ours)
        unit = torch.cat([normal, torch.tensor([bias], dtype=torch.float64)])
        unit = unit / unit.norm()
        wide = torch.cat([points, torch.ones(len(points), 1, dtype=torch.float64)], 1)
        radius, margin = wide.norm(dim=1).max(), ((2 * labels - 1) * (wide @ unit)).min()
        assert bound == pytest.approx(float((radius / margin) ** 2))
        made = torch.arange(1, len(path) + 1)
        assert bool((path @ unit >= made * margin - 1e-9).all())
        assert bool((path.square().sum(1) <= made * radius**2 + 1e-9).all())


def test_the_bound_is_reached() -> None:
    """Of n inputs, each example switches one on: every one is a mistake once, and the bound is n."""
    for n in (1, 2, 9):
        examples, labels = torch.eye(n, dtype=torch.float64), torch.ones(n, dtype=torch.int64)
        learned = Perceptron.fit(examples, labels, with_bias=False)
        assert learned.mistakes == (n, 0)
        plane = torch.ones(n, dtype=torch.float64)
        assert novikoff_bound(examples, labels, plane, with_bias=False) == pytest.approx(n)


def test_the_sequence_by_hand_is_the_same() -> None:
    for seed in range(20):
        points, labels, _, _ = parted(seed, count=30)
        ours = trajectory(updates(points, labels, 50))
        torch.testing.assert_close(ours, updates_by_hand(points, labels, 50), rtol=0, atol=1e-12)


def test_the_learning_rate_only_scales() -> None:
    points, labels, _, _ = parted(3)
    one = trajectory(updates(points, labels))
    for rate in (0.25, 1024.0):  # powers of two: not a bit changes
        assert torch.equal(trajectory(updates(points, labels, learning_rate=rate)), rate * one)
    tiny = trajectory(updates(points, labels, learning_rate=1e-30))
    torch.testing.assert_close(tiny / 1e-30, one, rtol=1e-9, atol=1e-9)


def test_xor_is_never_learned() -> None:
    """In 1,000 epochs there is no moment at which all four answers are right."""
    inputs, labels = exclusive_or()
    learned = Perceptron.fit(inputs, labels, epochs=1000)
    assert not learned.converged
    assert len(learned.mistakes) == 1000 and min(learned.mistakes) >= 1
    best, last = 0, 0
    for update in updates(inputs, labels, epochs=1000):
        right = (inputs @ update.weight + update.bias > 0).long() == labels
        best, last = max(best, int(right.sum())), update.epoch
    assert last == 999
    assert best == 2  # not even three


def test_the_weights_of_xor_go_in_a_circle() -> None:
    """Four mistakes bring them back to zero, where they began."""
    found = cycle(*exclusive_or())
    assert found is not None
    assert (found.start, found.length) == (0, 1)
    assert trajectory(found.updates).tolist() == [[0, 0, -1], [0, 1, 0], [1, 1, 1], [0, 0, 0]]
    inputs, labels = exclusive_or()
    for order in itertools.permutations(range(4)):
        places = torch.tensor(order)
        turned = cycle(inputs[places], labels[places])
        assert turned is not None
        every = [*updates(inputs[places], labels[places], turned.start + 2 * turned.length)]
        one, two = ([*range(turned.start + k * turned.length, turned.start + (k + 1) * turned.length)]
                    for k in (0, 1))  # fmt: skip
        first = trajectory(u for u in every if u.epoch in one)
        assert torch.equal(first, trajectory(u for u in every if u.epoch in two))
        assert torch.equal(first, trajectory(turned.updates))


def test_the_other_gates_are_learned_and_have_no_cycle() -> None:
    """Of the sixteen functions of two switches, XOR and its opposite are the two that fail."""
    inputs, _ = exclusive_or()
    failed = []
    for bits in itertools.product((0, 1), repeat=4):
        labels = torch.tensor(bits)
        learned = Perceptron.fit(inputs, labels, epochs=50)
        assert learned.converged == (cycle(inputs, labels, epochs=50) is None)
        if not learned.converged:
            failed.append(bits)
    assert failed == [(0, 1, 1, 0), (1, 0, 0, 1)]


def test_a_cycle_that_was_not_found_in_time() -> None:
    inputs, labels = exclusive_or()
    assert cycle(inputs + torch.tensor([0.1, 0.7], dtype=torch.float64), labels, epochs=2) is None


def test_mistakes_are_counted_by_epoch() -> None:
    inputs, labels = torch.tensor([[1.0], [-1.0]]), torch.tensor([1, 0])
    learned = Perceptron.fit(inputs, labels)
    # w, b = 1, 1 after the first; the second sums to 0, a mistake: 2, 0; then all is right
    assert (learned.mistakes, learned.weight.tolist(), learned.bias) == ((2, 0), [2.0], 0.0)
    short = Perceptron.fit(inputs, labels, epochs=1)
    assert short.mistakes == (2,) and not short.converged
    one = Perceptron.fit(torch.tensor([[0.0, 0.0]]), torch.tensor([0]))
    assert (one.mistakes, one.weight.tolist(), one.bias) == ((1, 0), [0, 0], -1)
    first = next(updates(inputs, labels))
    assert (first.epoch, first.example, first.weight.tolist(), first.bias) == (0, 0, [1.0], 1.0)


def test_extremes_and_half_precision() -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        inputs = torch.tensor([[1e2, -1e2], [-1e2, 1e2], [0.0, 0.0]]).to(dtype)
        learned = Perceptron.fit(inputs, torch.tensor([1, 0, 0]))
        assert learned.converged and learned.weight.dtype == dtype
        assert learned.predict(inputs).tolist() == [1, 0, 0]
    large = torch.tensor([[1e4, -1e4], [-1e4, 1e4], [1e-4, 0.0]], dtype=torch.float64)
    assert Perceptron.fit(large, torch.tensor([1, 0, 1])).converged
    with pytest.raises(ValueError, match="inputs of example 1 overflow"):
        Perceptron.fit(torch.tensor([[1e200], [2e200]], dtype=torch.float64), torch.tensor([1, 0]))


@pytest.mark.slow
def test_zero_is_told_from_one() -> None:
    """On the 2,115 zeros and ones of MNIST's test set, after learning from the 12,665 of its training set."""
    from fathom.data.sets import mnist

    digits = mnist.read()

    def zeros_and_ones(images: np.ndarray, labels: np.ndarray) -> tuple[Tensor, Tensor]:
        chosen = labels < 2
        return torch.tensor(images[chosen]).flatten(1).double() / 255, torch.tensor(labels[chosen])

    learned = Perceptron.fit(*zeros_and_ones(digits.train_images, digits.train_labels), epochs=10)
    images, labels = zeros_and_ones(digits.test_images, digits.test_labels)
    assert len(labels) == 2115
    assert float((learned.predict(images) == labels).double().mean()) >= 0.98


def test_bad_input_is_refused() -> None:
    x, y = torch.tensor([[1.0, 2.0], [3.0, -1.0]]), torch.tensor([1, 0])
    fitted = Perceptron.fit(x, y)
    shapes = r"they must be \(n, i\) and \(n,\), 1 or more each"
    cases = [
        (lambda: updates(x, y[:1]), r"have shapes \(2, 2\) and \(1,\); " + shapes),
        (lambda: updates(x[0], y), r"shapes \(2,\) and \(2,\)"),
        (lambda: updates(x[:0], y[:0]), r"shapes \(0, 2\) and \(0,\); " + shapes),
        (lambda: updates(x.long(), y), "inputs has dtype torch.int64; it must hold floating-point"),
        (lambda: updates(x, y.float()), r"labels holds \[0.0, 1.0\] as torch.float32; they must be 0 and 1"),
        (lambda: updates(x, 2 * y - 1), r"labels holds \[-1, 1\] as torch.int64"),
        (lambda: updates(x * torch.nan, y), "inputs holds NaN or infinity"),
        (lambda: updates(x, y, 0), "epochs is 0; it must be 1 or more"),
        (lambda: updates(x, y, learning_rate=0.0), "learning_rate is 0.0; it must be positive and finite"),
        (lambda: updates(x, y, learning_rate=torch.inf), "learning_rate is inf"),
        (lambda: Perceptron.fit(x[0], y), r"shapes \(2,\) and \(2,\)"),
        (lambda: cycle(x[0, 0], y), r"shapes \(\) and \(2,\)"),
        (lambda: fitted.predict(x[:, :1]), r"inputs has shape \(2, 1\) .* it must be \(n, 2\)"),
        (lambda: fitted.predict(x.double()), "dtype torch.float64; it must be .* of torch.float32"),
        (lambda: trajectory([]), "made holds no update"),
        (lambda: novikoff_bound(x, y, x[0, :1]), r"weight has shape \(1,\); inputs asks for \(2,\)"),
        (lambda: novikoff_bound(x, y, x[0], 1.0, with_bias=False), "bias is 1.0; it must be 0"),
        (lambda: novikoff_bound(x, y, -x[0]), "weight and bias leave example 0 at distance -"),
        (lambda: novikoff_bound(x, y, torch.zeros(2)), "leave example 0 at distance nan"),
    ]
    for call, words in cases:
        with pytest.raises(ValueError, match=words):
            call()
