"""AutoAugment against torchvision with the same draws, and its tables against torchvision's and timm's."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fathom.fundamentals.augmentation.autoaugment import AUTOAUGMENT, CIFAR10, IMAGENET, SVHN, autoaugment


@pytest.mark.slow
def test_tables_are_torchvisions(same_ladders: Callable[..., None]) -> None:
    from torchvision.transforms import v2

    same_ladders(AUTOAUGMENT, v2.AutoAugment)
    for policy, ours in (("imagenet", IMAGENET), ("cifar10", CIFAR10), ("svhn", SVHN)):
        pairs = v2.AutoAugment(v2.AutoAugmentPolicy(policy))._policies
        assert [[(n, p, m or 0) for n, p, m in pair] for pair in pairs] == [list(pair) for pair in ours]


@pytest.mark.slow
def test_the_imagenet_policy_is_timms_of_the_paper() -> None:
    """It gives steps to operations that have none, and numbers steps from 0 to 10 as the paper does."""
    from timm.data.auto_augment import auto_augment_policy_original

    for ours, theirs in zip(IMAGENET, auto_augment_policy_original({}), strict=True):
        for (name, probability, step), operation in zip(ours, theirs, strict=True):
            assert operation.name.removesuffix("Original") == name and operation.prob == probability
            if AUTOAUGMENT[name] is not None:
                assert operation.magnitude == step


@pytest.mark.slow
def test_a_policy_is_torchvisions_with_the_same_draws(
    pictures: Callable[..., Tensor], drawn: Callable[[list[int], list[float]], None]
) -> None:
    from torchvision.transforms import v2

    count = 30
    x, dice = pictures(count), torch.Generator().manual_seed(0)
    sign, applied = (torch.rand(count, 2, generator=dice) for _ in range(2))
    pair = torch.randint(25, (count,), generator=dice)
    ours = autoaugment(x, "cifar10", pair, applied, sign <= 0.5)
    for i in range(count):
        uniform: list[float] = []
        for k, (name, probability, _) in enumerate(CIFAR10[int(pair[i])]):
            uniform.append(float(applied[i, k]))
            ends = AUTOAUGMENT[name]
            if applied[i, k] <= probability and ends and ends[3]:
                uniform.append(float(sign[i, k]))
        drawn([int(pair[i])], uniform)
        assert torch.equal(ours[i], v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10)(x[i]))


def test_what_is_not_applied_changes_nothing(pictures: Callable[..., Tensor]) -> None:
    x, sign = pictures(25), torch.zeros(25, 2) > 0
    assert torch.equal(autoaugment(x, "svhn", torch.arange(25), torch.full((25, 2), 1.01), sign), x)
    changed = autoaugment(x, "svhn", torch.arange(25), torch.zeros(25, 2), sign)
    assert sum(not torch.equal(a, b) for a, b in zip(changed, x, strict=True)) >= 20


def test_an_unknown_policy_is_refused(pictures: Callable[..., Tensor]) -> None:
    with pytest.raises(ValueError, match="policy is 'mnist'; it must be one of imagenet, cifar10, svhn"):
        autoaugment(pictures(1), "mnist", torch.zeros(1).long(), torch.zeros(1, 2), torch.zeros(1, 2) > 0)
