"""How weights lie in memory while a model writes: token by token, each product has one row or few.

Such a product y = W x reads every weight once and computes little, so it takes as long as the reading. With
the rows of W side by side, as training leaves them, each output is a sum along memory, and a layer with more
outputs than inputs has many short ones; with the columns side by side, each input is multiplied with a long
run of weights that all go to different outputs. What is computed is the same, to within rounding: only the
order of the sums differs. No memory is taken beside that of the one weight that is being turned.

Where several texts are written side by side each weight serves a few rows, and a general product first
copies it into blocks that suit the processor, at every token anew. `packed` has that done once.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

FEWEST = 3  # texts side by side, from which on blocks are quicker than turned weights
REPAID = 32  # tokens of each text, after which the time that the blocks took to lay is won back


@torch.no_grad()
def lay_for_writing(model: nn.Module) -> None:
    """Turn the weights of linear layers with more outputs than inputs, and of tables that serve as such.

    Only float32 on a processor is turned, and what was turned before stays as it is. Shapes, values, and the
    sharing of weights stay; ``weight.is_contiguous()`` becomes false.
    """
    for part in model.modules():
        weight = getattr(part, "weight", None)
        if not isinstance(part, nn.Linear | nn.Embedding) or not isinstance(weight, nn.Parameter):
            continue
        outputs, inputs = weight.shape
        if suited(weight) and outputs > inputs and weight.is_contiguous():
            with torch.inference_mode(False):
                weight.data = weight.data.t().contiguous().t()


@contextmanager
def packed(model: nn.Module, texts: int, tokens: int) -> Iterator[None]:
    """While it lasts, linear layers of ``model`` use copies of their weights in blocks; without gradients.

    Only where that repays: for ``FEWEST`` texts or more, of ``REPAID`` tokens or more each, float32, and a
    processor for which torch has such blocks (oneDNN's, x86 with AVX2 or more). The copies take as much
    memory as the weights of the layers, and do not follow when those change.
    """
    repays = texts >= FEWEST and tokens >= REPAID and blocks_are_known()
    layers = [m for m in model.modules() if type(m) is nn.Linear and suited(m.weight)] if repays else []
    with torch.no_grad():
        for layer in layers:
            layer.forward = Blocks(layer, texts)
    try:
        yield
    finally:
        for layer in layers:
            vars(layer).pop("forward", None)  # whoever packed it as well may have been sooner


class Blocks:
    """What a linear layer does, with its weight in blocks that suit ``rows`` rows of inputs."""

    def __init__(self, layer: nn.Linear, rows: int) -> None:
        self.weight = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach().contiguous(), rows)
        self.bias = None if layer.bias is None else layer.bias.detach()

    def __call__(self, input: Tensor) -> Tensor:  # as the layer calls it
        return torch.ops.mkldnn._linear_pointwise(input, self.weight, self.bias, "none", [], "")


def blocks_are_known() -> bool:
    """Whether this torch, on this processor, has what `Blocks` calls: its own compiler uses the same."""
    known = all(hasattr(torch.ops.mkldnn, n) for n in ("_reorder_linear_weight", "_linear_pointwise"))
    return known and torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")


def suited(weight: Tensor) -> bool:
    return weight.device.type == "cpu" and weight.dtype == torch.float32
