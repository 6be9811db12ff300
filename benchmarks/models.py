"""Every published size of our convolutional families: how large it is, and how far from the other library's.

Parameters and multiply-adds are counted without memory. Then each size gets random weights, the same model of
torchvision or timm gets them under its own names, and both answer the same two pictures: the largest
difference of logits, and of gradients relative to the larger of 1 and the largest gradient of the tensor.
Pictures have 96 pixels a side, which the equality does not depend on; multiply-adds are for the size's own.
"""

from typing import Any

import peers  # noqa: F401 - before torchvision
import torch
from pairs import arguments, keep
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from fathom.errors import InputError
from fathom.training.weight_map import inverse, translate
from fathom.training.weights import upstream_state
from fathom.verbs.recognising import build, lay, sizes, upstreams
from fathom.verbs.upstream_models import SIDE, upstream_model

LIBRARIES = {"torchvision", "timm"}
CLASSES = 10  # of the models that are compared; all counts are for ImageNet's 1,000


def main() -> None:
    args = arguments(__doc__)
    torch.set_num_threads(args.threads)
    found: dict[str, Any] = {}
    for size, entry in sorted(sizes().items()):
        if ".convolutional." not in entry.module or not LIBRARIES & set(upstreams(entry)):
            continue
        found[size] = {"system": entry.name, **counted(size), **compared(size)}
        print(size, found[size], flush=True)
    keep("models", [], {"models": found}, args.out)


def counted(size: str) -> dict[str, Any]:
    """Parameters, multiply-adds for one picture, and the side of that picture."""
    net, side = build(size).eval(), picture(size)
    with FlopCounterMode(display=False) as counter, torch.device("meta"):
        net(torch.empty(1, 3, side, side))
    parameters = sum(p.numel() for p in net.parameters())
    return {"parameters": parameters, "multiply_adds": counter.get_total_flops() // 2, "side": side}


def picture(size: str) -> int:
    """Pixels of the side of a picture that the published weights were scored on; 224 where none are."""
    published = getattr(sizes()[size].load(), "WEIGHTS", {}).get(size, {})
    crops = [facts["preprocessing"]["crop"] for facts in published.values() if "preprocessing" in facts]
    return int(crops[0]) if crops else 224


def compared(size: str) -> dict[str, Any]:
    """The library that has the model, and the largest differences from it with equal random weights."""
    entry = sizes()[size]
    torch.manual_seed(0)
    ours = getattr(entry.load(), size)(classes=CLASSES).eval()
    for upstream, table in upstreams(entry).items():
        state = upstream_state(ours, table)
        try:
            library, name, theirs = upstream_model(state, lay(state, size))
        except InputError:
            continue  # no library that is installed has it under these names
        if library != upstream:
            continue
        theirs.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # sums in one order
        images = torch.randn(2, 3, SIDE, SIDE)
        names = translate([n for n, _ in ours.named_parameters()], inverse(table))
        logits, slopes = answered(ours, images)
        other, other_slopes = answered(theirs, images)
        gaps = [
            float((slope - other_slopes[names[n]]).abs().max() / max(1.0, float(slope.abs().max())))
            for n, slope in slopes.items()
        ]
        return {
            "library": library, "name": name,
            "logits": float((logits - other).abs().max()), "gradients": max(gaps),
        }  # fmt: skip
    raise SystemExit(f"no library that is installed has {size}")


def answered(net: nn.Module, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Logits, and the gradient of the sum of their squares by every tensor that it reaches."""
    net.zero_grad(set_to_none=True)
    logits = net(images)
    logits.square().sum().backward()
    return logits.detach(), {n: p.grad for n, p in net.named_parameters() if p.grad is not None}


if __name__ == "__main__":
    main()
