"""Every published size of our convolutional families: how large it is, and how far from the others'.

Parameters and multiply-adds are counted without memory. Then each size gets random weights, the same models
of torchvision and of timm get them under their own names, and all answer the same two pictures: the largest
difference of logits, and of gradients relative to the larger of 1 and the largest gradient of the tensor.
Pictures have 96 pixels a side, which the equality does not depend on; multiply-adds are for the size's own.
"""

import contextlib
import io
from typing import Any

import peers  # noqa: F401 - before torchvision
import torch
from pairs import arguments, keep
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from fathom.training.weight_map import inverse, translate
from fathom.training.weights import upstream_state
from fathom.verbs.recognising import build, lay, sizes, upstreams
from fathom.verbs.upstream_models import SIDE, upstream_models

LIBRARIES = {"torchvision", "timm"}
CLASSES = 10  # of the models that are compared; all counts are for ImageNet's 1,000


def main() -> None:
    args = arguments(__doc__)
    torch.set_num_threads(args.threads)
    found: dict[str, Any] = {}
    for size, entry in sorted(sizes().items()):
        if ".convolutional." not in entry.module or not LIBRARIES & set(upstreams(entry)):
            continue
        found[size] = {"system": entry.name, **counted(size), "equal_to": compared(size)}
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


def compared(size: str) -> dict[str, dict[str, Any]]:
    """For each library that has the model: its name there, the largest differences with equal weights."""
    entry, found = sizes()[size], {}
    make = getattr(entry.load(), size)
    for upstream, table in ((u, t) for u, t in upstreams(entry).items() if u in LIBRARIES):
        torch.manual_seed(0)
        drawn = make(classes=CLASSES)
        own_way = getattr(entry.load(), f"{upstream}_state", None)  # where names are not all that differs
        state = own_way(drawn) if own_way else upstream_state(drawn, table)
        with contextlib.redirect_stderr(io.StringIO()):  # which tells what was taken over
            ours = make(weights=state, classes=CLASSES).eval()  # normalising as files of this layout want it
        names = translate([n for n, _ in ours.named_parameters()], inverse(table))
        for library, name, theirs in upstream_models(state, lay(state, size), []):
            if library not in LIBRARIES - set(found):
                continue
            theirs.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # one order of sums
            images = torch.randn(2, 3, SIDE, SIDE)
            logits, slopes = answered(ours, images)
            other, other_slopes = answered(theirs, images)
            gaps = [gap(slope, other_slopes[names[n]].reshape(slope.shape)) for n, slope in slopes.items()]
            apart = float((logits - other).abs().max())
            found[library] = {"name": name, "logits": apart, "gradients": max(gaps)}
    if not found:
        raise SystemExit(f"no library that is installed has {size}")
    return found


def gap(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max() / max(1.0, float(ours.abs().max())))


def answered(net: nn.Module, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Logits, and the gradient of the sum of their squares by every tensor that it reaches."""
    net.zero_grad(set_to_none=True)
    logits = net(images)
    logits.square().sum().backward()
    return logits.detach(), {n: p.grad for n, p in net.named_parameters() if p.grad is not None}


if __name__ == "__main__":
    main()
