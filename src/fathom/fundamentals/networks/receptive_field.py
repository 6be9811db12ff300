"""Receptive field: the part of a picture that one number of a feature map can see.

One output of a convolution with kernel k, stride s, padding p and dilation d at place u reads the places

    u s - p,  u s - p + d,  ...,  u s - p + d (k - 1)

of its input. So an interval [a, b] of places looks at [a s - p, b s - p + d (k - 1)] one layer below, and
going down layer by layer ends at the pixels (Dumoulin and Visin 2016; Araujo, Norris and Sim 2019, equation
2). Where paths meet, at a sum or a concatenation, the interval is the smallest that holds those of all paths.
Strides multiply: two neighbours of the map look at pixels that lie ``stride`` apart.

What a unit can see is more than what it looks at: through many layers, the influence of a pixel falls towards
the edge of the field like a bell curve (Luo et al. 2016).

The intervals are read off the graph that autograd keeps of a forward pass, so it works for any network of
known operations, branches included. ``receptive_field_by_gradient`` looks for the pixels with a gradient.

Axes used below
    b  batch      c  channels      h, w  height, width in pixels
"""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Receptive field",
    paper="https://arxiv.org/abs/1603.07285",
    year=2016,
    summary="Which pixels one place of a feature map can see, and how far apart its neighbours look.",
    rows=("CL03",),
    oracle="the extent of the gradient at one place, for every convolutional system; the formula of a chain",
)

# Operations of autograd's graph by what one output looks at: one place, a window, or the whole map.
ONE = {
    "Relu", "Add", "Mul", "Silu", "Sigmoid", "Hardtanh", "Hardswish", "Hardsigmoid", "Gelu", "Elu", "Tanh",
    "LeakyRelu", "Mish", "Div", "Sub", "Neg", "Cat", "NativeBatchNorm", "NativeDropout", "Alias", "Clone",
    "Clamp", "ToCopy", "BatchNorm", "MiopenBatchNorm", "CudnnBatchNorm", "Select", "Stack",
}  # fmt: skip
WINDOW = {"Convolution", "MaxPool2DWithIndices", "AvgPool2D"}
WHOLE = {"Mean", "AdaptiveAvgPool2D", "AdaptiveMaxPool2D", "NativeGroupNorm", "Sum", "Mm", "Addmm"}


@dataclass(frozen=True)
class Field:
    """Rows and columns of the picture that the place (0, 0) of a map looks at; the next place, ``stride`` on.

    ``size`` is infinite where the whole picture is seen, however large. ``start`` is negative where a field
    reaches beyond the picture, into the padding.
    """

    size: tuple[float, float]
    stride: tuple[int, int]
    start: tuple[float, float]


Interval = tuple[float, float]


def receptive_field(function: Callable[[Tensor], Tensor], image: Float[Tensor, "b c h w"]) -> Field:
    """The field of one place of the map (b, channels, rows, columns) that ``function`` makes of ``image``.

    Batch normalisation counts as in use: in training every output depends on the whole batch. Raises
    ``ValueError`` for an output that is no map of ``image``, and for an operation that is not known here.
    """
    with torch.enable_grad():
        pixels = image.detach().clone().requires_grad_()
        output = function(pixels)
    if output.ndim != 4 or output.grad_fn is None:
        shape = tuple(output.shape)
        raise ValueError(
            f"the output has shape {shape}; it must be a map (b, c, h, w) that depends on the image"
        )
    seen: dict[Any, list[Interval]] = {output.grad_fn: [(0.0, 0.0), (0.0, 0.0)]}
    jumps: dict[Any, tuple[int, int]] = {output.grad_fn: (1, 1)}
    for node in consumers_first(output.grad_fn):
        if hasattr(node, "variable") and node.variable is pixels:
            (top, bottom), (left, right) = seen[node]
            return Field((bottom - top + 1, right - left + 1), jumps[node], (top, left))
        if node not in seen or hasattr(node, "variable"):  # a weight
            continue
        below, jump = look(node, seen[node], jumps[node])
        for source in sources(node):
            known = seen.setdefault(source, below)
            pairs = zip(known, below, strict=True)
            seen[source] = [(min(a[0], b[0]), max(a[1], b[1])) for a, b in pairs]
            jumps[source] = max(jumps.get(source, jump), jump)
    raise ValueError("the output does not depend on the image")


