"""Optimizers of the NumPy engine against torch's over whole trajectories, and real digits without torch."""

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch

from fathom.fundamentals.autograd import Tensor, where
from fathom.fundamentals.autograd_functions import binary_cross_entropy, mean_squared_error
from fathom.fundamentals.autograd_networks import MLP, AttentionBlock, Linear, LSTMCell
from fathom.fundamentals.autograd_training import SGD, Adam, accuracy, batches, pixels, train, train_digits

OPTIMIZERS: dict[str, tuple[Callable[..., SGD | Adam], Callable[..., torch.optim.Optimizer]]] = {
    "SGD": (lambda p: SGD(p, 0.01), lambda p: torch.optim.SGD(p, 0.01)),
    "momentum": (lambda p: SGD(p, 0.002, momentum=0.9), lambda p: torch.optim.SGD(p, 0.002, momentum=0.9)),
    "Adam": (lambda p: Adam(p, 0.01), lambda p: torch.optim.Adam(p, 0.01)),
    "Adam, other settings": (
        lambda p: Adam(p, 0.003, betas=(0.5, 0.9), epsilon=1e-4),
        lambda p: torch.optim.Adam(p, 0.003, betas=(0.5, 0.9), eps=1e-4),
    ),
}


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_a_thousand_steps_are_those_of_torch(name: str) -> None:
    """On Rosenbrock's valley, given the same gradients, to 1e-12; a parameter without a gradient stays."""
    start = np.array([-1.2, 1.0, 0.5])
    ours, theirs = Tensor(start.copy(), requires_grad=True), torch.tensor(start, requires_grad=True)
    idle = Tensor(np.ones(2), requires_grad=True)
    build, build_theirs = OPTIMIZERS[name]
    optimizer, other = build([ours, idle]), build_theirs([theirs])
    gap = 0.0
    for _ in range(1000):
        a, b = theirs.detach().numpy()[:-1], theirs.detach().numpy()[1:]
        slope = np.zeros(3)
        slope[:-1] += -0.4 * a * (b - a * a) - 0.02 * (1 - a)
        slope[1:] += 0.2 * (b - a * a)
        ours.grad, theirs.grad = slope, torch.from_numpy(slope.copy())
        optimizer.step()
        other.step()
        gap = max(gap, float(np.abs(ours.data - theirs.detach().numpy()).max()))
    assert gap <= 1e-12
    assert np.abs(ours.data - start).max() > 0.1 and idle.data.tolist() == [1, 1]


def test_a_pass_takes_every_row_once_with_its_label() -> None:
    inputs, labels = np.arange(10.0)[:, None], np.arange(10)
    passes = [list(batches(inputs, labels, 4, np.random.default_rng(seed))) for seed in (0, 0, 1)]
    for made in passes:
        assert [len(x) for x, _ in made] == [4, 4, 2]
        assert all((x[:, 0] == y).all() for x, y in made)
        assert sorted(np.concatenate([y for _, y in made]).tolist()) == labels.tolist()
    first, again, other = (np.concatenate([y for _, y in made]).tolist() for made in passes)
    assert first == again != other


def test_an_mlp_learns_xor() -> None:
    x, labels = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])
    network = MLP((2, 8, 2), np.random.default_rng(0), np.float64)
    losses = train(network, Adam(network.parameters(), 0.05), [(x, labels)] * 100)
    assert losses[-1] < 0.02 < 0.5 < losses[0] and accuracy(network, x, labels) == 1


def test_an_lstm_learns_to_remember() -> None:
    """The sign of the first of four numbers, told at the end."""
    dice = np.random.default_rng(0)
    cell, head = LSTMCell(1, 8, dice, np.float64), Linear(8, 1, dice, np.float64)

    def network(x: Tensor) -> Tensor:
        h = c = Tensor(np.zeros((len(x), 8)))
        for t in range(4):
            h, c = cell(x[:, t : t + 1], h, c)
        return head(h)[:, 0]

    x = dice.normal(size=(32, 4))
    optimizer = Adam(cell.parameters() + head.parameters(), 0.05)
    losses = train(network, optimizer, [(x, (x[:, 0] > 0).astype(float))] * 50, binary_cross_entropy)
    assert losses[-1] < 0.1 * losses[0]


def test_an_attention_block_learns_to_look_back() -> None:
    """Every place is to show what the first place holds."""
    dice = np.random.default_rng(0)
    block, x = AttentionBlock(8, 2, dice, causal=True, dtype=np.float64), dice.normal(size=(16, 5, 8))
    x[:, 0, 0] += 3  # how the first place may be known
    wanted = np.repeat(x[:, :1, :2], 5, axis=1)

    def network(x: Tensor) -> Tensor:
        return block(x)[..., :2]

    losses = train(network, Adam(block.parameters(), 0.02), [(x, wanted)] * 60, mean_squared_error)
    assert losses[-1] < 0.1 * losses[0]


def test_rates_are_used_and_run_on_from_pass_to_pass() -> None:
    p = Tensor(np.array([1.0]), requires_grad=True)
    rates, data = iter([0.5, 0.25, 0.125]), (np.ones((1, 1)), np.zeros((1, 1)))
    optimizer = SGD([p], 1.0)
    for _ in range(3):
        train(lambda x: x * p, optimizer, [data], mean_squared_error, rates)
    assert p.data.tolist() == [(1 - 2 * 0.5) * (1 - 2 * 0.25) * (1 - 2 * 0.125)]
    assert optimizer.learning_rate == 0.125


