"""MNIST: seconds of training to an accuracy, against a bare script with the same net, tuned as well.

The opponent is the loop a careful person would write: the same network, initial layout, optimizer,
schedule and augmentation on the same tensors, shuffled with ``randperm``. With ``--official SEEDS`` the
settings of PyTorch's own MNIST example (14 epochs of Adadelta at batch 64) are run for their accuracy, as
context; ``--pace STEPS`` times some of its steps, for a whole run takes a quiet machine half an hour.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from pairs import keep, paired, shown, spread
from torch import nn

from fathom import catalog
from fathom.task import Boundary
from fathom.training import Experiment, GradientDescent
from fathom.verbs.train import train

EPOCHS = 14  # of PyTorch's example, 938 steps each


def ours(recipe: str, seed: int) -> tuple[float, float]:
    """Seconds of training and test accuracy of ``fathom train``."""
    with tempfile.TemporaryDirectory() as scratch:
        run = train(recipe, seed=seed, out=Path(scratch) / "run", export=False)
        return run.seconds, run.metrics["test/accuracy"]


def bare(experiment: Experiment, seed: int) -> tuple[float, float]:
    """Seconds and accuracy of a bare loop."""
    how, task = experiment.learning, experiment.task
    assert isinstance(how, GradientDescent)
    data = experiment.data.load()
    images, labels = data.train.columns
    torch.manual_seed(seed)
    model = experiment.model.build()
    optimizer = how.optimizer.build(model)
    rate, size = optimizer.param_groups[0]["lr"], experiment.batch_size
    per_epoch = len(labels) // size
    model.train()
    began = time.perf_counter()
    for step in range(experiment.steps):
        if step % per_epoch == 0:
            order = torch.randperm(len(labels))
        index = order[step % per_epoch * size : (step % per_epoch + 1) * size]
        batch = images[index], labels[index]
        for augment in experiment.augment:
            batch = augment(batch, torch.rand(size, augment.draws))
        factor = how.schedule(step / experiment.steps)
        for group in optimizer.param_groups:
            group["lr"] = rate * factor
        optimizer.zero_grad(set_to_none=True)
        loss, _ = how.objective(model, (*task.prepare(batch[0]), batch[1]))
        loss.backward()
        optimizer.step()
    seconds = time.perf_counter() - began
    return seconds, task.evaluate(Boundary(task, model), data.test).metrics["accuracy"]


class OfficialNet(nn.Module):
    """The network of PyTorch's MNIST example: two convolutions, dropout, two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 32, 3), nn.Conv2d(32, 64, 3)
        self.dropout1, self.dropout2 = nn.Dropout(0.25), nn.Dropout(0.5)
        self.hidden, self.head = nn.Linear(9216, 128), nn.Linear(128, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.second(torch.relu(self.first(x))))
        x = self.dropout1(nn.functional.max_pool2d(x, 2)).flatten(1)
        return self.head(self.dropout2(torch.relu(self.hidden(x))))


def official(seed: int, steps: int | None = None) -> tuple[list[float], float]:
    """Its settings: 14 epochs of Adadelta at rate 1, times 0.7 after each, batch 64, all 60,000 digits.

    Seconds of each step, and the accuracy on the test set; with ``steps``, of so many steps only.
    """
    experiment = catalog.recipe("mnist").load()()
    task, data = experiment.task, experiment.data.load()
    train_x = torch.cat([data.train.columns[0], data.valid.columns[0]])
    train_y = torch.cat([data.train.columns[1], data.valid.columns[1]])
    torch.manual_seed(seed)
    model = OfficialNet()
    optimizer = torch.optim.Adadelta(model.parameters(), lr=1.0)
    plan = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.7)
    seconds: list[float] = []
    for _ in range(EPOCHS):
        model.train()
        for index in torch.randperm(len(train_y)).split(64)[:steps]:
            began = time.perf_counter()
            optimizer.zero_grad()
            (x,) = task.prepare(train_x[index])
            nn.functional.cross_entropy(model(x), train_y[index]).backward()
            optimizer.step()
            seconds.append(time.perf_counter() - began)
        if steps is not None:
            break
        plan.step()
    return seconds, task.evaluate(Boundary(task, model), data.test).metrics["accuracy"]


def goal(
    recipe: str, seeds: int, pairs: int, accuracy: float, limit: int
) -> tuple[dict[str, str], dict[str, Any]]:
    """One row: our time to an accuracy beside the bare script's."""
    experiment = catalog.recipe(recipe).load()()
    reached: dict[str, list[float]] = {"ours": [], "other": []}

    def one(side: str, run: Any) -> float:
        seconds, score = run
        reached[side].append(score)
        return seconds

    turn = iter(range(10_000))
    found = paired(
        lambda: one("ours", ours(recipe, next(turn) % seeds)),
        lambda: one("other", bare(experiment, next(turn))),
        pairs,
    )
    row = {
        "what": f"MNIST, `{recipe}`: seconds of training",
        "ours": f"{spread(found['ours'])}, median accuracy {statistics.median(reached['ours']):.4f}",
        "other": f"bare script {spread(found['other'])}, accuracy {statistics.median(reached['other']):.4f}",
        "ratio": shown(found),
        "goal": f"accuracy {accuracy} under {limit} s; ratio <= 1.03",
    }
    return row, found | {"accuracies": reached}


def context(what: str, other: str) -> dict[str, str]:
    return {"what": what, "ours": "-", "other": other, "ratio": "-", "goal": "none (context)"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--official", type=int, default=0, metavar="SEEDS")
    parser.add_argument("--pace", type=int, default=0, metavar="STEPS", help="time so many steps of them")
    parser.add_argument(
        "--only", metavar="RECIPE", help="mnist or mnist_quick; none: neither, with --official"
    )
    parser.add_argument("--out")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows, details = [], {}
    for recipe, accuracy, limit in (("mnist_quick", 0.992, 20), ("mnist", 0.995, 60)):
        if args.only not in (None, recipe):
            continue
        row, found = goal(recipe, 5, args.pairs, accuracy, limit)
        rows.append(row)
        details[recipe] = found
    what = "MNIST, settings of PyTorch's example"
    if args.official:
        scores = [official(seed)[1] for seed in range(args.official)]
        details["official"] = scores
        told = ", ".join(f"{score:.4f}" for score in scores)
        rows.append(context(f"{what}, {args.official} seed: test accuracy", told))
    if args.pace:
        seconds, _ = official(0, args.pace)
        total = statistics.median(seconds) * EPOCHS * 938
        details["pace"] = seconds
        rows.append(
            context(f"{what}: seconds of its {EPOCHS * 938:,} steps, from {args.pace}", f"{total:.0f} s")
        )
    keep("mnist", rows, details | {"threads": args.threads}, args.out)


if __name__ == "__main__":
    main()
