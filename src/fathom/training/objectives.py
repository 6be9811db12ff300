"""What to minimise. An objective sees the model and a batch, and returns a mean loss.

Objectives that many systems share live here. One that belongs to a single system (the set matching
of a detector, the noise prediction of a diffusion model) lives in that system's file.

A batch is a tuple ``(*inputs, target)``. ``count`` says over how many targets the mean is taken:
with it, the engine weighs micro-batches so that accumulated gradients equal those of the big batch
even where sequences differ in length.

An objective with the settings ``balance`` and ``counts`` is told, by the experiment, how many training rows
each class has. One with a method ``examine`` sees the first batch before anything is trained.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fathom.errors import InputError
from fathom.fundamentals.losses.custom_loss import check_loss
from fathom.fundamentals.losses.focal import softmax_focal_loss
from fathom.fundamentals.regularization.class_balance import balanced_cross_entropy, class_weights
from fathom.training.loop import Metrics

IGNORE = -100  # a target that is not scored: padding, a pixel without a label
EXAMINED = 4  # rows of the first batch on which the gradient of a person's own loss is checked


@runtime_checkable
class Objective(Protocol):
    """Settings of a loss, as a frozen dataclass."""

    def __call__(self, model: nn.Module, batch: Any) -> tuple[Tensor, Metrics]:
        """The mean loss over the targets of ``batch``, and scalars to log."""
        ...

    def count(self, batch: Any) -> Tensor | int:
        """The number of targets the mean is taken over."""
        ...


@runtime_checkable
class Examining(Protocol):
    """An objective that looks at a model and its first batch before step 0."""

    def examine(self, model: nn.Module, batch: Any) -> None:
        """Raise ``InputError`` where training would go wrong; leave the model as it is."""
        ...


@dataclass(frozen=True, kw_only=True)
class CrossEntropy:
    """Softmax classification: ``(*inputs, label)``, logits (b, classes).

    Labels are int64 (b,), or probabilities (b, classes) of rows that were mixed; what is likeliest counts
    as right then. Where some classes are rare, ``balance`` gives each the same say: by "weights" inverse to
    their frequency, or by "logits" that the loss sees shifted by its logarithm (Menon et al. 2021).
    """

    label_smoothing: float = 0.0
    balance: Literal["none", "weights", "logits"] = "none"
    counts: tuple[int, ...] = ()  # training rows of each class; an experiment counts them for "balance"

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing is {self.label_smoothing}; it must be in [0, 1)")
        _balance(self.balance, self.counts, ("none", "weights", "logits"))

    def __call__(self, model: nn.Module, batch: Any) -> tuple[Tensor, Metrics]:
        *inputs, label = batch
        logits = model(*inputs)
        if self.balance == "none":
            loss = F.cross_entropy(logits, label, label_smoothing=self.label_smoothing)
        else:
            counts = torch.tensor(_known(self.balance, self.counts))
            loss = balanced_cross_entropy(logits, label, counts, self.balance, self.label_smoothing)
        return loss, {"accuracy": _accuracy(logits, label)}

    def count(self, batch: Any) -> int:
        return len(batch[-1])


@dataclass(frozen=True, kw_only=True)
class Focal:
    """Softmax classification that cares less for what is right already (Lin et al. 2017, equation 5).

    Batches as for ``CrossEntropy``, with int64 labels only. ``gamma`` 0 is cross-entropy; ``balance`` gives
    the classes the weights that stand for the paper's alpha.
    """

    gamma: float = 2.0
    balance: Literal["none", "weights"] = "none"
    counts: tuple[int, ...] = ()  # training rows of each class; an experiment counts them for "balance"

    def __post_init__(self) -> None:
        if not 0 <= self.gamma < float("inf"):
            raise ValueError(f"gamma is {self.gamma}; it must be 0 or more, and finite")
        _balance(self.balance, self.counts, ("none", "weights"))

    def __call__(self, model: nn.Module, batch: Any) -> tuple[Tensor, Metrics]:
        *inputs, label = batch
        logits = model(*inputs)
        weight = None
        if self.balance == "weights":
            weight = class_weights(torch.tensor(_known(self.balance, self.counts))).to(logits.device)
        losses = softmax_focal_loss(logits, label, gamma=self.gamma, class_weight=weight, reduction="none")
        return losses.mean(), {"accuracy": _accuracy(logits, label)}  # over rows, as a balanced entropy is

    def count(self, batch: Any) -> int:
        return len(batch[-1])


@dataclass(frozen=True, kw_only=True)
class MeanSquaredError:
    """Regression: ``(*inputs, target)``, prediction of the target's shape (b, ...) or (b,) for (b, 1)."""

    def __call__(self, model: nn.Module, batch: Any) -> tuple[Tensor, Metrics]:
        *inputs, target = batch
        prediction = model(*inputs).reshape(target.shape)
        return F.mse_loss(prediction, target), {}

    def count(self, batch: Any) -> int:
        return batch[-1].numel()


