"""The framework of losses against torch's own, and what it does where torch gives NaN."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fathom.fundamentals.losses.reduction import (
    REDUCTIONS,
    at_least_float32,
    check_labels,
    check_probabilities,
    label_weights,
    reduce_losses,
)


def random(dice: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=dice)


def same(ours: Tensor, theirs: Tensor, leaf: Tensor) -> None:
    """Equal values, and equal gradients of the sum, to 1e-12."""
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    (a,), (b,) = (torch.autograd.grad(x.sum(), leaf, retain_graph=True) for x in (ours, theirs))
    torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def regression_case(dice: torch.Generator, reduction: str) -> None:
    shape = tuple(
        torch.randint(1, 5, (int(torch.randint(1, 4, (1,), generator=dice)),), generator=dice).tolist()
    )
    prediction, target = random(dice, *shape).requires_grad_(), random(dice, *shape)
    weight = torch.rand(shape, dtype=torch.float64, generator=dice)
    one = torch.ones((), dtype=torch.float64)
    squares, sizes = (prediction - target) ** 2, (prediction - target).abs()
    huber = F.huber_loss(prediction, target, reduction="none")
    same(reduce_losses(squares, reduction), F.mse_loss(prediction, target, reduction=reduction), prediction)
    theirs = F.mse_loss(prediction, target, reduction=reduction, weight=weight)
    same(reduce_losses(squares, reduction, weight=weight), theirs, prediction)
    theirs = F.l1_loss(prediction, target, reduction=reduction, weight=weight)
    same(reduce_losses(sizes, reduction, weight=weight), theirs, prediction)
    theirs = F.huber_loss(prediction, target, reduction=reduction, weight=weight)
    same(reduce_losses(huber, reduction, weight=weight, share=one), theirs, prediction)
    yes = target.sigmoid()
    binary = F.binary_cross_entropy_with_logits(prediction, yes, reduction="none")
    theirs = F.binary_cross_entropy_with_logits(prediction, yes, weight, reduction=reduction)
    same(reduce_losses(binary, reduction, weight=weight, share=one), theirs, prediction)


def classification_case(dice: torch.Generator, reduction: str, ignore_index: int) -> None:
    batch, classes, *space = torch.randint(2, 6, (int(torch.randint(2, 5, (1,), generator=dice)),)).tolist()
    logits = random(dice, batch, classes, *space).requires_grad_()
    label = torch.randint(classes, (batch, *space), generator=dice)
    label[torch.rand(label.shape, generator=dice) < 0.3] = ignore_index
    label.view(-1)[0] = (ignore_index + 1) % classes  # torch has no mean over nothing
    weight = torch.rand(classes, dtype=torch.float64, generator=dice) + 0.1
    kept = check_labels("target", label, classes, ignore_index)
    losses = F.cross_entropy(logits, label.where(kept, 0), reduction="none")
    theirs = F.cross_entropy(logits, label, ignore_index=ignore_index, reduction=reduction)
    same(reduce_losses(losses, reduction, kept=kept), theirs, logits)
    theirs = F.cross_entropy(logits, label, weight, ignore_index=ignore_index, reduction=reduction)
    ours = reduce_losses(losses, reduction, kept=kept, weight=label_weights(label, weight, kept))
    same(ours, theirs, logits)


def test_equals_torch_on_100_random_cases() -> None:
    dice = torch.Generator().manual_seed(0)
    for case in range(100):
        reduction = REDUCTIONS[case % 3]
        regression_case(dice, reduction)
        classification_case(dice, reduction, ignore_index=(-100, 0, 1, 255)[case % 4])


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_nothing_to_reduce(reduction: str) -> None:
    losses = torch.zeros(0, 3, requires_grad=True)
    found = reduce_losses(losses, reduction)
    assert found.sum() == 0 and found.shape == ((0, 3) if reduction == "none" else ())
    losses = torch.ones(4, requires_grad=True)
    for settings in ({"kept": torch.zeros(4, dtype=torch.bool)}, {"weight": torch.zeros(4)}):
        found = reduce_losses(losses, reduction, **settings)
        assert found.sum() == 0
        assert torch.autograd.grad(found.sum(), losses)[0].tolist() == [0] * 4


def test_what_is_not_kept_may_be_infinite() -> None:
    losses = torch.tensor([1.0, math.inf, math.nan, 3.0], requires_grad=True)
    kept = torch.tensor([True, False, False, True])
    found = reduce_losses(losses, kept=kept, weight=torch.tensor([1.0, 1.0, 1.0, 3.0]))
    assert found == 2.5
    assert torch.autograd.grad(found, losses)[0].tolist() == [0.25, 0, 0, 0.75]


def test_a_weight_may_be_smaller_than_the_losses() -> None:
    losses = torch.ones(2, 3)
    assert reduce_losses(losses, "sum", weight=torch.tensor([1.0, 2.0, 3.0])) == 12
    assert reduce_losses(losses, "mean", weight=torch.tensor([[1.0], [2.0]])) == 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_float32(dtype: torch.dtype) -> None:
    losses = torch.full((8,), 1e4, dtype=dtype, requires_grad=True)
    total = reduce_losses(losses, "sum")
    assert total.dtype == torch.float32 and total == 8 * losses[0].item() > 65504
    (gradient,) = torch.autograd.grad(total, losses)
    assert gradient.dtype == dtype and gradient.tolist() == [1] * 8
    assert at_least_float32(torch.zeros(1, dtype=torch.float64)).dtype == torch.float64


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"reduction": "avg"}, "reduction is 'avg'; it must be 'mean', 'sum' or 'none'"),
        ({"weight": torch.tensor([1.0, -2.0, 1.0])}, "weight holds -2.0; every weight must be finite"),
        ({"weight": torch.tensor([1.0, math.inf, 1.0])}, "weight holds inf"),
        ({"weight": torch.tensor([1.0, math.nan, 1.0])}, "weight holds nan"),
        ({"weight": torch.ones(4)}, r"weight.shape is \(4,\); it must be \(2, 3\), or a shape that broad"),
        ({"weight": torch.ones(1, 2, 3)}, r"weight.shape is \(1, 2, 3\)"),
        ({"weight": torch.ones(3, dtype=torch.int64)}, "weight.dtype is torch.int64; it must be floating"),
        ({"kept": torch.ones(3, dtype=torch.bool)}, r"kept is torch.bool of shape \(3,\); it must be bool"),
        ({"kept": torch.ones(2, 3)}, "kept is torch.float32"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        reduce_losses(torch.ones(2, 3), **settings)


def test_integer_losses_are_refused() -> None:
    with pytest.raises(ValueError, match=r"losses.dtype is torch.int64; it must be floating"):
        reduce_losses(torch.ones(3, dtype=torch.int64))


def test_labels_of_no_class_are_refused() -> None:
    assert check_labels("target", torch.tensor([0, 2, -100]), 3, -100).tolist() == [True, True, False]
    assert check_labels("target", torch.tensor([0, 156], dtype=torch.uint8), 200, -100).tolist() == [True] * 2
    with pytest.raises(
        ValueError, match="target holds 3; allowed are the classes 0 to 2, and ignore_index -100"
    ):
        check_labels("target", torch.tensor([0, 3, -100]), 3, -100)
    with pytest.raises(ValueError, match=r"target holds -1; allowed are the classes 0 to 2$"):
        check_labels("target", torch.tensor([0, -1]), 3)
    for wrong in (torch.tensor([0.0]), torch.tensor([True])):
        with pytest.raises(ValueError, match=r"target.dtype is torch.* an integer type"):
            check_labels("target", wrong, 3)


def test_what_is_no_probability_is_refused() -> None:
    check_probabilities("target", torch.tensor([[0.2, 0.8], [1.0, 0.0]]), axis=1)
    check_probabilities("target", torch.full((1, 7), 1 / 7, dtype=torch.bfloat16), axis=1)
    with pytest.raises(ValueError, match=r"target sums to 0.9 along axis 1; it must sum to 1"):
        check_probabilities("target", torch.tensor([[0.2, 0.8], [0.2, 0.7]]), axis=1)
    with pytest.raises(ValueError, match=r"target holds -0.5; a probability is 0 or more"):
        check_probabilities("target", torch.tensor([[1.5, -0.5]]), axis=1)
    with pytest.raises(ValueError, match="target holds nan"):
        check_probabilities("target", torch.tensor([[math.nan, 0.5]]), axis=1)
