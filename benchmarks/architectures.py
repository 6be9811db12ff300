"""Our convolutional networks against torchvision's: a training step, an inference, memory, the ONNX file.

The same switches on both sides: float32, channels last, the same fused optimizer, no compiling, the same
weights, the same pictures. The two take turns, one step each, so that whatever slows the machine slows
both. Memory is what autograd keeps for the backward pass: it decides how large a batch can be, and can be
counted to the byte. Both are exported by torch's exporter and run by ONNX Runtime with as many threads.
"""

import logging
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import peers  # noqa: F401 - before torchvision
import torch
import torch.nn.functional as F
from pairs import arguments, keep, paired, shown
from torch import Tensor, nn
from torchvision import models

from fathom.architectures.convolutional import densenet, efficientnet, resnet, vgg
from fathom.training.weights import upstream_state

GATE = "upper end <= 1.02"
# Name: ours, torchvision's, table of names, pictures a batch.
NETS: dict[str, tuple[Callable[[], nn.Module], Callable[[], nn.Module], dict[str, str], int]] = {
    "ResNet-18": (resnet.resnet18, models.resnet18, resnet.UPSTREAMS["torchvision"], 4),
    "ResNet-50": (resnet.resnet50, models.resnet50, resnet.UPSTREAMS["torchvision"], 2),
    "DenseNet-121": (densenet.densenet121, models.densenet121, densenet.UPSTREAMS["torchvision"], 2),
    "EfficientNet-B0": (
        efficientnet.efficientnet_b0, models.efficientnet_b0, efficientnet.UPSTREAMS["torchvision"], 4,
    ),
    "VGG-16": (vgg.vgg16, models.vgg16, vgg.UPSTREAMS["torchvision"], 1),
}  # fmt: skip


def training(net: nn.Module, images: Tensor) -> Callable[[], float]:
    """One step of SGD with momentum on ``images``; returns its seconds."""
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-4, momentum=0.9, fused=True)
    labels = torch.arange(len(images))
    net.train()

    def step() -> float:
        began = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(net(images), labels).backward()
        optimizer.step()
        return time.perf_counter() - began

    return step


def inference(net: nn.Module, images: Tensor) -> Callable[[], float]:
    net.eval()

    def step() -> float:
        began = time.perf_counter()
        with torch.inference_mode():
            net(images)
        return time.perf_counter() - began

    return step


def exported(net: nn.Module, images: Tensor) -> Callable[[], float]:
    """An inference by ONNX Runtime of the network as torch's exporter writes it; returns its seconds."""
    import onnxruntime

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it tells of every library that is not there
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own future
        program = torch.onnx.export(net.eval(), (images,), dynamo=True, verbose=False)
    assert program is not None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle, it slows the other side
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString(), options)
    given = {session.get_inputs()[0].name: images.numpy()}
    with torch.inference_mode():
        apart = float(np.abs(session.run(None, given)[0] - net(images).numpy()).max())
    assert apart < 1e-3, f"the exported network answers otherwise, by {apart}"

    def step() -> float:
        began = time.perf_counter()
        session.run(None, given)
        return time.perf_counter() - began

    return step


KINDS = {"training step": training, "inference": inference, "ONNX inference": exported}


def kept_bytes(net: nn.Module, images: Tensor) -> int:
    """Bytes that autograd keeps between forward and backward, each piece of memory counted once."""
    pieces: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        pieces[storage.data_ptr()] = storage.nbytes()
        return tensor

    net.train()
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss = F.cross_entropy(net(images), torch.arange(len(images)))
    loss.backward()
    net.zero_grad(set_to_none=True)
    return sum(pieces.values())


def main() -> None:
    args = arguments(__doc__, [*KINDS, "memory"])
    torch.set_num_threads(args.threads)
    rows: list[dict[str, str]] = []
    details: dict[str, Any] = {"threads": args.threads}
    for name, (make_ours, make_theirs, table, batch) in NETS.items():
        torch.manual_seed(0)
        ours, theirs = make_ours(), make_theirs()
        theirs.load_state_dict(upstream_state(ours, table))
        theirs.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # as ours come
        images = torch.randn(batch, 3, 224, 224)
        if "memory" in args.only:
            memory = kept_bytes(ours, images), kept_bytes(theirs, images)
            details[f"{name}, bytes kept"] = memory
            rows.append(
                {
                    "what": f"{name}: MB kept for the backward pass, batch {batch}",
                    "ours": f"{memory[0] / 1e6:.1f}", "other": f"torchvision {memory[1] / 1e6:.1f}",
                    "ratio": f"{memory[0] / memory[1]:.3f}", "goal": "<= 1.0",
                }
            )  # fmt: skip
        for kind in (kind for kind in KINDS if kind in args.only):
            make = KINDS[kind]
            steps = make(ours, images), make(theirs, images)
            for step in steps * 2:  # both warm
                step()
            found = paired(*steps, args.pairs)
            details[f"{name}, {kind}"] = found
            rows.append(
                {
                    "what": f"{name}: milliseconds, {kind}, batch {batch}",
                    "ours": f"{found['ours_median'] * 1e3:.0f}",
                    "other": f"torchvision {found['other_median'] * 1e3:.0f}",
                    "ratio": shown(found), "goal": "<= 1.0" if kind == "ONNX inference" else GATE,
                }
            )  # fmt: skip
    keep("architectures", rows, details, args.out)


if __name__ == "__main__":
    main()
