"""Random changes of images by policy: operations at random, or pairs of them that were found by search.

As in ``transforms``: one row of uniform numbers for each image. The tables of operations and strengths are
in ``fundamentals/augmentation``, a file for each policy.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fathom.data.draws import whole
from fathom.fundamentals.augmentation import augmix, autoaugment, randaugment


@dataclass(frozen=True, kw_only=True)
class RandAugment:
    """``operations`` random changes at strength ``magnitude`` of ``steps`` (Cubuk et al. 2019)."""

    operations: int = 2
    magnitude: int = 9
    steps: int = 31
    interpolation: str = "nearest"
    fill: float = 0

    def __post_init__(self) -> None:
        if self.operations < 0:
            raise ValueError(f"operations is {self.operations}; it must be 0 or more")
        if self.steps < 2 or not 0 <= self.magnitude < self.steps:
            raise ValueError(f"magnitude is {self.magnitude} of {self.steps} steps; it must be in [0, steps)")

    @property
    def draws(self) -> int:
        return 2 * self.operations

    def __call__(self, batch: tuple[Any, ...], numbers: Tensor) -> tuple[Any, ...]:
        images, *rest = batch
        choice = whole(numbers[:, : self.operations], len(randaugment.RANDAUGMENT))
        changed = randaugment.random_operations(
            images, randaugment.RANDAUGMENT, choice, torch.full_like(choice, self.magnitude),
            numbers[:, self.operations :] < 0.5, steps=self.steps, interpolation=self.interpolation,
            fill=self.fill,
        )  # fmt: skip
        return changed, *rest


@dataclass(frozen=True, kw_only=True)
class TrivialAugment:
    """One random change at a random strength, nothing to tune (Mueller and Hutter 2021, its wide ranges)."""

    steps: int = 31
    interpolation: str = "nearest"
    fill: float = 0
    draws = 3

    def __post_init__(self) -> None:
        if self.steps < 2:
            raise ValueError(f"steps is {self.steps}; it must be 2 or more")

    def __call__(self, batch: tuple[Any, ...], numbers: Tensor) -> tuple[Any, ...]:
        images, *rest = batch
        choice = whole(numbers[:, :1], len(randaugment.TRIVIALAUGMENT))
        changed = randaugment.random_operations(
            images, randaugment.TRIVIALAUGMENT, choice, whole(numbers[:, 1:2], self.steps),
            numbers[:, 2:] < 0.5, steps=self.steps, interpolation=self.interpolation, fill=self.fill,
        )  # fmt: skip
        return changed, *rest


@dataclass(frozen=True, kw_only=True)
class AutoAugment:
    """One of 25 pairs of changes found by search for "imagenet", "cifar10" or "svhn" (Cubuk et al. 2018)."""

    policy: str = "cifar10"
    interpolation: str = "nearest"
    fill: float = 0
    draws = 5

    def __post_init__(self) -> None:
        if self.policy not in autoaugment.SEARCHED:
            known = ", ".join(autoaugment.SEARCHED)
            raise ValueError(f"policy is {self.policy!r}; it must be one of {known}")

    def __call__(self, batch: tuple[Any, ...], numbers: Tensor) -> tuple[Any, ...]:
        images, *rest = batch
        pair = whole(numbers[:, 0], len(autoaugment.SEARCHED[self.policy]))
        changed = autoaugment.autoaugment(
            images, self.policy, pair, numbers[:, 1:3], numbers[:, 3:] < 0.5,
            interpolation=self.interpolation, fill=self.fill,
        )  # fmt: skip
        return changed, *rest


@dataclass(frozen=True, kw_only=True)
class AugMix:
    """A blend of the picture and ``chains`` chains of one to three changes (Hendrycks et al. 2019)."""

    severity: int = 3
    chains: int = 3
    interpolation: str = "bilinear"
    fill: float = 0

    def __post_init__(self) -> None:
        if not 1 <= self.severity <= augmix.STEPS:
            raise ValueError(f"severity is {self.severity}; it must be in [1, {augmix.STEPS}]")
        if self.chains < 1:
            raise ValueError(f"chains is {self.chains}; it must be 1 or more")

    @property
    def draws(self) -> int:
        return (
            1 + 11 * self.chains
        )  # of a chain: its weight and depth; of 3 changes which, how strong, which way

    def __call__(self, batch: tuple[Any, ...], numbers: Tensor) -> tuple[Any, ...]:
        images, *rest = batch
        drawn = numbers[:, 1:].reshape(len(numbers), self.chains, 11)
        # Exponential numbers, divided by their sum, are Dirichlet with all parameters 1.
        weight = -torch.log1p(-drawn[:, :, 0].double().clamp(min=2.0**-25))
        changed = augmix.augmix(
            images, whole(drawn[:, :, 2:5], len(augmix.AUGMIX)), whole(drawn[:, :, 5:8], self.severity),
            drawn[:, :, 8:] < 0.5, 1 + whole(drawn[:, :, 1], 3), weight / weight.sum(1, keepdim=True),
            numbers[:, 0].double(), interpolation=self.interpolation, fill=self.fill,
        )  # fmt: skip
        return changed, *rest
