"""The residual block: layers learn what to add to their input, not what to put in its place.

Deep plain networks fit worse than shallow ones, even their training data (He, Zhang, Ren and Sun 2015, figure
1), though the added layers need only copy. It is hard for them to copy, and easy to give zero; so

    y = F(x) + x                                             equation 1, sizes equal
    y = F(x) + W_s x                                         equation 2, W_s brings x to the size of F(x)
    F(x) = BN(W_2 relu(BN(W_1 x))),  output relu(y)          figure 2: the basic block, two 3 x 3 convolutions

With stride 2 the picture is halved and channels are added. W_s is then a 1 x 1 convolution with batch norm
(the paper's option B), or takes every second pixel and fills the new channels with zeros (option A).

That last ReLU stands on the shortcut: what a block passes on is clipped. He et al. (2016, arXiv 1603.05027,
equation 5 and figure 4 e) move norm and ReLU in front of each convolution and leave the shortcut alone:

    y = x + W_2 relu(BN(W_1 relu(BN(x))))                    so x_L = x_l + sum of all F between, in both
                                                             directions: the gradient of x_L reaches x_l whole

Where the size changes, W_s takes relu(BN(x)), as in the authors' code.

Axes used below
    b  batch      c, o  input, output channels      h, w  input height, width      u, v  output height, width
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fathom.card import Card
from fathom.fundamentals.normalization.batch_norm import batch_norm_by_hand

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Residual block",
    paper="https://arxiv.org/abs/1512.03385",
    year=2015,
    summary="Two convolutions whose result is added to their input, so that a block can easily do nothing.",
    rows=("NF11",),
    builds_on=("batch_norm",),
    differs=("Weights begin as torch's layers begin theirs; the paper draws them as He et al. 2015 do.",),
    oracle="torchvision's BasicBlock, with its weights by name; timm's PreActBasic",
)

SHORTCUTS = ("projection", "padding")


class BasicBlock(nn.Module):
    """relu(F(x) + shortcut(x)): (b, inputs, h, w) -> (b, outputs, h / stride, w / stride), rounded up.

    Parameters carry the names of torchvision's block. The shortcut is the identity where sizes are equal,
    else as ``shortcut`` says: "projection" or "padding". ``skip=False`` leaves it out: the plain network that
    the paper compares with. Raises ``ValueError`` for sizes below 1, padding to fewer channels, another
    ``shortcut``, and inputs of another shape or dtype.
    """

    def __init__(
        self, inputs: int, outputs: int, stride: int = 1, *, shortcut: str = "projection", skip: bool = True
    ) -> None:
        super().__init__()
        _check_sizes(inputs, outputs, stride, shortcut)
        self.inputs, self.outputs, self.stride, self.skip = inputs, outputs, stride, skip
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module | None = None
        if skip and shortcut == "projection" and (stride > 1 or inputs != outputs):
            projection = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(projection, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Float[Tensor, "b o u v"]:
        _check_input(x, self.inputs)
        added = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        if not self.skip:
            return torch.relu(added)
        if self.downsample is not None:
            return torch.relu(added + self.downsample(x))
        return torch.relu(added + padded_shortcut(x, self.outputs, self.stride))


class PreActivationBlock(nn.Module):
    """x + F(x) with norm and ReLU in front of each convolution; sizes, options and errors as ``BasicBlock``.

    A stack of these ends with a norm and a ReLU of its own, since the last sum has had none.
    """

    def __init__(
        self, inputs: int, outputs: int, stride: int = 1, *, shortcut: str = "projection", skip: bool = True
    ) -> None:
        super().__init__()
        _check_sizes(inputs, outputs, stride, shortcut)
        self.inputs, self.outputs, self.stride, self.skip = inputs, outputs, stride, skip
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.downsample: nn.Module | None = None
        if skip and shortcut == "projection" and (stride > 1 or inputs != outputs):
            self.downsample = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Float[Tensor, "b o u v"]:
        _check_input(x, self.inputs)
        active = torch.relu(self.bn1(x))
        added = self.conv2(torch.relu(self.bn2(self.conv1(active))))
        if not self.skip:
            return added
        if self.downsample is not None:
            return self.downsample(active) + added
        return padded_shortcut(x, self.outputs, self.stride) + added


def padded_shortcut(x: Tensor, outputs: int, stride: int = 1) -> Float[Tensor, "b o u v"]:
    """Every ``stride``-th pixel of ``x`` (b, c, h, w), with channels of zeros behind, ``outputs`` in all.

    Where neither changes anything this is ``x`` itself. Raises ``ValueError`` for fewer outputs than c.
    """
    if x.ndim != 4:
        raise ValueError(f"x has shape {tuple(x.shape)}; it must be (b, c, h, w)")
    _check_sizes(x.shape[1], outputs, stride, "padding")
    kept = x[:, :, ::stride, ::stride] if stride > 1 else x
    return F.pad(kept, (0, 0, 0, 0, 0, outputs - x.shape[1])) if outputs > x.shape[1] else kept


def basic_block_by_hand(
    x: Float[Tensor, "b c h w"],
    first: Float[Tensor, "o c 3 3"],
    first_scale: Float[Tensor, "o"],
    first_shift: Float[Tensor, "o"],
    second: Float[Tensor, "o o 3 3"],
    second_scale: Float[Tensor, "o"],
    second_shift: Float[Tensor, "o"],
    *projection: Tensor,
    stride: int = 1,
) -> list[Float[Tensor, "..."]]:
    """The first training step: the output, then the running statistics of each norm, which began at 0 and 1.

    ``projection`` is nothing, or the kernels (o, c, 1, 1) of W_s with scale and shift of its norm.
    """
    hidden, *remembered = _normalized(convolution_by_hand(x, first, stride), first_scale, first_shift)
    hidden = hidden * (hidden > 0)
    added, *more = _normalized(convolution_by_hand(hidden, second, 1), second_scale, second_shift)
    remembered += more
    kept = x
    if projection:
        kept, *more = _normalized(convolution_by_hand(x, projection[0], stride), *projection[1:])
        remembered += more
    y = added + kept
    return [y * (y > 0), *remembered]


def pre_activation_block_by_hand(
    x: Float[Tensor, "b c h w"],
    first_scale: Float[Tensor, "c"],
    first_shift: Float[Tensor, "c"],
    first: Float[Tensor, "o c 3 3"],
    second_scale: Float[Tensor, "o"],
    second_shift: Float[Tensor, "o"],
    second: Float[Tensor, "o o 3 3"],
    *projection: Tensor,
    stride: int = 1,
) -> list[Float[Tensor, "..."]]:
    """As ``basic_block_by_hand``, but each norm stands before its convolution and nothing after the sum."""
    active, *remembered = _normalized(x, first_scale, first_shift)
    active = active * (active > 0)
    hidden, *more = _normalized(convolution_by_hand(active, first, stride), second_scale, second_shift)
    added = convolution_by_hand(hidden * (hidden > 0), second, 1)
    kept = convolution_by_hand(active, projection[0], stride) if projection else x
    return [kept + added, *remembered, *more]


def convolution_by_hand(
    x: Float[Tensor, "b c h w"], weight: Float[Tensor, "o c k k"], stride: int
) -> Float[Tensor, "b o u v"]:
    """Place by place, the sum of the patch times each kernel, with zeros around the picture."""
    size = weight.shape[-1]
    reach = size // 2
    batch, channels, height, width = x.shape
    framed = x.new_zeros(batch, channels, height + 2 * reach, width + 2 * reach)
    framed[:, :, reach : reach + height, reach : reach + width] = x
    rows = []
    for i in range(0, height, stride):
        patches = [framed[:, None, :, i : i + size, j : j + size] for j in range(0, width, stride)]
        rows.append(torch.stack([(patch * weight).sum((2, 3, 4)) for patch in patches], dim=-1))
    return torch.stack(rows, dim=-2)


def _normalized(x: Tensor, scale: Tensor, shift: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return batch_norm_by_hand(x, scale, shift, torch.zeros_like(scale), torch.ones_like(scale))


def _check_sizes(inputs: int, outputs: int, stride: int, shortcut: str) -> None:
    for name, value in (("inputs", inputs), ("outputs", outputs), ("stride", stride)):
        if value < 1:
            raise ValueError(f"{name} is {value}; it must be 1 or more")
    if shortcut not in SHORTCUTS:
        raise ValueError(f"shortcut is {shortcut!r}; it must be 'projection' or 'padding'")
    if shortcut == "padding" and outputs < inputs:
        raise ValueError(f"outputs is {outputs}; padding only adds channels to the {inputs} that there are")


def _check_input(x: Tensor, inputs: int) -> None:
    if x.ndim != 4 or x.shape[1] != inputs:
        raise ValueError(f"x has shape {tuple(x.shape)}; it must be (b, {inputs}, h, w)")
    if not x.is_floating_point():
        raise ValueError(f"x has dtype {x.dtype}; it must hold floating-point numbers")


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares: one training step of each block, with and without projection."""
    from functools import partial

    from fathom.fundamentals.twin import Twin

    def step(block: nn.Module, x: Tensor, *weights: Tensor) -> list[Tensor]:
        """The block as a function of its input and all its parameters."""
        names = [name for name, _ in block.named_parameters()]
        memory = {name: value.clone() for name, value in block.named_buffers()}
        y = torch.func.functional_call(block, dict(zip(names, weights, strict=True)) | memory, (x,))
        return [y, *(value for name, value in memory.items() if "running" in name)]

    dice = torch.Generator().manual_seed(0)
    blocks = (BasicBlock, basic_block_by_hand), (PreActivationBlock, pre_activation_block_by_hand)
    for kind, by_hand in blocks:
        for inputs, outputs, stride in ((2, 2, 1), (2, 3, 2)):
            block = kind(inputs, outputs, stride).double()
            shapes = [(3, inputs, 4, 3), *(p.shape for p in block.parameters())]
            given = tuple(torch.randn(s, dtype=torch.float64, generator=dice) for s in shapes)
            name = f"{kind.__name__}, {inputs} to {outputs} channels, stride {stride}"
            yield Twin(name, partial(step, block), partial(by_hand, stride=stride), given)
