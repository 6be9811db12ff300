"""Measure on data that was kept aside.

You get a model and a list of batches. Return the mean loss over all **examples**, as a number. The loss is
cross-entropy. Measure in the mode for use, and leave the model in the mode in which you found it:
`model.training` says which one that is.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fathom.learn.engine.grade import Answer, Fail, described

HINTS = (
    "Note model.training first. Then model.eval(), the measuring, and model.train(...) with what you noted.",
    "F.cross_entropy gives the mean over a batch. How much should a batch of 2 count beside one of 8?",
    "Add up loss.item() * len(y) and len(y), and divide at the end. with torch.no_grad() saves the notes.",
)
PASSED = "That is the number that may be reported, whatever the size of the last batch."


def starter(model: nn.Module, batches: list[tuple[Tensor, Tensor]]) -> float:
    """The mean cross-entropy over all examples of batches (inputs, labels)."""
    raise NotImplementedError


def solution(model: nn.Module, batches: list[tuple[Tensor, Tensor]]) -> float:
    """The mean cross-entropy over all examples of batches (inputs, labels)."""
    before = model.training
    model.eval()
    total, count = 0.0, 0
    with torch.no_grad():
        for x, y in batches:
            total += F.cross_entropy(model(x), y).item() * len(y)
            count += len(y)
    model.train(before)
    return total / count


def measured(model: nn.Module, batches: list[tuple[Tensor, Tensor]]) -> tuple[list[float], list[int]]:
    """Loss and size of each batch, in the mode that the model is in; for the twins."""
    with torch.no_grad():
        return [F.cross_entropy(model(x), y).item() for x, y in batches], [len(y) for _, y in batches]


def in_use(model: nn.Module, batches: list[tuple[Tensor, Tensor]]) -> tuple[list[float], list[int]]:
    before = model.training
    found = measured(model.eval(), batches)
    model.train(before)
    return found


def wrong_mean_of_means(model: nn.Module, batches: list[tuple[Tensor, Tensor]]) -> float:
    """You took the mean of the batches' means.

    The last batch is smaller, so its examples count for too much.
    """
    losses, _ = in_use(model, batches)
    return sum(losses) / len(losses)


def wrong_sum(model: nn.Module, batches: list[tuple[Tensor, Tensor]]) -> float:
    """You added up and did not divide: a mean is wanted, over all examples."""
    losses, sizes = in_use(model, batches)
    return sum(loss * size for loss, size in zip(losses, sizes, strict=True))


def wrong_sum_by_examples(model: nn.Module, batches: list[tuple[Tensor, Tensor]]) -> float:
    """You divided the batches' means by the number of examples. Multiply each mean by its own count first."""
    losses, sizes = in_use(model, batches)
    return sum(losses) / sum(sizes)


def wrong_training_mode(model: nn.Module, batches: list[tuple[Tensor, Tensor]]) -> float:
    """You measured in training mode.

    A layer called batch norm then uses the means of each batch, not those that it kept. Call model.eval()
    first.
    """
    losses, sizes = measured(model, batches)
    return sum(loss * size for loss, size in zip(losses, sizes, strict=True)) / sum(sizes)


def wrong_left_in_use(model: nn.Module, batches: list[tuple[Tensor, Tensor]]) -> float:
    """The number is right, but the model is left in the mode for use.

    The next training step would be wrong.
    """
    losses, sizes = in_use(model, batches)
    model.eval()
    return sum(loss * size for loss, size in zip(losses, sizes, strict=True)) / sum(sizes)


def wrong_last_batch(model: nn.Module, batches: list[tuple[Tensor, Tensor]]) -> float:
    """You returned the loss of the last batch alone. Add up over all of them."""
    return in_use(model, batches)[0][-1]


def case(seed: int) -> tuple[nn.Module, list[tuple[Tensor, Tensor]]]:
    """A model in training mode with batch norm, two batches of 8 and one of 3."""
    dice = torch.Generator().manual_seed(seed)
    norm = nn.BatchNorm1d(4)
    model = nn.Sequential(nn.Linear(3, 4), norm, nn.ReLU(), nn.Linear(4, 2)).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=dice))
        assert norm.running_mean is not None
        norm.running_mean.copy_(torch.randn(4, generator=dice))
    batches = []
    for size in (8, 8, 3):
        x = torch.randn(size, 3, generator=dice, dtype=torch.float64)
        batches.append((x, torch.randint(2, (size,), generator=dice)))
    return model, batches


def observe(answer: Answer, seed: int) -> tuple[float, bool]:
    """The number, and the mode that the model is left in."""
    model, batches = case(seed)
    return float(answer(model, batches)), model.training


def check_number(answer: Answer, seed: int) -> None:
    found = answer(*case(seed))
    if isinstance(found, Tensor):
        raise Fail("Return a number of Python: .item() makes one of a loss.")
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise Fail(f"Return a number; yours is {described(found)}")


def check_mean(answer: Answer, seed: int) -> None:
    found, wanted = answer(*case(seed)), solution(*case(seed))
    if abs(found - wanted) > 1e-6:
        raise Fail(
            f"Over batches of 8, 8 and 3 examples the mean loss is {wanted:.4f}; yours is {found:.4f}."
        )


def check_mode(answer: Answer, seed: int) -> None:
    for before in (True, False):
        model, batches = case(seed)
        model.train(before)
        answer(model, batches)
        if model.training != before:
            raise Fail(
                f"The model was in {'training' if before else 'use'}, and you left it in the other mode."
            )
