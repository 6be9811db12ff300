"""Seeded shapes and settings on which convolutions are compared: every kind, in one to three dimensions."""

import random
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

KINDS = ("plain", "strided", "dilated", "grouped", "depthwise", "same", "pixel", "whole", "all")


@dataclass(frozen=True)
class Case:
    """Shapes of input, weight and bias, and the settings to call with."""

    kind: str
    x: tuple[int, ...]
    weight: tuple[int, ...]
    bias: tuple[int, ...] | None
    settings: dict[str, Any]

    def tensors(self, seed: int, dtype: torch.dtype = torch.float64) -> list[Tensor | None]:
        dice = torch.Generator().manual_seed(seed)
        shapes = (self.x, self.weight, self.bias)
        return [None if s is None else torch.randn(s, dtype=dtype, generator=dice) for s in shapes]


def convolutions(count: int, seed: int) -> list[Case]:
    """``count`` cases that all fit; kinds and dimensions take turns."""
    dice = random.Random(seed)
    return [convolution_case(dice, KINDS[i % len(KINDS)], 1 + i // len(KINDS) % 3) for i in range(count)]


def convolution_case(dice: random.Random, kind: str, axes: int) -> Case:
    kernel = [dice.randint(1, 3 if axes > 1 else 5) for _ in range(axes)]
    stride = [dice.randint(1, 3) if kind in ("strided", "all") else 1 for _ in kernel]
    dilation = [dice.randint(1, 3) if kind in ("dilated", "all") or one_in(dice, 4) else 1 for _ in kernel]
    padding = [0 if kind == "whole" else dice.randint(0, 2) for _ in kernel]
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    room = 0 if kind == "whole" else 5 - axes
    size = [max(1, s - 2 * p) + dice.randint(0, room) for s, p in zip(spans, padding, strict=True)]
    if kind == "pixel":
        size, padding = [1] * axes, [s // 2 for s in spans]
    groups = dice.randint(2, 3) if kind in ("grouped", "all") else 1
    channels, outputs = groups * dice.randint(1, 3), groups * dice.randint(1, 3)
    if kind == "depthwise":
        groups, outputs = channels, channels * dice.randint(1, 2)
    settings: dict[str, Any] = {
        "stride": written(dice, stride),
        "padding": "same" if kind == "same" else written(dice, padding),
        "dilation": written(dice, dilation),
        "groups": groups,
    }
    x = (dice.randint(1, 2), channels, *size)
    weight = (outputs, channels // groups, *kernel)
    return Case(kind, x, weight, (outputs,) if one_in(dice, 2) else None, settings)


def transposed_convolutions(count: int, seed: int) -> list[Case]:
    """``count`` cases that all fit; kinds and dimensions take turns."""
    dice = random.Random(seed)
    kinds = ("plain", "strided", "dilated", "grouped", "depthwise", "pixel", "all")
    return [transposed_case(dice, kinds[i % len(kinds)], 1 + i // len(kinds) % 3) for i in range(count)]


def transposed_case(dice: random.Random, kind: str, axes: int) -> Case:
    kernel = [dice.randint(1, 3 if axes > 1 else 5) for _ in range(axes)]
    stride = [dice.randint(1, 3) if kind in ("strided", "all", "pixel") else 1 for _ in kernel]
    dilation = [dice.randint(1, 3) if kind in ("dilated", "all") else 1 for _ in kernel]
    extra = [dice.randint(0, max(s, d) - 1) for s, d in zip(stride, dilation, strict=True)]
    size = [1 if kind == "pixel" else dice.randint(1, 4 - axes // 2) for _ in kernel]
    grown = [
        (n - 1) * s + d * (k - 1) + 1 + e
        for n, k, s, d, e in zip(size, kernel, stride, dilation, extra, strict=True)
    ]
    padding = [dice.randint(0, min(3, (n - 1) // 2)) for n in grown]
    groups = dice.randint(2, 3) if kind in ("grouped", "all") else 1
    channels, width = groups * dice.randint(1, 3), dice.randint(1, 3)
    if kind == "depthwise":
        groups, width = channels, dice.randint(1, 2)
    settings: dict[str, Any] = {
        "stride": written(dice, stride),
        "padding": written(dice, padding),
        "output_padding": written(dice, extra),
        "dilation": written(dice, dilation),
        "groups": groups,
    }
    x, weight = (dice.randint(1, 2), channels, *size), (channels, width, *kernel)
    return Case(kind, x, weight, (width * groups,) if one_in(dice, 2) else None, settings)


def one_in(dice: random.Random, count: int) -> bool:
    return dice.randrange(count) == 0


def written(dice: random.Random, values: list[int]) -> int | tuple[int, ...]:
    """One number for all axes where that says the same, now and then."""
    return values[0] if len(set(values)) == 1 and one_in(dice, 2) else tuple(values)
