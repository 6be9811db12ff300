"""Train it, within a budget.

You get a network, pictures, labels and a seed. Train the network and return it, ready for use. Take
cross-entropy as the loss, and an optimizer of torch.optim.

- Go through the pictures in batches, in an order that dice with the given seed decide, new in each epoch.
- Your own network, from your network.py, must then be right on 95 of 100 digits that it never saw.
- The budget: 2,000 steps, and 120 seconds on one core.

The check trains your network on 50,000 digits, so it takes as long as your training does. The reference needs
half a minute at most, and gets about 99 of 100 right.
"""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.optimizer import register_optimizer_step_pre_hook

from fathom.data.sets import mnist
from fathom.learn.engine.grade import Answer, Fail, other

HINTS = (
    "It is the loop of the page on training: batches of rows, five lines for each, and two modes around.",
    "torch.randperm(len(images), generator=dice).split(100) are batches of rows in a new order. Make dice"
    " once, before the first epoch.",
    "torch.optim.Adam(network.parameters(), lr=1e-3) and two epochs are enough to pass. The solution takes"
    " SGD with momentum, and a rate that rises and falls.",
)
PASSED = "Your network learned it."
STEPS, WEIGHTS, SECONDS, WANTED = 2_000, 200_000, 120.0, 0.95


def starter(network: nn.Module, images: Tensor, labels: Tensor, seed: int) -> nn.Module:
    """images: (n, 1, 28, 28) in 0 to 1, labels: (n,). Return the network, trained and ready for use."""
    raise NotImplementedError


