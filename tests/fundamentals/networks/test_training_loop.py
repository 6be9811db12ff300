"""The 25-line loop beside the engine: the same batches, the same losses, bit for bit."""

import ast
import inspect
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from fathom.data.drawn import bars
from fathom.data.split import Data, InMemory
from fathom.fundamentals.networks import training_loop
from fathom.fundamentals.networks.training_loop import History, first_difference, train
from fathom.recipes.lenet import lenet
from fathom.tasks.image_classification import ImageClassification
from fathom.training import SGD, CrossEntropy, Event, Experiment, GradientDescent, WarmupCosine
from fathom.training.experiment import Live
from fathom.training.loop import train as engine
from fathom.training.observers import Evaluate
from fathom.training.randomness import seed_step


class Epochs:
    """The batches of an experiment's source, an epoch for each pass, with the engine's dice at each step."""

    def __init__(self, experiment: Experiment, data: Data, steps_per_epoch: int) -> None:
        self.stream = experiment.source(data).stream(experiment.learner(), 0)
        self.length, self.seed, self.step = steps_per_epoch, experiment.seed, 0

    def __iter__(self) -> Iterator[Any]:
        for batch in islice(self.stream, self.length):
            seed_step(self.seed, self.step)
            self.step += 1
            yield batch


def by_engine(experiment: Experiment, data: Data, every: int) -> tuple[list[float], list[float]]:
    """Losses of all steps, and the log losses on validation data after every ``every`` of them."""
    losses: list[float] = []
    scores: list[float] = []

    def note(event: Event) -> None:
        losses.append(float(event.metrics["loss"]))
        if "valid/log_loss" in event.metrics:
            scores.append(float(event.metrics["valid/log_loss"]))

    evaluate = Evaluate(experiment.task, data.valid, every=every, steps=experiment.steps)
    engine(
        experiment.learner(), experiment.source(data), steps=experiment.steps, seed=experiment.seed,
        observers=[evaluate, note],
    )  # fmt: skip
    return losses, scores


def by_loop(experiment: Experiment, data: Data, per_epoch: int, model: nn.Module) -> History:
    """The same from the same start: model, optimizer and schedule of the experiment in the 25 lines."""
    how = experiment.learning
    assert isinstance(how, GradientDescent) and how.clip_norm is None and how.clip_value is None
    optimizer = how.optimizer.build(model)
    scheduler = LambdaLR(optimizer, lambda step: how.schedule(min(step / experiment.steps, 1 - 1e-9)))
    assert data.valid is not None
    *inputs, labels = data.valid.rows(torch.arange(len(data.valid)))
    held_out = list(zip(experiment.task.prepare(*inputs)[0].split(48), labels.split(48), strict=True))
    return train(
        model, optimizer, F.cross_entropy, Epochs(experiment, data, per_epoch), validation=held_out,
        epochs=experiment.steps // per_epoch, scheduler=scheduler,
    )  # fmt: skip


def test_the_loop_gives_the_losses_of_the_engine_bit_for_bit() -> None:
    """The recipe ``lenet`` on 320 digits: five epochs of ten steps, shifts, AdamW, one cycle of the rate."""
    data = lenet().data.load().reduced(320)
    experiment = replace(lenet(), data=InMemory(data), steps=50, batch_size=32)
    losses, scores = by_engine(experiment, data, every=10)
    told = by_loop(experiment, data, 10, experiment.build())
    assert len(losses) == 50 and first_difference(told.losses, losses) is None
    assert told.losses[-1] < 0.5 * told.losses[0]
    assert told.validation == pytest.approx(scores, rel=1e-5) and len(scores) == 5


def test_a_net_with_dropout_and_batch_norm_does_too() -> None:
    """Layers that draw, or that behave differently when evaluated, get the dice and the mode they need."""

    def net() -> nn.Module:
        torch.manual_seed(3)
        return nn.Sequential(
            nn.Flatten(), nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 4)
        )

    experiment = Experiment(
        model=Live(net()),
        data=bars(size=8, train=96, valid=64),
        task=ImageClassification(labels=("-", "|", "/", "\\"), channels=1, height=8, width=8),
        learning=GradientDescent(
            objective=CrossEntropy(), optimizer=SGD(learning_rate=0.1), schedule=WarmupCosine()
        ),
        batch_size=16,
        steps=24,
    )
    data = experiment.data.load()
    losses, scores = by_engine(experiment, data, every=6)
    told = by_loop(replace(experiment, model=Live(net())), data, 6, net())
    assert first_difference(told.losses, losses) is None
    assert told.validation == pytest.approx(scores, rel=1e-5)