@dataclass(frozen=True, kw_only=True)
class NextToken:
    """Language modelling: ``(*inputs, targets)``, targets int64 (b, time), logits (b, time, vocabulary).

    Targets equal to ``IGNORE`` are padding and are not counted. Reports nats per token as the loss.
    """

    def __call__(self, model: nn.Module, batch: Any) -> tuple[Tensor, Metrics]:
        *inputs, target = batch
        logits = model(*inputs)
        return F.cross_entropy(logits.flatten(0, -2), target.flatten(), ignore_index=IGNORE), {}

    def count(self, batch: Any) -> Tensor:
        return (batch[-1] != IGNORE).sum()


@dataclass(frozen=True, kw_only=True)
class Reconstruction:
    """Autoencoding: ``(input, ...)``; the model's output is compared with its input, element by element."""

    binary: bool = False  # inputs in [0, 1] and outputs are logits: cross-entropy instead of squares

    def __call__(self, model: nn.Module, batch: Any) -> tuple[Tensor, Metrics]:
        original = batch[0]
        output = model(original)
        if self.binary:
            return F.binary_cross_entropy_with_logits(output, original), {}
        return F.mse_loss(output, original), {}

    def count(self, batch: Any) -> int:
        return batch[0].numel()


@dataclass(frozen=True, kw_only=True)
class Custom:
    """A loss of your own: ``loss(output, target)`` is one number, the mean over the rows of a batch.

    ``output`` is what the model gives, ``target`` the last column of the batch. Before step 0 the gradient is
    compared with finite differences, in float64, on the first rows; ``check=False`` leaves that out, for a
    gradient that is meant to be another. ``loss`` is a live function, or a module without parameters: no
    setting and no file can name one, for a name in a file is never imported.
    """

    loss: Callable[..., Tensor]
    check: bool = True

    def __post_init__(self) -> None:
        if not callable(self.loss):
            raise ValueError(
                f"loss is {self.loss!r}; it must be a function (output, target) -> loss: import and give it"
            )
        if isinstance(self.loss, nn.Module) and any(p.requires_grad for p in self.loss.parameters()):
            raise ValueError(
                f"loss is {self.name}, whose parameters nothing would train; make them a part of the model"
            )

    @property
    def name(self) -> str:
        return getattr(self.loss, "__name__", type(self.loss).__name__)

    def __call__(self, model: nn.Module, batch: Any) -> tuple[Tensor, Metrics]:
        *inputs, target = batch
        return self.loss(model(*inputs), target), {}

    def count(self, batch: Any) -> int:
        return len(batch[-1])

    def examine(self, model: nn.Module, batch: Any) -> None:
        """Check the gradient with respect to the model's output; ``InputError`` names what differs."""
        if not self.check:
            return
        *inputs, target = batch
        training = model.training
        with torch.no_grad():
            output = model.eval()(*inputs)
        model.train(training)
        if not isinstance(output, Tensor) or not output.is_floating_point():
            what = f"{output.dtype} tensor" if isinstance(output, Tensor) else type(output).__name__
            raise InputError(
                f"the model gives a {what}; the gradient of {self.name} can be checked where it gives one"
                " floating tensor: Custom(loss=..., check=False) goes without"
            )
        if isinstance(target, Tensor) and target.shape[:1] == output.shape[:1]:
            output, target = output[:EXAMINED], target[:EXAMINED]
        output = _moved_apart(output.double())
        loss = copy.deepcopy(self.loss).double() if isinstance(self.loss, nn.Module) else self.loss
        try:
            check_loss(loss, output, target)
        except (ValueError, TypeError, RuntimeError, IndexError) as error:
            given = [
                str(tuple(x.shape)) if isinstance(x, Tensor) else type(x).__name__ for x in (output, target)
            ]
            raise InputError(
                f"the loss {self.name}, checked before step 0 on output {given[0]} and target {given[1]}:"
                f" {error}. Correct it or, where that is meant, leave the check out: Custom(loss=...,"
                " check=False)"
            ) from error


def _moved_apart(output: Tensor) -> Tensor:
    """Outputs that are all alike, as of a last layer that begins at zero, hide errors: each gets its own."""
    if not output.numel() or output.max() > output.min():
        return output
    reach = 0.1 * (abs(float(output.flatten()[0])) or 1.0)
    dice = torch.Generator().manual_seed(0)
    return output + reach * torch.randn(output.shape, dtype=output.dtype, generator=dice).to(output.device)


def _accuracy(logits: Tensor, label: Tensor) -> Tensor:
    with torch.no_grad():
        wanted = label if label.ndim == 1 else label.argmax(dim=-1)
        return (logits.argmax(dim=-1) == wanted).float().mean()


def _balance(balance: str, counts: tuple[int, ...], known: tuple[str, ...]) -> None:
    """Refuse a way to balance that there is not, and counts that leave a class without a row."""
    if balance not in known:
        raise ValueError(f"balance is {balance!r}; it must be one of {', '.join(known)}")
    if counts:
        class_weights(torch.tensor(counts))


def _known(balance: str, counts: tuple[int, ...]) -> tuple[int, ...]:
    if not counts:
        raise ValueError(f"balance is {balance!r} and counts is empty; an Experiment counts the classes")
    return counts
