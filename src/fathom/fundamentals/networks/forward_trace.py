"""The forward pass, step by step: what every layer hands to the next.

A network is a chain of functions, and its answer is the last of a row of intermediate values

    h_0 = x        h_k = f_k(h_(k-1))        y = h_K

(Rumelhart, Hinton and Williams 1986: states are set layer by layer, from the bottom up.) To see them is the
first thing to do with a network that misbehaves. A deviation that shrinks from layer to layer is a signal
dying out, one that grows will overflow; a ReLU with mean 0 is dead; the first NaN names the layer to blame.

``trace`` finds these values in any module of torch: it hangs a hook on each submodule, runs the model once
and takes the hooks off again, even if the model fails. Values are copied when they appear, since an in-place
layer would write over them. A container (a block, a Sequential) is a step only where it does more than hand
on what its last part returned. ``trace_by_hand`` walks along a Sequential without calling any of its layers
and computes the same steps from their weights.

Mean and deviation are those of all numbers of a value together, measured in float64:

    mean = sum(v) / n        deviation = sqrt(sum((v - mean)^2) / n)
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fathom.card import Card
from fathom.fundamentals import backward_by_hand as plain

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Forward pass, traced",
    paper="https://doi.org/10.1038/323533a0",
    year=1986,
    summary="Runs a network and shows every intermediate value, with its shape, mean and deviation.",
    rows=("NF06",),
    builds_on=("backward_by_hand",),
    oracle="forward hooks on a torch MLP and CNN: every intermediate, 1e-12 in float64",
)


@dataclass(frozen=True, eq=False)
class Step:
    """A value on its way through a network. Mean and deviation of a value without numbers are NaN."""

    name: str  # of the submodule; "input" and "output" for the ends; "name (2)" when called again
    kind: str  # its class
    shape: tuple[int, ...]
    mean: float
    deviation: float
    value: Tensor


@torch.no_grad()
def trace(model: nn.Module, *inputs: Any) -> list[Step]:
    """The inputs, and every value that a submodule of ``model`` returns for them, in order.

    The model runs once, without gradients and in the mode it is in: switch it to ``eval()`` first where
    dropout or batch statistics would disturb. Where a submodule returns several tensors, in a tuple, list or
    dictionary, each is a step. Raises ValueError if no input holds a tensor, and what the model raises.
    """
    if not tensors(inputs):
        raise ValueError(f"inputs are {[type(given).__name__ for given in inputs]}; one must hold a tensor")
    recorder = _Recorder()
    recorder.add("input", "input", inputs)
    handles = []
    try:
        for name, module in model.named_modules():
            handles.append(module.register_forward_hook(recorder.hook(name or "output")))
        model(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    return recorder.steps


class _Recorder:
    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.calls: Counter[str] = Counter()
        self.latest: Any = None  # what the last hook saw, and the steps that it made of it
        self.made: list[Step] = []

    def add(self, name: str, kind: str, output: Any) -> None:
        values = tensors(output)
        names = [name] if len(values) == 1 else [f"{name}[{i}]" for i in range(len(values))]
        self.made = [_step(n, kind, value) for n, value in zip(names, values, strict=True)]
        self.steps += self.made
        self.latest = output

    def hook(self, name: str) -> Callable[[nn.Module, Any, Any], None]:
        def record(module: nn.Module, arguments: Any, output: Any) -> None:
            if next(module.children(), None) is not None and self.handed_on(output):
                return
            self.calls[name] += 1
            again = f" ({self.calls[name]})" if self.calls[name] > 1 else ""
            self.add(name + again, type(module).__name__, output)

        return record

    def handed_on(self, output: Any) -> bool:
        """Whether this is the object that the last part returned, with the numbers it had then."""
        return output is self.latest and all(
            torch.equal(value.nan_to_num(), step.value.nan_to_num())
            for value, step in zip(tensors(output), self.made, strict=True)
        )


def tensors(found: Any) -> list[Tensor]:
    """Every tensor in ``found``: itself, or those in its tuples, lists and dictionaries, in order."""
    if isinstance(found, Tensor):
        return [found]
    if isinstance(found, dict):
        found = list(found.values())
    return [value for part in found for value in tensors(part)] if isinstance(found, list | tuple) else []


def _step(name: str, kind: str, value: Tensor) -> Step:
    numbers = value.detach().to("cpu", torch.float64)  # not every accelerator has float64
    mean = float(numbers.mean())
    deviation = float(numbers.std(correction=0)) if numbers.numel() else math.nan
    return Step(name, kind, tuple(value.shape), mean, deviation, value.detach().clone())


def table(steps: Sequence[Step]) -> list[str]:
    """The steps as lines of plain text: names to the left, numbers to the right, under a line of headings."""
    rows = [("name", "kind", "shape", "mean", "deviation")]
    for step in steps:
        shape = " x ".join(map(str, step.shape)) or "()"
        rows.append((step.name, step.kind, shape, f"{step.mean:.4g}", f"{step.deviation:.4g}"))
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        words = [cell.ljust(width) for cell, width in zip(row[:3], wide[:3], strict=True)]
        numbers = [cell.rjust(width) for cell, width in zip(row[3:], wide[3:], strict=True)]
        lines.append("  ".join(words + numbers))
    return lines


@torch.no_grad()
def trace_by_hand(model: nn.Sequential, x: Tensor) -> list[Step]:
    """The steps of `trace`, for a Sequential (of Sequentials) of the layers in ``LAYERS``.

    No layer is called: each step is computed from the weights. Raises ValueError, with the layer's name, for
    one of another kind, a setting that the plain form lacks, and a value of a shape that does not fit.
    """
    steps = [step_by_hand("input", "input", x)]
    for name, layer in chain(model):
        if type(layer) not in LAYERS:
            known = ", ".join(sorted(kind.__name__ for kind in LAYERS))
            raise ValueError(f"layer {name!r} is a {type(layer).__name__}; by hand there are {known}")
        try:
            x = LAYERS[type(layer)](layer, x)
        except ValueError as reason:
            raise ValueError(f"layer {name!r}, {layer}: {reason}") from reason
        steps.append(step_by_hand(name, type(layer).__name__, x))
    return steps


def chain(model: nn.Sequential, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The layers of a Sequential one after the other, those of inner ones too, with their full names."""
    for name, layer in model.named_children():
        if type(layer) is nn.Sequential:
            yield from chain(layer, f"{prefix}{name}.")
        else:
            yield prefix + name, layer


