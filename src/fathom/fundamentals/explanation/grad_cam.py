"""Grad-CAM: where on a picture a class was seen, from the gradient at the last feature maps.

    w_k = 1 / (h w) sum_ij d y_c / d A_kij          how much map k speaks for class c
    L_ij = max(0, sum_k w_k A_kij)                  what speaks for it, place by place, and nothing else

The last maps still know places, and already know things: an eye, a wheel. The gradient of a score in a map
tells whether more of it there would raise the score, and its mean over all places weighs the whole map. For a
network that ends in global pooling and one linear layer, w_k is that layer's weight divided by h w, and this
is the class activation map of Zhou et al. (2016); Grad-CAM is the same for any network that can be
differentiated. The map is as coarse as the last maps, a few places a side, and says where the network looked,
not whether it was right to.

Source: Selvaraju et al. (2017), https://arxiv.org/abs/1610.02391, section 3, equations 1 and 2.

Axes used below
    b  batch            k  maps              h, w  height, width of the maps
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Grad-CAM",
    paper="https://arxiv.org/abs/1610.02391",
    year=2017,
    summary="Shows where on a picture a class was seen, from gradients at the last feature maps.",
    rows=("CL14",),
    oracle="captum's LayerGradCam",
)


def grad_cam(model: nn.Module, pictures: Tensor, classes: Tensor, layer: nn.Module) -> Float[Tensor, "b h w"]:
    """How much each place of ``layer``'s maps speaks for ``classes`` (b,) on ``pictures`` (b, ...); >= 0.

    ``layer`` is a part of ``model`` that gives maps (b, k, h, w); the model gives a score for each class
    (b, c), best before the softmax. It runs as it stands, so put it in evaluation mode first; no weight gets
    a gradient. Raises ``ValueError`` where the layer is not run, gives no maps, or a class is not there.
    """
    with maps_of(layer) as seen, torch.enable_grad():
        scores = model(pictures)
    maps = seen[-1] if seen else None
    if maps is None or maps.ndim != 4:
        found = "was not run" if maps is None else f"gives the shape {tuple(maps.shape)}"
        raise ValueError(f"layer {found}; give a part of the model whose output is (pictures, maps, h, w)")
    if scores.ndim != 2 or classes.shape != scores.shape[:1]:
        raise ValueError(
            f"scores have the shape {tuple(scores.shape)} and classes {tuple(classes.shape)};"
            " they must be (pictures, classes) and (pictures,)"
        )
    if classes.numel() and not 0 <= int(classes.min()) <= int(classes.max()) < scores.shape[1]:
        raise ValueError(f"classes are {classes.tolist()}; they must be in [0, {scores.shape[1] - 1}]")
    chosen = scores.gather(1, classes[:, None]).sum()  # a picture's score depends on its own maps alone
    (slope,) = torch.autograd.grad(chosen, maps)
    weights = slope.mean(dim=(2, 3), keepdim=True)
    return (weights * maps.detach()).sum(dim=1).relu()


@contextmanager
def maps_of(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Within it, what ``layer`` gives, call by call, as tensors that a gradient can be taken in."""
    seen: list[Tensor] = []

    def keep(_module: nn.Module, _given: object, made: Tensor) -> Tensor:
        # Of a frozen part the output knows no gradient; whatever comes after it is to be differentiated.
        kept = made if made.requires_grad else made.detach().requires_grad_()
        seen.append(kept)
        # The next layer may work in place, which must not change what was seen.
        return kept.clone()

    hook = layer.register_forward_hook(keep)
    try:
        yield seen
    finally:
        hook.remove()


def last_maps(model: nn.Module, pictures: Tensor, places: int = 2) -> str | None:
    """The name of the last part that gives maps of at least ``places`` places; None where no part does."""
    found: list[str] = []
    hooks = []
    for name, part in model.named_modules():

        def look(_module: nn.Module, _given: object, made: object, name: str = name) -> None:
            if (
                name
                and isinstance(made, Tensor)
                and made.ndim == 4
                and made.shape[2] * made.shape[3] >= places
            ):
                found.append(name)

        hooks.append(part.register_forward_hook(look))
    try:
        with torch.no_grad():
            model(pictures)
    finally:
        for hook in hooks:
            hook.remove()
    return found[-1] if found else None


def grad_cam_by_hand(
    maps: Float[Tensor, "b k h w"], head: Float[Tensor, "c k"], classes: Tensor
) -> Float[Tensor, "b h w"]:
    """Of a network that ends in a mean over all places and a linear head: the class activation map."""
    found = torch.zeros(maps.shape[0], maps.shape[2], maps.shape[3], dtype=maps.dtype)
    places = maps.shape[2] * maps.shape[3]
    for b, c in enumerate(classes.tolist()):
        for k in range(maps.shape[1]):
            found[b] += head[c, k] / places * maps[b, k]
    return found.clamp(min=0)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    class Pooled(nn.Module):
        def __init__(self, head: Tensor) -> None:
            super().__init__()
            self.last, self.head = nn.Identity(), head

        def forward(self, maps: Tensor) -> Tensor:
            return self.last(maps).mean(dim=(2, 3)) @ self.head.T

    def ours(maps: Tensor, head: Tensor, classes: Tensor) -> Tensor:
        model = Pooled(head)
        return grad_cam(model, maps, classes, model.last)

    dice = torch.Generator().manual_seed(0)
    for h, w in ((3, 3), (1, 5)):
        maps = torch.randn(2, 4, h, w, generator=dice, dtype=torch.float64)
        head = torch.randn(3, 4, generator=dice, dtype=torch.float64)
        yield Twin(
            f"{h} x {w} places", ours, grad_cam_by_hand, (maps, head, torch.tensor([2, 0])), gradients=False
        )
