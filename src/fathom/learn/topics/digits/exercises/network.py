"""A network of your own.

Return a new network, not trained. It takes pictures of shape (n, 1, 28, 28) with values from 0 to 1, and
gives ten scores for each, one for each digit. The digit with the highest score will be its answer.

- At most 200,000 weights.
- Scores, no probabilities: the loss takes care of that.
- What it says of a picture, once it is in use, does not depend on the pictures beside it.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fathom.learn.engine.grade import Answer, Fail

HINTS = (
    "nn.Flatten() makes a row of 784 numbers of each picture. After it come nn.Linear layers.",
    "Between two nn.Linear stands an nn.ReLU(): without it two layers can do no more than one.",
    "nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10)) is enough to pass. The"
    " solution has convolutions: fewer weights, and better.",
)
PASSED = "This can be trained."
WEIGHTS = 200_000


def starter() -> nn.Module:
    """A new network: pictures (n, 1, 28, 28) in, scores (n, 10) out."""
    raise NotImplementedError


def solution() -> nn.Module:
    """A new network: pictures (n, 1, 28, 28) in, scores (n, 10) out."""
    return nn.Sequential(
        nn.Conv2d(1, 16, kernel_size=5, stride=2, padding=2), nn.BatchNorm2d(16), nn.ReLU(),  # 14 x 14
        nn.Conv2d(16, 32, kernel_size=3), nn.MaxPool2d(2), nn.BatchNorm2d(32), nn.ReLU(),  # 6 x 6
        nn.Conv2d(32, 48, kernel_size=3), nn.BatchNorm2d(48), nn.ReLU(),  # 4 x 4
        nn.Flatten(), nn.Linear(48 * 4 * 4, 10),
    )  # fmt: skip


def dense(width: int = 64, *, kink: bool = True) -> nn.Sequential:
    middle = [nn.ReLU()] if kink else []
    return nn.Sequential(nn.Flatten(), nn.Linear(784, width), *middle, nn.Linear(width, 10))


def wrong_softmax_inside() -> nn.Module:
    """Your network ends in a softmax. The loss takes one itself, and two of them learn far too slowly.

    Give the scores as they are.
    """
    return nn.Sequential(dense(), nn.Softmax(dim=1))


def wrong_no_kink() -> nn.Module:
    """Nothing stands between your linear layers, so all of them together are one linear layer.

    Put an activation between them, such as nn.ReLU().
    """
    return dense(kink=False)


def wrong_too_large() -> nn.Module:
    """Your network works, but it has more than 200,000 weights. Make its layers narrower."""
    return dense(width=1000)


class Loose(nn.Module):
    """Layers in a plain list."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = [nn.Linear(784, 64), nn.Linear(64, 10)]

    def forward(self, images: Tensor) -> Tensor:
        return self.layers[1](torch.relu(self.layers[0](images.flatten(1))))


def wrong_layers_in_a_list() -> nn.Module:
    """Your network does not know its own layers: they stand in a plain list.

    Then no optimizer finds their weights, and they are not saved. Take nn.ModuleList or nn.Sequential.
    """
    return Loose()


def wrong_all_zero() -> nn.Module:
    """Your weights begin as zeros. Then every slope in the first layer is zero as well, and it never learns.

    Keep the small random numbers that torch's layers begin with.
    """
    made = dense()
    for weight in made.parameters():
        nn.init.zeros_(weight)
    return made


def wrong_one_score() -> nn.Module:
    """Your network gives one number for each picture. Ten are wanted: a score for each digit."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 1))


def case(seed: int) -> tuple[()]:
    return ()


def pictures(seed: int, count: int = 12) -> Tensor:
    return torch.rand(count, 1, 28, 28, generator=torch.Generator().manual_seed(seed))


def made_by(answer: Answer, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    network = answer()
    if not isinstance(network, nn.Module):
        raise Fail(f"A network is an nn.Module; what you return is of type {type(network).__name__}.")
    return network


def size(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


@torch.no_grad()
def linear(network: nn.Module, seed: int) -> bool:
    """Whether the scores of a sum of two pictures are the sum of their scores, but for a constant."""
    a, b = pictures(seed), pictures(seed + 1)
    network = network.eval()
    left, right = network(a) + network(b), network(a + b) + network(torch.zeros_like(a))
    return torch.allclose(left, right, rtol=1e-3, atol=1e-4)


@torch.no_grad()
def probabilities(network: nn.Module, seed: int) -> bool:
    scores = network.eval()(pictures(seed))
    return bool((scores >= 0).all()) and torch.allclose(scores.sum(1), torch.ones(len(scores)), atol=1e-3)


@torch.no_grad()
def forgotten(answer: Answer, seed: int) -> bool:
    """Whether a second network with the weights of a first still gives other scores."""
    first, second = made_by(answer, seed).eval(), made_by(answer, seed + 1).eval()
    second.load_state_dict(first.state_dict())
    return not torch.allclose(first(pictures(seed)), second(pictures(seed)), atol=1e-5)


def without_slope(network: nn.Module, seed: int) -> int:
    """How many matrices of weights a step would not move."""
    scores = network.train()(pictures(seed))
    F.cross_entropy(scores, torch.arange(len(scores)) % scores.shape[1]).backward()
    matrices = [weight.grad for weight in network.parameters() if weight.dim() > 1]
    return sum(slope is None or not slope.any() for slope in matrices)


def observe(answer: Answer, seed: int) -> list[object]:
    """What is wrong, if anything."""
    network = made_by(answer, seed)
    shape = tuple(network.eval()(pictures(seed)).shape)
    return [
        str(shape),
        size(network) > WEIGHTS,
        probabilities(network, seed),
        linear(network, seed),
        forgotten(answer, seed),
        without_slope(network, seed) > 0,
    ]


def check_scores(answer: Answer, seed: int) -> None:
    scores = made_by(answer, seed).eval()(pictures(seed))
    if not isinstance(scores, Tensor) or tuple(scores.shape) != (12, 10):
        raise Fail(f"Of 12 pictures it should give scores of shape (12, 10); it gives {tuple(scores.shape)}.")
    if probabilities(made_by(answer, seed), seed):
        raise Fail("It gives probabilities: they add up to 1. Give scores.")


def check_each_picture_alone(answer: Answer, seed: int) -> None:
    network, given = made_by(answer, seed).eval(), pictures(seed)
    with torch.no_grad():
        together, alone = network(given), torch.cat([network(picture[None]) for picture in given])
    if not torch.allclose(together, alone, atol=1e-4):
        raise Fail("In use, a picture alone gets other scores than the same picture among others.")


def check_weights_are_known(answer: Answer, seed: int) -> None:
    if forgotten(answer, seed):
        raise Fail("Two networks with the same weights give different scores: some weights are not known.")


def check_it_can_learn(answer: Answer, seed: int) -> None:
    if linear(made_by(answer, seed), seed):
        raise Fail("It is linear: no better than one layer of weighed sums.")
    still = without_slope(made_by(answer, seed), seed)
    if still:
        raise Fail(f"A first step would not move {still} of its layers at all.")


def check_size(answer: Answer, seed: int) -> str:
    weights = size(made_by(answer, seed))
    if weights > WEIGHTS:
        raise Fail(f"It has {weights:,} weights; {WEIGHTS:,} are allowed.")
    return f"It has {weights:,} weights."
