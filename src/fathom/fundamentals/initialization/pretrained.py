"""Pretrained weights: the best initialisation is what another task has learned already.

Yosinski et al. (2014) cut networks in two, copied the first layers, and drew the rest anew: the first
layers of networks for pictures are much the same for any task, and starting from them beats any random
draw, the more so the smaller the new data set is. So a load is an initialisation, and like one it has to
account for every tensor. Four fates:

    copied     same name, same shape
    resized    same name, another shape, brought to this one by a rule that the caller gives
    new        in the model only, or of another shape: stays as it was initialised
    left       in the file only: not used

Loading where names agree and passing over all else in silence is how a misspelt prefix leaves a model
untrained. Here only copying happens by itself. Whatever else is to happen is named by the caller; anything
that is not named, a name that fits nothing, and a file that fills less than nine tenths of the model are
errors, raised before one number changes.

Axes used below
    o  outputs          i  inputs          n  places, a square of g * g          d  width
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Pretrained-weight initialisation",
    paper="https://arxiv.org/abs/1411.1792",
    year=2014,
    summary="Starts a network from the weights of another, and accounts for every tensor.",
    rows=("IN05",),
    oracle="timm's adapt_input_conv and resample_abs_pos_embed; load_state_dict(strict=True)",
)

# (tensor of the file, shape in the model) -> tensor of that shape
Resize = Callable[[Tensor, torch.Size], Tensor]


@dataclass(frozen=True)
class LoadReport:
    """What became of every tensor of the model and of the file."""

    copied: tuple[str, ...]
    resized: Mapping[str, str]  # name: "(64, 3, 7, 7) -> (64, 1, 7, 7)"
    new: Mapping[str, str]  # name: why it was not filled
    left: tuple[str, ...]
    share: float  # of the model's numbers, those that were copied or resized

    def __str__(self) -> str:
        parts = [f"{len(self.copied)} tensors copied ({self.share:.1%} of the model filled)"]
        resized = [f"{name} {how}" for name, how in self.resized.items()]
        new = [f"{name} ({why})" for name, why in self.new.items()]
        for title, names in (("resized", resized), ("new", new), ("left", self.left)):
            parts += [f"{title}: {', '.join(names)}"] if names else []
        return "; ".join(parts)


def load_pretrained(
    model: nn.Module,
    state: Mapping[str, Any],
    *,
    new: Sequence[str] = (),
    left: Sequence[str] = (),
    resize: Mapping[str, Resize] | None = None,
    least: float = 0.9,
) -> LoadReport:
    """Fill ``model`` from ``state``, a mapping of names to tensors, and say what became of each.

    ``new``, ``left`` and the keys of ``resize`` are names, or beginnings of names up to a dot: "head"
    covers "head.weight". Tensors under ``new`` may be absent or of another shape; those under ``left`` may
    be passed over; those under ``resize`` go through its function if their shape differs. Names that share
    one tensor in the model need only one of them in the file. Floating-point numbers are converted to the
    model's type.

    ``least`` is the share of the model's numbers that must be filled. Raises ValueError, with the names,
    for anything that does not fit and is not allowed for, and changes nothing then.
    """
    resize = resize or {}
    if not 0 <= least <= 1:
        raise ValueError(f"least is {least}; it must be a share in [0, 1]")
    own = _tensors("the model", model.state_dict())
    given = _tensors("state", state)
    for argument, names in (("new", new), ("left", left), ("resize", resize)):
        if isinstance(names, str):
            raise ValueError(f"{argument} is {names!r}, one text; it must be a sequence of names")
        for name in names if argument != "left" else ():
            if not any(_covers([name], n) for n in own):
                raise ValueError(f"{argument} names {name!r}, and no tensor of the model begins so")
    whole, disagreeing = _spread(own, given)
    values, resized, fresh, unfit = _match(own, whole, new, resize)
    spare = tuple(sorted(set(given) - set(own)))
    unknown = [f"{n} is in state, and the model has no such tensor" for n in spare if not _covers(left, n)]
    problems = disagreeing + unfit + unknown
    if problems:
        more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise ValueError(f"these weights do not fit the model: {'; '.join(problems[:5])}{more}")
    filled, total = sum(own[n].numel() for n in values), sum(t.numel() for t in own.values())
    share = filled / total if total else 1.0
    if share < least:
        raise ValueError(f"these weights fill {share:.1%} of the model, less than least = {least:.1%}")
    model.load_state_dict(values, strict=False)  # all that is absent was asked for, by name
    copied = tuple(n for n in values if n not in resized)
    return LoadReport(copied, resized, fresh, spare, share)


def resize_channels(weight: Tensor, shape: torch.Size) -> Tensor:
    """A first convolution (o, i, ...) for another number of input channels, with outputs of the same size.

    To one channel: the sum over channels, which gives a grey picture what its three copies would have
    given. To more or fewer: the channels in turn, scaled by old / new. Raises ValueError where more than
    the second axis differs.
    """
    if (
        weight.ndim < 2
        or len(shape) != weight.ndim
        or (weight.shape[0], *weight.shape[2:]) != (shape[0], *shape[2:])
    ):
        raise ValueError(f"shape is {tuple(shape)}; of {tuple(weight.shape)} only the second axis may differ")
    old, wanted = weight.shape[1], shape[1]
    if wanted == 1:
        return weight.sum(dim=1, keepdim=True)
    return weight[:, torch.arange(wanted, device=weight.device) % old] * (old / wanted)


def resize_positions(prefix: int = 0) -> Resize:
    """A rule for tables of positions (1, prefix + n, d): the square of n places is stretched like a picture.

    The first ``prefix`` rows, those of class tokens, are kept. Bicubic, smoothed when it shrinks. Raises
    ValueError for a negative prefix, and later for tables of another form or whose places make no square.
    """
    if prefix < 0:
        raise ValueError(f"prefix is {prefix}; it must be 0 or more")

    def rule(table: Tensor, shape: torch.Size) -> Tensor:
        if table.ndim != 3 or len(shape) != 3 or (shape[0], shape[2]) != (table.shape[0], table.shape[2]):
            raise ValueError(
                f"shape is {tuple(shape)}; of {tuple(table.shape)} only the second axis may differ"
            )
        sides = [math.isqrt(max(0, rows - prefix)) for rows in (table.shape[1], shape[1])]
        for side, rows in zip(sides, (table.shape[1], shape[1]), strict=True):
            if side < 1 or side * side != rows - prefix:
                raise ValueError(f"{rows} rows less prefix {prefix} make no square of places")
        picture = table[:, prefix:].float().unflatten(1, (sides[0], sides[0])).movedim(3, 1)
        size = (sides[1], sides[1])
        picture = F.interpolate(picture, size, mode="bicubic", antialias=True, align_corners=False)
        return torch.cat([table[:, :prefix], picture.movedim(1, 3).flatten(1, 2).to(table.dtype)], dim=1)

    return rule


def load_pretrained_by_hand(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a model after a load that allows for new and left ones: name by name."""
    return {n: state[n] if n in state and state[n].shape == t.shape else t for n, t in own.items()}


