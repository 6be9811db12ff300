"""Which parts of a model move, and from when on: gradual unfreezing.

A head that was drawn anew sends arbitrary gradients into a body that was trained elsewhere, and spoils it
before it has learned anything itself. So the head goes first, and the body follows from its last part to its
first, each from a fraction of the run on (Howard and Ruder 2018, section 3.3). With the head alone it is a
linear probe.

Which parts move is a function of the step, so a resumed run goes on as it was. A part that does not move yet
gets no gradient: no weight decay pulls at it, and what the optimizer remembers of it begins when it begins
to move. Batch normalisation does not learn by gradients alone: its running statistics follow every batch. In
parts that stand still they stay as they are, and are what normalises (``freeze_norms``); few or small
batches may want that everywhere.

    Unfreezing(stages=((0.0, ("head",)), (0.3, ("body.stage_4",)), (0.6, ("body",))))
"""

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from fathom.errors import InputError
from fathom.training.layer_rates import part

Norms = Literal["frozen parts", "everywhere", "nowhere"]


@dataclass(frozen=True, kw_only=True)
class Unfreezing:
    """When each part of a model begins to move. Without stages all of it moves from the first step.

    A part is a module or a parameter by its dotted name ("head", "body.stage_4"), with all that lies below
    it. What no stage names stands still to the end. The first stage begins at 0.
    """

    stages: tuple[Any, ...] = ()  # (fraction of the run in [0, 1), names of parts that begin to move) each
    freeze_norms: Norms = "frozen parts"  # where batch normalisation keeps, and uses, the statistics it has

    def __post_init__(self) -> None:
        if self.freeze_norms not in get_args(Norms):
            raise ValueError(f"freeze_norms is {self.freeze_norms!r}; it must be one of {get_args(Norms)}")
        try:
            stages = tuple((float(at), tuple(names)) for at, names in self.stages)
            said = all(names and all(isinstance(n, str) and n for n in names) for _, names in stages)
        except (TypeError, ValueError):
            said, stages = False, ()
        if not said or any(isinstance(names, str) for _, names in self.stages):
            raise ValueError(
                f"stages is {self.stages!r}; it must hold pairs (fraction of the run, names of parts):"
                ' ((0.0, ("head",)), (0.5, ("body",)))'
            )
        begins = [at for at, _ in stages]
        if begins and (begins[0] != 0 or begins[-1] >= 1 or sorted(set(begins)) != begins):
            raise ValueError(
                f"stages begin at {', '.join(map(str, begins))}; the first must begin at 0, each later one"
                " after the one before it, and all of them before 1"
            )
        object.__setattr__(self, "stages", stages)

    @property
    def at_once(self) -> "Unfreezing":
        """Everything that ever moves moves from the start: what the slowest steps cost."""
        names = tuple(name for _, listed in self.stages for name in listed)
        return replace(self, stages=((0.0, names),) if names else ())

    def of(self, model: nn.Module) -> "Frozen":
        """The schedule for the parameters of ``model``; ``InputError`` for a part that it has not."""
        return Frozen(self, model)


class Frozen:
    """The parameters of a model by the stage in which they begin to move, and its batch statistics."""

    def __init__(self, how: Unfreezing, model: nn.Module) -> None:
        self.how, self.begins = how, [at for at, _ in how.stages]
        self.never = len(how.stages)  # the stage of what does not move in this run
        trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.stage = {id(p): self.first(name) for name, p in trained.items()}
        self.refuse(trained, model)
        self.parameters = [(p, self.stage[id(p)]) for p in trained.values()]
        self.norms = [
            (norm, self.begin(norm, name))
            for name, norm in model.named_modules()
            if isinstance(norm, _BatchNorm) and norm.track_running_stats
        ]

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do: all parts move, with their statistics."""
        return not self.begins and self.how.freeze_norms != "everywhere"

    def first(self, name: str) -> int:
        """The first stage that moves a parameter or module of this name."""
        if not self.how.stages:
            return -1
        return next((i for i, (_, names) in enumerate(self.how.stages) if covered(name, names)), self.never)

    def begin(self, norm: nn.Module, name: str) -> int:
        """The first stage that moves a layer of normalisation, or one of its weights."""
        return min([self.first(name), *(self.stage.get(id(p), self.never) for p in norm.parameters())])

    def refuse(self, trained: dict[str, nn.Parameter], model: nn.Module) -> None:
        """Every part must have parameters that did not move before."""
        known = {n for n, _ in model.named_modules() if n} | {n for n, _ in model.named_parameters()}
        for i, (at, names) in enumerate(self.how.stages):
            for name in names:
                if not any(covered(n, (name,)) for n in trained):
                    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
                    tops = near or [n for n, _ in model.named_children()]
                    raise InputError(
                        f"stages: the {type(model).__name__} has no part {name!r} with parameters to train;"
                        f" there is {', '.join(tops)}"
                    )
            if i not in self.stage.values():
                raise InputError(f"stages: {', '.join(names)} at {at} moves already; leave that stage out")

    def part(self, optimizer: Optimizer) -> None:
        """Give each stage groups of its own: some optimizers begin a group as a whole or not at all."""
        if self.begins:
            part(optimizer, lambda p: self.stage[id(p)])

    def reached(self, progress: float) -> int:
        """The last stage that has begun after the fraction ``progress`` of the run."""
        return sum(at <= progress for at in self.begins) - 1

    @contextmanager
    def still(self, progress: float) -> Iterator[None]:
        """Within it, what does not move yet gets no gradient, and its statistics stay as they are."""
        if self.idle:
            yield
            return
        now = self.reached(progress)
        held = [p for p, stage in self.parameters if stage > now]
        norms = [norm for norm, stage in self.norms if norm.training and self.keeps(stage, now)]
        turn(held, norms, moving=False)
        try:
            yield
        finally:
            turn(held, norms, moving=True)

    def keeps(self, stage: int, now: int) -> bool:
        """Whether a layer of normalisation keeps its statistics."""
        if self.how.freeze_norms == "everywhere":
            return True
        return self.how.freeze_norms == "frozen parts" and stage > now


def turn(parameters: list[nn.Parameter], norms: list[_BatchNorm], *, moving: bool) -> None:
    for parameter in parameters:
        parameter.requires_grad_(moving)
    for norm in norms:
        norm.train(moving)


def covered(name: str, parts: tuple[str, ...]) -> bool:
    return any(name == part or name.startswith(f"{part}.") for part in parts)