def test_the_same_seed_gives_the_same_losses() -> None:
    def losses() -> list[float]:
        dice = np.random.default_rng(3)
        network = MLP((4, 6, 3), dice)
        x, labels = dice.normal(size=(20, 4)).astype(np.float32), dice.integers(0, 3, 20)
        return train(network, SGD(network.parameters(), 0.1, 0.9), batches(x, labels, 6, dice))

    assert losses() == losses()


def test_a_loss_that_is_not_finite_stops_before_it_spoils_the_weights() -> None:
    p = Tensor(np.array([1.0]), requires_grad=True)
    data = [(np.ones((1, 1)), np.zeros((1, 1))), (np.full((1, 1), np.nan), np.zeros((1, 1)))]
    with pytest.raises(ValueError, match="the loss of step 1 is nan; lower the learning rate"):
        train(lambda x: x * p, SGD([p], 0.25), data, mean_squared_error)
    assert p.data.tolist() == [0.5]


def test_pixels_have_mean_zero_and_deviation_one() -> None:
    from fathom.data.sets import mnist

    made = pixels(mnist.read().train_images[:5000])
    assert made.shape == (5000, 1, 28, 28) and made.dtype == np.float32
    assert made.mean() == pytest.approx(0, abs=0.02) and made.std() == pytest.approx(1, abs=0.02)


DIGITS = np.zeros((2, 28, 28), np.uint8)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: SGD([Tensor(1.0)], 0.1, momentum=1.0), r"momentum is 1.0; it must be in \[0, 1\)"),
        (lambda: SGD([Tensor(1.0)], 0.0), "learning_rate is 0.0; it must be positive"),
        (lambda: SGD([]), "parameters is empty"),
        (lambda: Adam([Tensor(1.0)], betas=(0.9, 1.0)), r"betas are \(0.9, 1.0\)"),
        (lambda: Adam([Tensor(1.0)], epsilon=0.0), "epsilon is 0.0"),
        (lambda: Adam([Tensor(1.0)], -1.0), "learning_rate is -1.0"),
        (lambda: next(batches(np.ones(2), np.ones(3), 1, np.random.default_rng(0))), "2 inputs and 3 labels"),
        (lambda: next(batches(np.ones(2), np.ones(2), 0, np.random.default_rng(0))), "size is 0"),
        (lambda: accuracy(lambda x: x, np.ones((0, 2)), np.zeros(0)), "0 inputs and 0 labels"),
        (lambda: accuracy(lambda x: x, np.ones((3, 2)), np.zeros(2)), "3 inputs and 2 labels: give one"),
        (lambda: pixels(DIGITS[0]), r"dtype uint8, shape \(28, 28\); it must be uint8, \(n, 28, 28\): give"),
        (lambda: pixels(DIGITS[:, :14]), r"shape \(2, 14, 28\)"),
        (lambda: pixels(DIGITS[:, None]), r"shape \(2, 1, 28, 28\)"),
        (lambda: pixels(DIGITS / 255), "images has dtype float64, .*give the digits as they are read"),
        (lambda: train_digits("rnn"), "kind is 'rnn'"),
        (lambda: train_digits("mlp", examples=0), "examples 0"),
    ],
)
def test_what_does_not_fit_is_refused(act: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        act()


def in_a_process_of_its_own(call: str) -> list[float]:
    """Held-out accuracy and seconds of ``call``; fails where torch was imported on the way."""
    code = f"""
import sys
from fathom.fundamentals.autograd_training import Settings, train_digits

result = {call}
assert not {{"torch", "jax", "tensorflow"}} & set(sys.modules), "a framework was imported"
print(result.held_out, result.seconds)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [float(word) for word in done.stdout.split()]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "least"), [("mlp", 0.90), ("cnn", 0.92)])
def test_a_little_training_reads_digits_without_torch(kind: str, least: float) -> None:
    """6,000 digits, two passes: the limit is what a linear model reaches on all of them."""
    how = "Settings(epochs=2, batch_size=64, learning_rate=3e-3)"
    found, _ = in_a_process_of_its_own(f"train_digits({kind!r}, settings={how}, examples=6000, test=False)")
    assert found >= least


@pytest.mark.slow
def test_the_whole_training_of_the_mlp_keeps_its_promise() -> None:
    """At least 0.975 in two minutes; on held-out digits, since the test set is for the record alone."""
    found, seconds = in_a_process_of_its_own("train_digits('mlp', seed=1, test=False)")
    assert found >= 0.975 and seconds < 120


def test_where_serves_as_a_loss_of_ones_own() -> None:
    """A Huber loss made of parts trains like any other."""
    p = Tensor(np.array([4.0]), requires_grad=True)

    def huber(prediction: Tensor, targets: np.ndarray) -> Tensor:
        gap = (prediction - targets).abs()
        return where(gap < 1, gap * gap * 0.5, gap - 0.5).mean()

    losses = train(lambda x: x * p, SGD([p], 0.5), [(np.ones(1), np.zeros(1))] * 20, huber)
    assert losses[0] == 3.5 and losses[-1] < 1e-3
