"""How weights lie in memory while a model writes: token by token, each product has one row or few.

Such a product y = W x reads every weight once and computes little, so it takes as long as the reading. With
the rows of W side by side, as training leaves them, each output is a sum along memory, and a layer with more
outputs than inputs has many short ones; with the columns side by side, each input is multiplied with a long
run of weights that all go to different outputs. What is computed is the same, to within rounding: only the
order of the sums differs. No memory is taken beside that of the one weight that is being turned.
"""

import torch
from torch import nn


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
        suited = weight.device.type == "cpu" and weight.dtype == torch.float32
        if suited and outputs > inputs and weight.is_contiguous():
            with torch.inference_mode(False):
                weight.data = weight.data.t().contiguous().t()