def _match(
    own: Mapping[str, Tensor], given: Mapping[str, Tensor], new: Sequence[str], resize: Mapping[str, Resize]
) -> tuple[dict[str, Tensor], dict[str, str], dict[str, str], list[str]]:
    """(values to load, resized, new, problems) for the tensors of the model."""
    values: dict[str, Tensor] = {}
    resized: dict[str, str] = {}
    fresh: dict[str, str] = {}
    problems: list[str] = []
    for name, tensor in own.items():
        rule = next((resize[key] for key in resize if _covers([key], name)), None)
        value, note = _fit(given.get(name), tensor, rule)
        if value is not None:
            values[name] = value
            resized |= {name: note} if note else {}
        elif _covers(new, name):
            fresh[name] = note
        else:
            problems.append(f"{name} {note}")
    return values, resized, fresh, problems


def _fit(found: Tensor | None, tensor: Tensor, rule: Resize | None) -> tuple[Tensor | None, str]:
    """The tensor to load, with a note if it was resized; or None, and why nothing fits."""
    if found is None:
        return None, "is missing"
    if _kind(found) != _kind(tensor):
        return None, f"has dtype {found.dtype}, not {tensor.dtype}"
    if found.shape == tensor.shape:
        return found, ""
    if rule is None:
        return None, f"has shape {tuple(found.shape)}, not {tuple(tensor.shape)}"
    try:
        made = rule(found, tensor.shape)
    except ValueError as error:
        return None, f"cannot be resized: {error}"
    if made.shape != tensor.shape:
        return None, f"was resized to {tuple(made.shape)}, not {tuple(tensor.shape)}"
    return made, f"{tuple(found.shape)} -> {tuple(tensor.shape)}"


def _spread(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """``given``, completed for names that share one tensor in the model; and names of it that disagree."""
    sharing: dict[tuple[Any, ...], list[str]] = {}
    for name, tensor in own.items():
        if tensor.numel():  # empty tensors lie nowhere
            place = (tensor.device, tensor.data_ptr(), tensor.shape, tensor.stride())
            sharing.setdefault(place, []).append(name)
    whole, problems = dict(given), []
    for names in sharing.values():
        present = [n for n in names if n in given]
        for name in names if present else ():
            first = given[present[0]]
            other = whole.setdefault(name, first)
            if other.dtype != first.dtype or not torch.equal(other, first):
                problems.append(f"{name} and {present[0]} are one tensor in the model, and differ in state")
    return whole, problems


def _tensors(what: str, state: Mapping[str, Any]) -> dict[str, Tensor]:
    for name, value in state.items():
        if not isinstance(value, Tensor):
            kind = type(value).__name__
            raise ValueError(
                f"{what} holds {name!r}, of type {kind}; it must map names to tensors, and nothing else"
            )
        if value.is_meta:
            raise ValueError(
                f"{what} holds {name!r} on the meta device, without numbers; give it memory first"
            )
    return dict(state)


def _covers(beginnings: Sequence[str], name: str) -> bool:
    return any(name == b or name.startswith(f"{b}.") for b in beginnings)


def _kind(tensor: Tensor) -> tuple[bool, bool]:
    return tensor.is_floating_point(), tensor.is_complex()


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    def model() -> nn.Module:
        layers = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
        for i, tensor in enumerate(layers.state_dict().values()):
            tensor.fill_(float(i))
        return layers

    def state(body: Tensor, head: Tensor) -> dict[str, Tensor]:
        return {"0.weight": body, "0.bias": body[:, 0], "2.weight": head, "3.weight": head}

    def ours(body: Tensor, head: Tensor) -> list[Tensor]:
        filled = model()
        load_pretrained(filled, state(body, head), new=("2",), left=("3",), least=0.5)
        return list(filled.state_dict().values())

    def by_hand(body: Tensor, head: Tensor) -> list[Tensor]:
        return list(load_pretrained_by_hand(model().state_dict(), state(body, head)).values())

    body = torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(4, 3)
    yield Twin("load_pretrained", ours, by_hand, (body, body), gradients=False)