def step_by_hand(name: str, kind: str, value: Tensor) -> Step:
    numbers = value.double().flatten().tolist()
    count = len(numbers) or math.nan
    mean = sum(numbers) / count
    deviation = math.sqrt(sum((number - mean) * (number - mean) for number in numbers) / count)
    return Step(name, kind, tuple(value.shape), mean, deviation, value)


def linear_by_hand(layer: nn.Linear, x: Tensor) -> Float[Tensor, "... o"]:
    """Each weight times its input, added up for every output."""
    if not x.ndim or x.shape[-1] != layer.in_features:
        raise ValueError(f"x has shape {tuple(x.shape)}; it must be (..., {layer.in_features})")
    sums = (x[..., None, :] * layer.weight).sum(-1)
    return sums if layer.bias is None else sums + layer.bias


def convolution_by_hand(layer: nn.Conv2d, x: Tensor) -> Float[Tensor, "b o oh ow"]:
    """Zeros around the picture, the kernels at every place, and of the places every stride-th kept."""
    if x.ndim != 4:
        raise ValueError(f"x has shape {tuple(x.shape)}; it must be (batch, channels, height, width)")
    plain_setting("padding_mode", layer.padding_mode, "zeros")
    plain_setting("dilation", layer.dilation, (1, 1))
    plain_setting("groups", layer.groups, 1)
    if isinstance(layer.padding, str):
        raise ValueError(f"padding is {layer.padding!r}; by hand it must be given in numbers")
    up, left = layer.padding
    high, wide = x.shape[2:]
    padded = x.new_zeros(*x.shape[:2], high + 2 * up, wide + 2 * left)
    padded[:, :, up : up + high, left : left + wide] = x
    bias = x.new_zeros(layer.out_channels) if layer.bias is None else layer.bias
    everywhere, _ = plain.convolution(padded, layer.weight, bias)
    return everywhere[:, :, :: layer.stride[0], :: layer.stride[1]]


