"""Our families do what torchvision's do, operation for operation: nothing is computed or copied more."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from fathom.architectures.convolutional import alexnet, densenet, efficientnet, resnet, vgg

SIZES: dict[str, Callable[[], nn.Module]] = {
    "alexnet": alexnet.alexnet, "vgg16": vgg.vgg16, "vgg11_bn": vgg.vgg11_bn, "resnet18": resnet.resnet18,
    "resnet50": resnet.resnet50, "densenet121": densenet.densenet121,
    "efficientnet_b0": efficientnet.efficientnet_b0,
}  # fmt: skip
# Those that touch every number of a map or of a weight; views, and the mean at the end, differ in writing.
HEAVY = (
    "convolution", "convolution_backward", "native_batch_norm", "native_batch_norm_backward", "relu_", "relu",
    "silu_", "silu", "threshold_backward", "silu_backward", "max_pool2d_with_indices", "avg_pool2d", "addmm",
    "cat", "add", "add_", "sigmoid", "clone", "copy_", "_to_copy",
)  # fmt: skip


class Counting(TorchDispatchMode):
    """How often each operation is called."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        self.calls[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


def called(make: Callable[[], nn.Module], training: bool) -> dict[str, int]:
    """The heavy operations of a step, or of an inference, without memory."""
    with torch.device("meta"):
        net = make().to(memory_format=torch.channels_last).train(training)  # type: ignore[call-overload]
        image, label = torch.empty(2, 3, 224, 224), torch.empty(2, dtype=torch.long)
    image = image.contiguous(memory_format=torch.channels_last)
    with Counting() as counting, torch.set_grad_enabled(training):
        answer = net(image)
        if training:
            F.cross_entropy(answer, label).backward()
    return {name: counting.calls[name] for name in HEAVY if counting.calls[name]}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("size", SIZES)
def test_no_operation_more_than_in_torchvision(size: str, training: bool) -> None:
    from torchvision import models

    ours, theirs = called(SIZES[size], training), called(getattr(models, size), training)
    assert ours["convolution"] >= 5
    more = {name: (n, theirs.get(name, 0)) for name, n in ours.items() if n > theirs.get(name, 0)}
    assert not more
