"""Gradual unfreezing: the head learns first, the body follows from its last part to its first.

    moves(p, t) = there is a stage s with t_s <= t and p in names_s        t the share of the run, in [0, 1)

A head that was drawn anew answers at random, so its first gradients are noise, and they would spoil a body
that was trained elsewhere before the head knows anything. So at first only the head moves. The parts of the
body join it one after the other, the last first: it is the nearest to the old task and has most to unlearn.
What stands still gets no gradient and no decay. Batch normalisation moves without gradients, for it averages
over every batch it sees; in a part that stands still it keeps, and uses, the statistics it has.

``freeze`` is for a training loop of one's own. The engine's setting ``learning.unfreezing`` holds such stages
and does the same at every step.

Source: Howard and Ruder (2018), ULMFiT, https://arxiv.org/abs/1801.06146, section 3.3.

Legend: p parameter, by its dotted name; s stage; t share of the run that is over
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Unfreezing layers, one after the other",
    paper="https://arxiv.org/abs/1801.06146",
    year=2018,
    summary="Lets the head of a network learn first and its body follow, from the last part to the first.",
    rows=("TL04",),
    oracle="the hash of every parameter before and after each stage; the engine's learning.unfreezing",
)

Stages = Sequence[tuple[float, Sequence[str]]]  # (share of the run, names of parts that begin to move)


def moving(names: Sequence[str], stages: Stages, share: float) -> list[str]:
    """Those of the dotted ``names`` that move once ``share`` of the run is over, in their order.

    A part is a module or parameter, with all that lies below it: "body.stage_4" has "body.stage_4.weight".
    Raises ``ValueError`` for a share outside [0, 1), stages that do not begin at 0 and rise, and a part that
    none of ``names`` lies in.
    """
    begins = [at for at, _ in stages]
    if not 0 <= share < 1:
        raise ValueError(f"share is {share}; it must be in [0, 1)")
    if not begins or begins[0] != 0 or begins != sorted(set(begins)) or begins[-1] >= 1:
        raise ValueError(f"stages begin at {begins}; they must begin at 0, rise, and stay below 1")
    for part in (part for _, parts in stages for part in parts):
        if not any(within(name, part) for name in names):
            raise ValueError(
                f"part is {part!r}, and no parameter lies in it; there are {', '.join(names[:6])} ..."
            )
    now = [part for at, parts in stages if at <= share for part in parts]
    return [name for name in names if any(within(name, part) for part in now)]


def within(name: str, part: str) -> bool:
    return name == part or name.startswith(f"{part}.")


def freeze(model: nn.Module, stages: Stages, share: float) -> list[str]:
    """Let the parameters of ``model`` move that should, once ``share`` of the run is over; their names.

    All others stop asking for gradients. Batch normalisation without a weight that moves is put into
    evaluation mode, which ``model.train()`` would undo: call this after it. Raises as ``moving`` does.
    """
    named = dict(model.named_parameters())
    moves = set(moving(list(named), stages, share))
    for name, parameter in named.items():
        parameter.requires_grad_(name in moves)
    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm) and not any(within(moved, name) for moved in moves):
            module.eval()
    return [name for name in named if name in moves]


def moving_by_hand(names: Sequence[str], stages: Stages, share: float) -> list[str]:
    """Go through the run from its beginning, and write down whatever begins to move."""
    begun: set[str] = set()
    for at, parts in stages:
        if at > share:
            break
        for part in parts:
            steps = part.split(".")
            begun |= {name for name in names if name.split(".")[: len(steps)] == steps}
    return [name for name in names if name in begun]


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    import torch

    from fathom.fundamentals.twin import Twin

    names = ("body.0.weight", "body.0.bias", "body.1.weight", "body.10.weight", "head.weight", "head.bias")
    stages = ((0.0, ("head",)), (0.3, ("body.1",)), (0.6, ("body",)))

    def found(rule: Callable[..., list[str]], share: float) -> torch.Tensor:
        return torch.tensor([name in rule(names, stages, share) for name in names]).double()

    for share in (0.0, 0.29, 0.3, 0.59, 0.99):
        yield Twin(
            f"at {share}", lambda share: found(moving, share), lambda share: found(moving_by_hand, share),
            (share,), gradients=False,
        )  # fmt: skip