def test_the_loop_has_25_lines_and_needs_no_engine() -> None:
    source = Path(str(inspect.getsourcefile(training_loop))).read_text(encoding="utf-8")
    tree = ast.parse(source)
    (loop,) = (n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "train")
    note = loop.body[0]
    lines = source.splitlines()[loop.lineno - 1 : loop.end_lineno]
    written = [
        line for i, line in enumerate(lines, loop.lineno)
        if line.strip() and not note.lineno <= i <= (note.end_lineno or 0)
    ]  # fmt: skip
    assert len(written) <= 25
    modules = [n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    assert not any(name.startswith("fathom.training") for name in modules)


def small(dtype: torch.dtype = torch.float32) -> tuple[nn.Module, Any, list[tuple[Tensor, Tensor]]]:
    dice = torch.Generator().manual_seed(0)
    model = nn.Linear(3, 2).to(dtype)
    batches = [(torch.randn(4, 3, generator=dice).to(dtype), torch.zeros(4, 2).to(dtype)) for _ in range(3)]
    return model, torch.optim.SGD(model.parameters(), lr=0.1), batches


def test_validation_weighs_examples_alike_and_changes_nothing() -> None:
    model, optimizer, batches = small()
    held_out = [batches[0], tuple(column[:1] for column in batches[1])]
    told = train(model, optimizer, F.mse_loss, batches, validation=held_out, epochs=2)
    x, y = (torch.cat(columns) for columns in zip(*held_out, strict=True))
    with torch.no_grad():
        assert told.validation[-1] == pytest.approx(float(F.mse_loss(model(x), y)), rel=1e-6)
    assert len(told.losses) == 6 and len(told.validation) == 2 and not model.training

    def losses(**more: Any) -> list[float]:
        torch.manual_seed(0)
        model, optimizer, batches = small()
        return train(model, optimizer, F.mse_loss, batches, epochs=2, **more).losses

    assert losses() == losses(validation=held_out)


def test_a_data_loader_will_do_and_no_epochs_do_nothing() -> None:
    model, optimizer, batches = small()
    x, y = (torch.cat(columns) for columns in zip(*batches, strict=True))
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=5)
    told = train(model, optimizer, F.mse_loss, loader, validation=loader, epochs=2)
    assert len(told.losses) == 6 and told.validation[1] < told.validation[0]
    before = [p.clone() for p in model.parameters()]
    assert train(model, optimizer, F.mse_loss, loader, epochs=0) == History()
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype) -> None:
    model, optimizer, batches = small(dtype)
    told = train(model, optimizer, F.mse_loss, batches, validation=batches, epochs=20)
    assert told.validation[-1] < told.validation[0] and all(p.dtype == dtype for p in model.parameters())


def test_a_spent_iterator_and_negative_epochs_are_refused() -> None:
    model, optimizer, batches = small()
    with pytest.raises(ValueError, match=r"training gave no batch in epoch 1; .* an iterator is spent"):
        train(model, optimizer, F.mse_loss, iter(batches), epochs=2)
    with pytest.raises(ValueError, match="training gave no batch in epoch 0"):
        train(model, optimizer, F.mse_loss, [], epochs=1)
    with pytest.raises(ValueError, match="epochs is -1; it must be 0 or more"):
        train(model, optimizer, F.mse_loss, batches, epochs=-1)


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        (lambda a, b: (a - b).square().mean() * math.nan, "loss is nan at step 0; it must be finite"),
        (lambda a, b: (a - b).square(), r"loss has shape \(4, 2\); it must be one number"),
    ],
)
def test_a_bad_loss_is_refused_before_it_spoils_the_weights(loss: Callable[..., Tensor], said: str) -> None:
    model, optimizer, batches = small()
    before = [p.clone() for p in model.parameters()]
    with pytest.raises(ValueError, match=said):
        train(model, optimizer, loss, batches)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))


def test_the_first_difference_is_found_by_bits() -> None:
    assert first_difference([0.1, 0.2], [0.1, 0.2]) is None and first_difference([], []) is None
    assert first_difference([0.1, 0.3], [0.1, 0.1 + 0.2]) == 1  # 0.30000000000000004
    assert first_difference([0.0], [-0.0]) == 0
    assert first_difference([1.0], [1.0, 2.0]) == 1
