"""What the engine costs: steps per second of ``fathom train`` against a bare loop.

The same model, initial weights, optimizer (fused, as ours), clipping, data in memory and number of
threads on both sides; the bare loop shuffles with ``randperm`` and indexes, as a careful person would.
``fathom train`` runs whole: logging of every step, finite checks, checkpoints, seeds. The two take turns
inside one process, a stretch of steps each, so that whatever slows the machine slows both; the ratio is that
of the summed times, its interval a bootstrap over the pairs of stretches.
"""

import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from pairs import arguments, keep, shown
from torch import nn

from fathom.architectures.convolutional import lenet
from fathom.architectures.recurrent import char_lstm
from fathom.data.split import Data, InMemory, Tensors
from fathom.recipes.lenet import DIGITS
from fathom.tasks.vector_classification import VectorClassification
from fathom.training import AdamW, CrossEntropy, Experiment, GradientDescent
from fathom.training.loop import Event
from fathom.verbs.train import train

STRETCH = 10  # steps that one side makes before the other has its turn


@dataclass(frozen=True)
class Wide:
    """An MLP of six layers of 256."""

    def build(self) -> nn.Module:
        layers: list[nn.Module] = []
        for _ in range(6):
            layers += [nn.Linear(256, 256), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(256, 10))


def experiments() -> dict[str, Experiment]:
    dice = torch.Generator().manual_seed(0)
    images = torch.randint(256, (8192, 1, 28, 28), generator=dice, dtype=torch.uint8)
    vectors = torch.randn(8192, 256, generator=dice)
    labels = torch.randint(10, (8192,), generator=dice)
    how = GradientDescent(objective=CrossEntropy(), optimizer=AdamW(learning_rate=1e-3), clip_norm=1.0)
    common: dict[str, Any] = {"learning": how, "batch_size": 64}
    names = tuple("0123456789")
    small = char_lstm.tiny()
    return {
        "LeNet, batch 64": Experiment(
            model=lenet.Config(), data=memory(images, labels), task=DIGITS, steps=4000, **common
        ),
        "MLP 6 x 256, batch 64": Experiment(
            model=Wide(), data=memory(vectors, labels), steps=16_000,
            task=VectorClassification(labels=names, inputs_count=256), **common,
        ),
        "LSTM of char_lstm's tiny run": replace(small, steps=8000),
    }  # fmt: skip


def memory(inputs: torch.Tensor, labels: torch.Tensor) -> InMemory:
    split = Tensors((inputs, labels))
    tiny = Tensors((inputs[:64], labels[:64]))
    return InMemory(Data(train=split, valid=tiny, test=tiny))


class Turns:
    """Observes ``fathom train``: after each stretch of its steps, the bare loop makes as many."""

    def __init__(self, experiment: Experiment) -> None:
        self.other = bare(experiment)
        self.ours: list[float] = []
        self.bare: list[float] = []
        self.since = 0.0

    def __call__(self, event: Event) -> None:
        if event.steps % STRETCH:
            return
        now = time.perf_counter()
        if self.since:  # the first stretch warms both sides
            self.ours.append(now - self.since)
        for _ in range(STRETCH):
            next(self.other)
        if self.since:
            self.bare.append(time.perf_counter() - now)
        self.since = time.perf_counter()


def measured(experiment: Experiment) -> dict[str, Any]:
    """Steps per second of both, the ratio of their summed times and its interval."""
    turns = Turns(experiment)
    with tempfile.TemporaryDirectory() as scratch:
        train(experiment, out=Path(scratch) / "run", export=False, observers=[turns])
    pairs = list(zip(turns.ours, turns.bare, strict=True))

    def ratio(some: list[tuple[float, float]]) -> float:
        return sum(b for _, b in some) / sum(a for a, _ in some)

    dice = random.Random(0)
    drawn = sorted(ratio(dice.choices(pairs, k=len(pairs))) for _ in range(5000))
    return {
        "ours": turns.ours, "other": turns.bare,
        "ratio": ratio(pairs), "low": drawn[125], "high": drawn[-126],
        "ours_median": STRETCH / statistics.median(turns.ours),
        "other_median": STRETCH / statistics.median(turns.bare), "pairs": len(pairs),
    }  # fmt: skip


def bare(experiment: Experiment) -> Iterator[None]:
    """The loop a careful person would write for this experiment, paused after each step."""
    how = experiment.learning
    assert isinstance(how, GradientDescent)
    data = experiment.data.load()
    model = experiment.build()
    optimizer = how.optimizer.build(model)
    rates = [g["lr"] for g in optimizer.param_groups]
    parameters = [p for p in model.parameters() if p.requires_grad]
    count, size = len(data.train), min(experiment.batch_size, len(data.train))
    per_epoch = count // size
    model.train()
    for step in range(experiment.steps):
        if step % per_epoch == 0:
            order = torch.randperm(count)
        place = step % per_epoch * size
        *inputs, target = data.train.rows(order[place : place + size])
        factor = how.schedule(step / experiment.steps)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * factor
        optimizer.zero_grad(set_to_none=True)
        loss, _ = how.objective(model, (*experiment.task.prepare(*inputs), target))
        loss.backward()
        if how.clip_norm is not None:
            nn.utils.clip_grad_norm_(parameters, how.clip_norm)
        optimizer.step()
        yield


def main() -> None:
    args = arguments(__doc__)
    torch.set_num_threads(args.threads)
    rows: list[dict[str, str]] = []
    details: dict[str, Any] = {}
    for name, experiment in experiments().items():
        found = measured(replace(experiment, steps=max((args.pairs + 1) * STRETCH, experiment.steps)))
        details[name] = found
        rows.append(
            {
                "what": f"engine, {name}: steps per second",
                "ours": f"{found['ours_median']:.0f}",
                "other": f"bare loop {found['other_median']:.0f}",
                "ratio": shown(found),
                "goal": "lower end >= 0.97",
            }
        )
    keep("engine", rows, details | {"threads": args.threads, "stretch": STRETCH}, args.out)


if __name__ == "__main__":
    main()
