"""A baseline to beat.

Before a network, the simplest thing that could work. Take the mean picture of each digit. A new picture is
the digit whose mean is nearest.

You get pictures with their labels, and new pictures. Return the digit of each new picture. "Nearest" is by
the usual distance: the root of the sum of squared differences over all pixels.
"""

import torch
from torch import Tensor

from fathom.data.sets import mnist
from fathom.learn.engine.grade import Answer, Fail, must_be_tensor

HINTS = (
    "images[labels == 3] are all threes; .mean(dim=0) of it is their mean picture.",
    "torch.stack joins ten mean pictures to one tensor, and .flatten(1) makes a row of each picture.",
    "torch.cdist(a, b) is the distance of each row of a to each row of b. Which column is the smallest?",
)
PASSED = "That is what a method without any training reaches. Your network has to be better."
FORBIDDEN = {"sklearn": "a few lines of torch do it"}


def starter(images: Tensor, labels: Tensor, unseen: Tensor) -> Tensor:
    """images: (n, 1, 28, 28), labels: (n,), unseen: (m, 1, 28, 28). Return the digit of each unseen, (m,)."""
    raise NotImplementedError


def solution(images: Tensor, labels: Tensor, unseen: Tensor) -> Tensor:
    """images: (n, 1, 28, 28), labels: (n,), unseen: (m, 1, 28, 28). Return the digit of each unseen, (m,)."""
    means = torch.stack([images[labels == digit].mean(dim=0) for digit in range(10)])
    return torch.cdist(unseen.flatten(1), means.flatten(1)).argmin(dim=1)


def means_of(images: Tensor, labels: Tensor) -> Tensor:
    return torch.stack([images[labels == digit].mean(dim=0) for digit in range(10)]).flatten(1)


def wrong_farthest(images: Tensor, labels: Tensor, unseen: Tensor) -> Tensor:
    """You take the mean that is farthest away. The nearest has the smallest distance: argmin."""
    return torch.cdist(unseen.flatten(1), means_of(images, labels)).argmax(dim=1)


def wrong_differences_cancel(images: Tensor, labels: Tensor, unseen: Tensor) -> Tensor:
    """You add differences up before you square: a pixel that is too bright pays for one that is too dark.

    Square first, then add.
    """
    return (unseen.flatten(1).sum(1)[:, None] - means_of(images, labels).sum(1)).abs().argmin(dim=1)


def wrong_product(images: Tensor, labels: Tensor, unseen: Tensor) -> Tensor:
    """You compare by products of pixels. Then the mean with the most ink wins, near or not."""
    return (unseen.flatten(1) @ means_of(images, labels).T).argmax(dim=1)


def wrong_one_example(images: Tensor, labels: Tensor, unseen: Tensor) -> Tensor:
    """You compare with one example of each digit, not with the mean of all."""
    first = torch.stack([images[labels == digit][0] for digit in range(10)]).flatten(1)
    return torch.cdist(unseen.flatten(1), first).argmin(dim=1)


def wrong_always_the_same(images: Tensor, labels: Tensor, unseen: Tensor) -> Tensor:
    """You answer every picture with the digit that is there most often. That is a baseline too, of 11 %."""
    return torch.full((len(unseen),), int(labels.bincount(minlength=10).argmax()))


def case(seed: int, count: int = 200) -> tuple[Tensor, Tensor, Tensor]:
    """Ten drawn kinds of picture, some with more ink than others, and noise."""
    dice = torch.Generator().manual_seed(seed)
    kinds = torch.rand(10, 1, 28, 28, generator=dice) * torch.linspace(0.6, 1.4, 10).view(10, 1, 1, 1)
    labels = torch.cat([torch.arange(10), torch.randint(10, (count - 10,), generator=dice)])
    truth = torch.randint(10, (60,), generator=dice)

    def drawn(which: Tensor) -> Tensor:
        return kinds[which] + 2.5 * torch.randn(len(which), 1, 28, 28, generator=dice)

    return drawn(labels), labels, drawn(truth)


def check_kind(answer: Answer, seed: int) -> None:
    images, labels, unseen = case(seed)
    made = must_be_tensor(answer(images, labels, unseen), (len(unseen),), "What you return")
    if made.dtype != torch.int64:
        raise Fail(f"Digits are whole numbers (int64); yours are {str(made.dtype).removeprefix('torch.')}.")


def check_nearest_mean(answer: Answer, seed: int) -> None:
    given = case(seed)
    made, wanted = answer(*given), solution(*given)
    wrong = (made != wanted).nonzero().flatten().tolist()
    if wrong:
        row = wrong[0]
        raise Fail(
            f"Of {len(wanted)} pictures {len(wrong)} get another digit than that of the nearest mean:"
            f" picture {row} gets {int(made[row])} and should get {int(wanted[row])}."
        )


def check_real_digits(answer: Answer, seed: int) -> str:
    digits = mnist.read()
    images = torch.from_numpy(digits.train_images[:12_000])[:, None].float() / 255
    labels = torch.from_numpy(digits.train_labels[:12_000])
    right = float(
        (answer(images[:10_000], labels[:10_000], images[10_000:]) == labels[10_000:]).float().mean()
    )
    if right < 0.75:
        raise Fail(f"Of 2,000 real digits only {right:.1%} are right.")
    return f"Of 2,000 real digits {right:.1%} are right."
