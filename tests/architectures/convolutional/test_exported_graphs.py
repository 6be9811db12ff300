"""ONNX files of our networks have no node that those of torchvision lack: they are at least as fast.

A clock tells two equal graphs apart by a few thousandths, and either way. The graphs themselves tell more.
"""

import logging
import warnings
from collections import Counter
from collections.abc import Callable

import pytest
import torch
from torch import nn

from fathom.architectures.convolutional import densenet, efficientnet, resnet, vgg

pytestmark = pytest.mark.slow

NETS: dict[str, Callable[[], nn.Module]] = {
    "resnet18": resnet.resnet18, "resnet50": resnet.resnet50, "densenet121": densenet.densenet121,
    "efficientnet_b0": efficientnet.efficientnet_b0, "vgg16": vgg.vgg16,
}  # fmt: skip


def operations(net: nn.Module) -> Counter[str]:
    """How often each operation stands in the file that torch's exporter writes."""
    pytest.importorskip("onnxscript")
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it tells of every library that is not there
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own future
        program = torch.onnx.export(net.eval(), (torch.randn(1, 3, 224, 224),), dynamo=True, verbose=False)
    assert program is not None
    return Counter(node.op_type for node in program.model_proto.graph.node)


@pytest.mark.parametrize("name", NETS)
def test_no_node_more_than_theirs(name: str) -> None:
    from torchvision import models

    ours, theirs = operations(NETS[name]()), operations(getattr(models, name)())
    assert ours["Conv"] == theirs["Conv"] > 10
    assert not ours - theirs, f"only in ours: {ours - theirs}"


def test_a_node_more_would_be_seen() -> None:
    theirs = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    ours = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AvgPool2d(2))
    assert operations(ours) - operations(theirs)