def solution(network: nn.Module, images: Tensor, labels: Tensor, seed: int) -> nn.Module:
    """images: (n, 1, 28, 28) in 0 to 1, labels: (n,). Return the network, trained and ready for use."""
    epochs, size, rate = 1, 100, 0.1
    steps = epochs * len(range(0, len(images), size))
    optimizer = torch.optim.SGD(network.parameters(), lr=rate, momentum=0.9, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    dice = torch.Generator().manual_seed(seed)
    network.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(images), generator=dice).split(size):
            loss = F.cross_entropy(network(images[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return network.eval()


def fit(
    network: nn.Module, images: Tensor, labels: Tensor, seed: int | None, *, clear: str = "before",
    move: bool = True, train: bool = True, ready: bool = True, softmax: bool = False, once: bool = False,
    shuffle: bool = True, paired: bool = True,
) -> nn.Module:  # fmt: skip
    """A loop with one thing changed, for the twins."""
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    dice = None if seed is None else torch.Generator().manual_seed(seed)
    network.train(train)
    order = torch.randperm(len(images), generator=dice) if shuffle else torch.arange(len(images))
    for rows in order.split(100):
        scores = network(images[rows])
        if clear == "before":
            optimizer.zero_grad()
        answers = labels[rows] if paired else labels[: len(rows)]
        F.cross_entropy(scores.softmax(1) if softmax else scores, answers).backward()
        if clear == "late":
            optimizer.zero_grad()
        if move:
            optimizer.step()
        if once:
            break
    return network.eval() if ready else network


def wrong_no_clear(network: nn.Module, images: Tensor, labels: Tensor, seed: int) -> nn.Module:
    """Slopes pile up from step to step. Call optimizer.zero_grad() once for each batch."""
    return fit(network, images, labels, seed, clear="never")


def wrong_cleared_too_late(network: nn.Module, images: Tensor, labels: Tensor, seed: int) -> nn.Module:
    """You clear the slopes after backward() and before step(), so no step has anything to use."""
    return fit(network, images, labels, seed, clear="late")


def wrong_no_step(network: nn.Module, images: Tensor, labels: Tensor, seed: int) -> nn.Module:
    """The weights never moved: optimizer.step() is missing."""
    return fit(network, images, labels, seed, move=False)


def wrong_softmax_twice(network: nn.Module, images: Tensor, labels: Tensor, seed: int) -> nn.Module:
    """You took the softmax before the loss. Cross-entropy contains it: give it the scores as they are."""
    return fit(network, images, labels, seed, softmax=True)


def wrong_left_in_training(network: nn.Module, images: Tensor, labels: Tensor, seed: int) -> nn.Module:
    """The network comes back in training mode. Return network.eval()."""
    return fit(network, images, labels, seed, ready=False)


def wrong_trained_in_use(network: nn.Module, images: Tensor, labels: Tensor, seed: int) -> nn.Module:
    """You trained in the mode for use, where batch norm learns no statistics. Call network.train() first."""
    return fit(network, images, labels, seed, train=False)


def wrong_one_batch(network: nn.Module, images: Tensor, labels: Tensor, seed: int) -> nn.Module:
    """You took one step only. A return inside the loop ends it: take one step for each batch."""
    return fit(network, images, labels, seed, once=True)


def wrong_in_order(network: nn.Module, images: Tensor, labels: Tensor, seed: int) -> nn.Module:
    """You go through the pictures in the order in which they come. Shuffle, with dice from the seed."""
    return fit(network, images, labels, seed, shuffle=False)


def wrong_own_dice(network: nn.Module, images: Tensor, labels: Tensor, seed: int) -> nn.Module:
    """Two trainings with the same seed go through the pictures in different orders.

    Pass a generator with that seed to torch.randperm.
    """
    return fit(network, images, labels, None)


def wrong_labels_not_shuffled(network: nn.Module, images: Tensor, labels: Tensor, seed: int) -> nn.Module:
    """You shuffled the pictures and not their labels. Take the same rows of both."""
    return fit(network, images, labels, seed, paired=False)


class Watched(nn.Module):
    """A network of a few weights that notes what is done with it. Each picture is even, and says its row."""

    def __init__(self, labels: Tensor, seed: int) -> None:
        super().__init__()
        self.read = nn.Linear(1, 10)
        dice = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            self.read.weight.copy_(torch.randn(10, 1, generator=dice))
            self.read.bias.copy_(torch.randn(10, generator=dice))
        self.notes: dict[str, Any] = {
            "labels": labels, "rows": [], "in_use": False, "twice": 0, "batches": 0, "strange": 0, "steps": 0,
            "piled": False, "empty": 0, "fresh": torch.zeros(10, 1),
        }  # fmt: skip
        self.read.weight.register_hook(self.slope)

    def forward(self, images: Tensor) -> Tensor:
        seen = images.flatten(1).amax(dim=1, keepdim=True)
        scores = self.read(seen)
        if scores.requires_grad:
            rows = (seen[:, 0] * len(self.notes["labels"])).round().long() - 1
            self.notes["rows"].append(rows.clamp(0, len(self.notes["labels"]) - 1))
            self.notes["in_use"] |= not self.training
            scores.register_hook(self.lesson(self.notes["rows"][-1], scores.detach()))
        return scores

    def slope(self, found: Tensor) -> None:
        self.notes["fresh"] = self.notes["fresh"] + found

    def lesson(self, rows: Tensor, scores: Tensor) -> Callable[[Tensor], None]:
        """Looks at the slopes of the scores: for which digits they ask, and of which loss they are."""

        def look(slopes: Tensor) -> None:
            labels = self.notes["labels"][rows]
            self.notes["batches"] += 1
            self.notes["strange"] += float((slopes.argmin(dim=1) != labels).float().mean()) > 0.3
            with torch.enable_grad():
                leaf = scores.clone().requires_grad_()
                (double,) = torch.autograd.grad(F.cross_entropy(leaf.softmax(1), labels), leaf)
            self.notes["twice"] += torch.allclose(slopes, double, rtol=1e-3, atol=1e-7)

        return look

    def step(self) -> None:
        """Called before each step of an optimizer: it may use the slopes that came since the last one."""
        held, fresh = self.read.weight.grad, self.notes["fresh"]
        self.notes["steps"] += 1
        self.notes["empty"] += held is None or not held.any()
        self.notes["piled"] |= held is not None and float(held.norm()) > 1.01 * float(fresh.norm()) + 1e-6
        self.notes["fresh"] = torch.zeros(10, 1)


def case(seed: int, count: int = 1500) -> tuple[nn.Module, Tensor, Tensor, int]:
    labels = torch.randint(10, (count,), generator=torch.Generator().manual_seed(seed))
    images = ((torch.arange(count) + 1.0) / count).view(count, 1, 1, 1).expand(count, 1, 28, 28)
    return Watched(labels, seed), images, labels, seed


def watched(answer: Answer, seed: int) -> tuple[Any, bool]:
    """The network after a training, and whether its weights moved."""
    network, images, labels, given = case(seed)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    handle = register_optimizer_step_pre_hook(
        lambda optimizer, *_: network.step() if holds(optimizer, network) else None  # type: ignore[operator]
    )
    try:
        made = answer(network, images, labels, given)
    finally:
        handle.remove()
    if not isinstance(made, Watched):
        raise Fail("Return the network that you were given, trained.")
    return made, any(not torch.equal(before[name], value) for name, value in made.state_dict().items())


def holds(optimizer: torch.optim.Optimizer, network: Any) -> bool:
    return any(
        weight is network.read.weight for group in optimizer.param_groups for weight in group["params"]
    )


def observe(answer: Answer, seed: int) -> dict[str, bool]:
    """What is wrong, if anything."""
    torch.manual_seed(seed)
    (made, moved), (again, _) = watched(answer, seed), watched(answer, seed)
    notes, rows = made.notes, made.notes["rows"]
    seen = torch.cat(rows) if rows else torch.zeros(0, dtype=torch.int64)
    return {
        "still": not moved,
        "no step": notes["steps"] == 0,
        "nothing to use": notes["empty"] > notes["steps"] / 2,
        "in training": made.training,
        "in use": notes["in_use"],
        "few": len(seen.unique()) < len(notes["labels"]) / 2,
        "in order": len(seen) > 1 and bool((seen[: len(notes["labels"])].diff() >= 0).float().mean() > 0.9),
        "not repeatable": len(rows) != len(again.notes["rows"])
        or not all(map(torch.equal, rows, again.notes["rows"])),
        "piled": notes["piled"],
        "softmax twice": notes["twice"] > notes["batches"] / 2,
        "wrong labels": notes["strange"] > notes["batches"] / 2,
    }


SAID = {
    "still": "the weights are the same as before",
    "no step": "no optimizer of torch.optim took a step; the budget counts those",
    "nothing to use": "most steps found no slopes",
    "in training": "it comes back in training mode",
    "in use": "it was trained in the mode for use",
    "few": "it saw less than half of the pictures",
    "in order": "it saw the pictures in the order in which they came",
    "not repeatable": "a second training with the same seed went another way",
    "piled": "a step used slopes of the batch before",
    "softmax twice": "the slopes are those of a loss with two softmaxes",
    "wrong labels": "the slopes ask for other digits than the labels",
}


def check_the_loop(answer: Answer, seed: int) -> None:
    """A tiny network is trained first, which notes what your loop does."""
    wrong = [SAID[name] for name, found in observe(answer, seed).items() if found]
    if wrong:
        raise Fail(f"A tiny network was trained by your loop: {'; '.join(wrong)}.")


class Budget:
    """Counts steps of every optimizer and seconds of the processor; what is over it ends the training."""

    def __enter__(self) -> "Budget":
        self.steps, self.began = 0, time.process_time()
        self.handle = register_optimizer_step_pre_hook(self.count)
        return self

    def __exit__(self, *error: object) -> None:
        self.handle.remove()
        self.seconds = time.process_time() - self.began

    def count(self, *given: object) -> None:
        self.steps += 1
        if self.steps > STEPS:
            raise Fail(f"The budget is {STEPS:,} steps, and your training takes more.")
        spent = time.process_time() - self.began
        if spent > SECONDS:
            raise Fail(
                f"The budget is {SECONDS:g} s on one core; they were spent after {self.steps:,} steps."
            )


def check_budget(answer: Answer, seed: int) -> str:
    """Your own network, on your own split."""
    digits = mnist.read()
    images = torch.from_numpy(digits.train_images)[:, None].float() / 255
    labels = torch.from_numpy(digits.train_labels)
    learn, judge = other("split")(images, seed)
    torch.manual_seed(seed)
    network = other("network")()
    with Budget() as spent:
        network = answer(network, images[learn], labels[learn], seed)
    with torch.no_grad():
        said = torch.cat([network(part).argmax(dim=1) for part in images[judge].split(500)])
    right = float((said == labels[judge]).float().mean())
    weights = sum(weight.numel() for weight in network.parameters())
    cost = f"{spent.steps:,} steps, {spent.seconds:.0f} s and {weights:,} weights"
    if weights > WEIGHTS:
        raise Fail(f"The network has {weights:,} weights; {WEIGHTS:,} are allowed.")
    if right < WANTED:
        raise Fail(
            f"{right:.1%} of {len(judge):,} digits that it never saw are right, after {cost}; 95 % are asked."
        )
    return f"{right:.1%} of {len(judge):,} digits that it never saw are right, after {cost}."
