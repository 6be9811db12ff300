"""Our convolutional networks against torchvision's and timm's: training, inference, memory, the ONNX file.

The same switches on all sides: float32, channels last, the same fused optimizer, no compiling, the same
weights, the same pictures. Two networks take turns, one step each, so that whatever slows the machine slows
both; and since where a network happens to lie in memory speeds it for as long as it lives, both are built
anew several times, now the one first, now the other. Memory is counted to the byte: what autograd keeps for
the backward pass, which decides how large a batch can be, and the most that a training step holds at once
beside weights and gradients. ONNX files are written by torch's exporter and run by ONNX Runtime with as many
threads. ``--nets``, ``--peers`` and ``--only`` measure a part; rows of earlier calls stay.
"""

import gc
import json
import logging
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import peers  # noqa: F401 - before torchvision and timm
import timm
import torch
import torch.nn.functional as F
from pairs import compared, keep, options, paired, shown
from torch import Tensor, nn
from torchvision import models

from fathom.architectures.convolutional import densenet, efficientnet, resnet, vgg
from fathom.training.weights import upstream_state

GATE = "upper end <= 1.02"
LIBRARIES = ("torchvision", "timm")
ROUNDS = 5  # how often two networks are built
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


class Peer(NamedTuple):
    """A network of another library: how it is made, and our weights under its names."""

    make: Callable[[], nn.Module]
    state: Callable[[Any], dict[str, Tensor]]


def renamed(table: dict[str, str]) -> Callable[[nn.Module], dict[str, Tensor]]:
    return lambda ours: upstream_state(ours, table)


# What is dropped while it trains is set as in torchvision: timm's own defaults drop nothing.
TIMM: dict[str, tuple[str, dict[str, Any], Callable[[Any], dict[str, Tensor]]]] = {
    "ResNet-18": ("resnet18", {}, renamed(NETS["ResNet-18"][2])),
    "ResNet-50": ("resnet50", {}, renamed(NETS["ResNet-50"][2])),
    "DenseNet-121": ("densenet121", {}, renamed(NETS["DenseNet-121"][2])),
    "EfficientNet-B0": (
        "efficientnet_b0", {"drop_rate": 0.2, "drop_path_rate": 0.2}, renamed(efficientnet.UPSTREAMS["timm"]),
    ),
    "VGG-16": ("vgg16", {"drop_rate": 0.5}, vgg.timm_state),
}  # fmt: skip


def peer(library: str, net: str) -> Peer:
    if library == "torchvision":
        _, make, table, _ = NETS[net]
        return Peer(make, renamed(table))
    name, dropped, state = TIMM[net]
    return Peer(lambda: timm.create_model(name, **dropped), state)


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
MEMORY = "memory"


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


def peak_bytes(net: nn.Module, images: Tensor) -> int:
    """The most that forward and backward hold at once beside what there was before them."""
    net.train()
    net(images).sum().backward()  # gradients are there from here on
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as seen:
        F.cross_entropy(net(images), torch.arange(len(images))).backward()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "trace.json"
        seen.export_chrome_trace(str(file))
        events = json.loads(file.read_text(encoding="utf-8"))["traceEvents"]
    changes = sorted((e["ts"], e["args"]["Bytes"]) for e in events if e["name"] == "[memory]")
    net.zero_grad(set_to_none=True)
    return int(np.cumsum([size for _, size in changes]).max())


def both(net: str, library: str, ours_first: bool) -> tuple[nn.Module, nn.Module]:
    """Our network and the other one, with equal weights, built one after the other."""
    make, other = NETS[net][0], peer(library, net)
    torch.manual_seed(0)
    if ours_first:
        ours, theirs = make(), other.make()
    else:
        theirs, ours = other.make(), make()
    theirs.load_state_dict(other.state(ours))
    theirs.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # as ours come
    return ours, theirs


def speed(net: str, library: str, kind: str, pairs: int) -> dict[str, Any]:
    """The two in turn, some pairs for each time that they are built."""
    images = torch.randn(NETS[net][3], 3, 224, 224)
    rounds = 1 if kind == "ONNX inference" else min(ROUNDS, pairs)  # a file lies anew in any case
    a: list[float] = []
    b: list[float] = []
    for i in range(rounds):
        mine, other = (KINDS[kind](one, images) for one in both(net, library, ours_first=i % 2 == 0))
        for _ in range(2):  # both warm
            mine()
            other()
        found = paired(mine, other, pairs // rounds + (i < pairs % rounds))
        a, b = a + found["ours"], b + found["other"]
        del mine, other
        gc.collect()  # two networks are there at a time, not four
    return compared(a, b)


def main() -> None:
    parser = options(__doc__, [*KINDS, MEMORY])
    parser.add_argument("--nets", nargs="+", choices=[*NETS], default=[*NETS])
    parser.add_argument("--peers", nargs="+", choices=LIBRARIES, default=list(LIBRARIES))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    for net, library in ((net, library) for net in args.nets for library in args.peers):
        batch, end = NETS[net][3], "" if library == "torchvision" else f", beside {library}"
        for kind in (kind for kind in KINDS if kind in args.only):
            found = speed(net, library, kind, args.pairs)
            row = {
                "what": f"{net}: milliseconds, {kind}, batch {batch}{end}",
                "ours": f"{found['ours_median'] * 1e3:.0f}",
                "other": f"{library} {found['other_median'] * 1e3:.0f}",
                "ratio": shown(found), "goal": "<= 1.0" if kind == "ONNX inference" else GATE,
            }  # fmt: skip
            keep("architectures", [row], {f"{net}, {kind}{end}": found | {"threads": args.threads}}, args.out)
        ways = {"kept for the backward pass": kept_bytes, "at the peak of a training step": peak_bytes}
        for told, count in ways.items() if MEMORY in args.only else ():
            images = torch.randn(batch, 3, 224, 224)
            mine, other = (count(one, images) for one in both(net, library, ours_first=True))
            row = {
                "what": f"{net}: MB {told}, batch {batch}{end}",
                "ours": f"{mine / 1e6:.1f}", "other": f"{library} {other / 1e6:.1f}",
                "ratio": f"{mine / other:.3f}", "goal": "<= 1.0",
            }  # fmt: skip
            keep("architectures", [row], {f"{net}, bytes {told}{end}": (mine, other)}, args.out)


if __name__ == "__main__":
    main()