def max_pool_by_hand(layer: nn.MaxPool2d, x: Tensor) -> Float[Tensor, "b c oh ow"]:
    """The largest number of each window."""
    plain_setting("dilation", layer.dilation, 1)
    plain_setting("return_indices", layer.return_indices, False)
    return plain.max_pool(x, *window(layer))[0]


def average_pool_by_hand(layer: nn.AvgPool2d, x: Tensor) -> Float[Tensor, "b c oh ow"]:
    """The mean of each window."""
    plain_setting("divisor_override", layer.divisor_override, None)
    return plain.average_pool(x, *window(layer))[0]


def window(layer: nn.MaxPool2d | nn.AvgPool2d) -> tuple[int, int]:
    """Side and stride of a square window without padding."""
    plain_setting("padding", layer.padding, 0)
    plain_setting("ceil_mode", layer.ceil_mode, False)
    kernel, stride = layer.kernel_size, layer.stride
    if not isinstance(kernel, int) or not isinstance(stride, int):
        raise ValueError(f"kernel_size is {kernel} and stride {stride}; by hand each is one whole number")
    return kernel, stride


def softmax_by_hand(layer: nn.Softmax, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Powers of e, as shares of their sum."""
    if layer.dim is None:
        raise ValueError("dim is None; by hand the axis of a softmax must be given")
    powers = torch.exp(x - x.amax(layer.dim, keepdim=True))
    return powers / powers.sum(layer.dim, keepdim=True)


def dropout_by_hand(layer: nn.Dropout, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Nothing, once training is over."""
    plain_setting("training", layer.training, False)
    return x


def plain_setting(name: str, given: Any, allowed: Any) -> None:
    if given != allowed:
        raise ValueError(f"{name} is {given!r}; by hand it must be {allowed!r}")


LAYERS: dict[type[nn.Module], Callable[[Any, Tensor], Tensor]] = {
    nn.Linear: linear_by_hand,
    nn.Conv2d: convolution_by_hand,
    nn.MaxPool2d: max_pool_by_hand,
    nn.AvgPool2d: average_pool_by_hand,
    nn.Flatten: lambda layer, x: x.flatten(layer.start_dim, layer.end_dim),
    nn.Dropout: dropout_by_hand,
    nn.Identity: lambda layer, x: x,
    nn.ReLU: lambda layer, x: plain.relu(x)[0],
    nn.Sigmoid: lambda layer, x: plain.sigmoid(x)[0],
    nn.Tanh: lambda layer, x: plain.tanh(x)[0],
    nn.Softmax: softmax_by_hand,
}


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares: every value, mean and deviation of an MLP and of a CNN."""
    from fathom.fundamentals.twin import Twin

    def numbers(steps: list[Step]) -> list[Any]:
        return [number for step in steps for number in (step.value, step.mean, step.deviation)]

    def pair(name: str, model: nn.Sequential, *shape: int) -> Twin:
        x = torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        return Twin(
            name,
            lambda x: numbers(trace(model, x)),
            lambda x: numbers(trace_by_hand(model, x)),
            (x,),
            gradients=False,
        )

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        mlp = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3), nn.Softmax(dim=-1)).double()
        head = nn.Sequential(nn.Flatten(), nn.Linear(12, 4))
        cnn = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), head).double()
    yield pair("MLP", mlp, 6, 4)
    yield pair("CNN", cnn, 2, 2, 4, 5)