def look(node: Any, places: list[Interval], jump: tuple[int, int]) -> tuple[list[Interval], tuple[int, int]]:
    """What ``places`` of a node's output look at in its input, by axis; and how far apart neighbours look."""
    name = node.name().split("Backward")[0].removeprefix("aten::")
    if name in ONE:
        return places, jump
    if name in WHOLE:
        return [(-math.inf, math.inf)] * 2, jump
    if name == "Slice":
        axis, step, start = (
            signed([node._saved_dim])[0] % 4 - 2,
            node._saved_step,
            signed([node._saved_start])[0],
        )
        if axis < 0:  # of the batch, or of channels
            return places, jump
        steps, starts = [1, 1], [0, 0]
        steps[axis], starts[axis] = step, start
        below = [(a * s + t, b * s + t) for (a, b), s, t in zip(places, steps, starts, strict=True)]
        return below, (jump[0] * steps[0], jump[1] * steps[1])
    if name == "ConstantPadNd":
        pad = signed(node._saved_pad)
        before = (pad[2] if len(pad) > 2 else 0, pad[0])
        return [(a - p, b - p) for (a, b), p in zip(places, before, strict=True)], jump
    if name not in WINDOW or getattr(node, "_saved_transposed", False):
        raise ValueError(
            f"what {node.name()} looks at is not known here; measure: receptive_field_by_gradient"
        )
    if name == "Convolution":
        kernel, dilation = node._saved_weight.shape[2:], pair(node._saved_dilation)
    else:
        kernel, dilation = pair(node._saved_kernel_size), pair(getattr(node, "_saved_dilation", (1, 1)))
    stride = pair(node._saved_stride) if len(node._saved_stride) else kernel
    padding = pair(node._saved_padding)
    below = [
        (a * s - p, b * s - p + d * (k - 1))
        for (a, b), s, p, d, k in zip(places, stride, padding, dilation, kernel, strict=True)
    ]
    return below, (jump[0] * stride[0], jump[1] * stride[1])


def sources(node: Any) -> list[Any]:
    """The nodes that made the inputs of ``node``; of a layer, its first input and not its weights."""
    made = [source for source, _ in node.next_functions if source is not None]
    name = node.name()
    return (
        made[:1] if name.startswith(("Convolution", "NativeBatchNorm", "Addmm", "NativeGroupNorm")) else made
    )


def consumers_first(root: Any) -> list[Any]:
    """All nodes below ``root``, each behind every node that uses what it made."""
    order, state, stack = [], {}, [root]
    while stack:
        node = stack.pop()
        if state.get(node) == "open":  # all below it is in order already
            state[node] = "done"
            order.append(node)
        elif node not in state:
            state[node] = "open"
            stack += [node, *(s for s in sources(node) if s not in state)]
    return order[::-1]


def signed(numbers: Sequence[int]) -> list[int]:
    """Autograd keeps sizes without a sign; a negative one reads as 2^64 less."""
    return [n - 2**64 if n >= 2**63 else n for n in numbers]


def pair(numbers: Sequence[int]) -> tuple[int, int]:
    return (numbers[0], numbers[-1])


def receptive_field_by_gradient(
    module: nn.Module, image: Float[Tensor, "b c h w"], call: Callable[[nn.Module, Tensor], Tensor]
) -> tuple[int, int]:
    """Rows and columns of the pixels with a gradient at the middle place of the map ``call(module, image)``.

    In a copy of the module, in float64, nothing can hide a pixel: weights are made positive, normalisation
    adds nothing, a pooling takes the mean where it took the largest, and a ReLU has no upper end. The field
    must fit into the image.
    """
    module = copy.deepcopy(module).double().eval()
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.reset_running_stats()
                part.bias.zero_()
            for tensor in part.parameters(recurse=False):
                tensor.copy_(tensor.abs() + (0 if isinstance(part, nn.BatchNorm2d) else 1e-3))
            for name, child in part.named_children():
                if isinstance(child, nn.MaxPool2d):
                    mean = nn.AvgPool2d(child.kernel_size, child.stride, child.padding, child.ceil_mode)
                    setattr(part, name, mean)
                elif isinstance(child, nn.ReLU6):
                    setattr(part, name, nn.ReLU())
    pixels = torch.ones(1, *image.shape[1:], dtype=torch.float64).requires_grad_()
    output = call(module, pixels)
    middle = output[0, :, output.shape[2] // 2, output.shape[3] // 2].sum()
    (slope,) = torch.autograd.grad(middle, pixels)
    seen = slope[0].abs().sum(dim=0) > 0
    rows, columns = seen.any(dim=1).nonzero(), seen.any(dim=0).nonzero()
    return int(rows.max() - rows.min() + 1), int(columns.max() - columns.min() + 1)


def receptive_field_by_hand(layers: Sequence[tuple[int, int, int]]) -> tuple[int, int]:
    """Size of the field and stride of a chain of (kernel, stride, dilation), the first layer first.

    Upwards this time: each layer adds dilation (kernel - 1) steps, and a step is the product of the strides
    below it.
    """
    size, step = 1, 1
    for kernel, stride, dilation in layers:
        size += dilation * (kernel - 1) * step
        step *= stride
    return size, step


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    chains = {
        "three_of_three": ((3, 1, 1), (3, 1, 1), (3, 1, 1)),
        "stem_of_a_residual_net": ((7, 2, 1), (3, 2, 1), (3, 1, 1), (3, 1, 1)),
        "dilated": ((3, 1, 1), (3, 1, 2), (3, 1, 4), (2, 2, 3)),
    }
    for name, chain in chains.items():

        def ours(image: Tensor, chain: Any = chain) -> list[float]:
            layers = [nn.Conv2d(1, 1, k, s, k // 2, d).double() for k, s, d in chain]
            field = receptive_field(nn.Sequential(*layers), image)
            return [*map(float, field.size), *map(float, field.stride)]

        def by_hand(image: Tensor, chain: Any = chain) -> list[float]:
            size, step = receptive_field_by_hand(chain)
            return [float(size)] * 2 + [float(step)] * 2

        yield Twin(name, ours, by_hand, (torch.ones(1, 1, 40, 40, dtype=torch.float64),), gradients=False)
