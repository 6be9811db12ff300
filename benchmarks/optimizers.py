"""What an optimizer's step costs on the tensors of ResNet-18: ours against torch's or timm's foreach one.

62 tensors, 11.7 million numbers, random gradients. The goal of 1.2 is for rules that torch has too. For rules
that it lacks the other side is timm's foreach version, or a rule of torch with as many passes over memory;
the row says which. Muon multiplies matrices, so its set has an eighth of the channels and both sides multiply
in bfloat16, as torch's always does.
"""

import time
from collections.abc import Callable
from typing import Any

import peers  # noqa: F401 - before timm
import timm.optim
import timm.utils
import torch
from pairs import arguments, keep, paired, shown
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from fathom.fundamentals.optimizers import (
    adadelta,
    adafactor,
    adagrad,
    adam,
    adamw,
    gradient_clipping,
    lamb,
    lion,
    lookahead,
    muon,
    nadam,
    radam,
    rmsprop,
    sgd,
    weight_averaging,
)

SAME, LIKE = "<= 1.2", "none (another rule, or another library)"
Make = Callable[[list[Tensor]], Optimizer]
Step = Callable[[], object]


def shapes(width: int = 64) -> list[tuple[int, ...]]:
    """The tensors of ResNet-18 with ``width`` channels in its first stage, in order."""
    found: list[tuple[int, ...]] = [(width, 3, 7, 7), (width,), (width,)]
    inputs = width
    for stage in range(4):
        outputs = width * 2**stage
        for block in range(2):
            for given in (inputs, outputs):
                found += [(outputs, given, 3, 3), (outputs,), (outputs,)]
            if block == 0 and stage:
                found += [(outputs, inputs, 1, 1), (outputs,), (outputs,)]
            inputs = outputs
    return [*found, (1000, inputs), (1000,)]


def tensors(sizes: list[tuple[int, ...]]) -> list[Tensor]:
    """Parameters with gradients."""
    dice = torch.Generator().manual_seed(0)
    held = [nn.Parameter(0.1 * torch.randn(s, generator=dice)) for s in sizes]
    for p in held:
        p.grad = 0.01 * torch.randn(p.shape, generator=dice)
    return held


def stepper(step: Step, times: int) -> Callable[[], float]:
    """Seconds of one step, as the mean of ``times``."""

    def run() -> float:
        began = time.perf_counter()
        for _ in range(times):
            step()
        return (time.perf_counter() - began) / times

    return run


def rules() -> dict[str, tuple[Make, str, Make, str]]:
    """Name, ours, what the other is, the other, and the goal."""
    t, fast = torch.optim, {"foreach": True}
    by_constructor = {
        "SGD, momentum": (lambda p: sgd.sgd(p, momentum=0.9), lambda p: t.SGD(p, 0.1, momentum=0.9, **fast)),
        "AdaGrad": (adagrad.adagrad, lambda p: t.Adagrad(p, **fast)),
        "Adadelta": (adadelta.adadelta, lambda p: t.Adadelta(p, **fast)),
        "RMSprop": (rmsprop.rmsprop, lambda p: t.RMSprop(p, **fast)),
        "Adam": (adam.adam, lambda p: t.Adam(p, **fast)),
        "AdaMax": (adam.adamax, lambda p: t.Adamax(p, **fast)),
        "AdamW": (adamw.adamw, lambda p: t.AdamW(p, **fast)),
        "NAdam": (nadam.nadam, lambda p: t.NAdam(p, **fast)),
        "RAdam": (radam.radam, lambda p: t.RAdam(p, **fast)),
        "Adafactor": (adafactor.adafactor, lambda p: t.Adafactor(p, **fast)),
    }
    found: dict[str, tuple[Make, str, Make, str]] = {
        name: (ours, "torch foreach", other, SAME) for name, (ours, other) in by_constructor.items()
    }
    return found | {
        "RMSprop, epsilon inside": (
            lambda p: rmsprop.RMSpropTF(p, momentum=0.9), "torch RMSprop foreach, epsilon outside",
            lambda p: t.RMSprop(p, momentum=0.9, **fast), SAME,
        ),
        "Lion against timm": (
            lambda p: lion.Lion(p, weight_decay=0.1), "timm Lion foreach",
            lambda p: timm.optim.Lion(p, weight_decay=0.1, **fast), LIKE,
        ),
        "Lion against five passes": (
            lambda p: lion.Lion(p, weight_decay=0.1), "torch SGD foreach, Nesterov and decay: as many passes",
            lambda p: t.SGD(p, 0.1, momentum=0.9, nesterov=True, weight_decay=0.1, **fast), LIKE,
        ),
        "LAMB": (
            lamb.Lamb, "timm Lamb foreach without clipping",
            lambda p: timm.optim.Lamb(p, max_grad_norm=None, **fast), LIKE,
        ),
        "Lookahead around SGD": (
            lambda p: lookahead.Lookahead(sgd.sgd(p, momentum=0.9), 5), "torch SGD foreach alone",
            lambda p: t.SGD(p, 0.1, momentum=0.9, **fast), LIKE,
        ),
    }  # fmt: skip


def averages() -> tuple[Step, Step]:
    """A moving average of weights, ours and torch's."""
    model = nn.ParameterList(tensors(shapes()))
    ours = weight_averaging.WeightAverage(model, weight_averaging.exponential(0.99))
    other = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.99))
    other.update_parameters(model)
    return lambda: ours.update(model, 0), lambda: other.update_parameters(model)


def others() -> dict[str, tuple[Step, str, Step, str]]:
    """What is no rule of this size: matrices, averages, clipping."""
    matrices = [(s[0], int(torch.Size(s[1:]).numel())) for s in shapes(8) if len(s) > 1]
    ours, other = muon.Muon(tensors(matrices), compute="bfloat16"), torch.optim.Muon(tensors(matrices))
    held, theirs = tensors(shapes()), tensors(shapes())
    mean, their_mean = averages()
    return {
        "Muon, an eighth of the channels": (ours.step, "torch, which has no foreach", other.step, SAME),
        "average of weights": (mean, "torch AveragedModel foreach", their_mean, SAME),
        "adaptive clipping": (
            lambda: gradient_clipping.clip_adaptive(held), "timm",
            lambda: timm.utils.adaptive_clip_grad(theirs), LIKE,
        ),
    }  # fmt: skip


def main() -> None:
    args = arguments(__doc__)
    torch.set_num_threads(args.threads)
    rows: list[dict[str, str]] = []
    details: dict[str, Any] = {}

    def compare(name: str, ours: Step, what: str, other: Step, goal: str) -> None:
        for step in (ours, other, ours, other):  # state is made, and memory found
            step()
        found = details[name] = paired(stepper(ours, 3), stepper(other, 3), args.pairs)
        mine, theirs = (f"{1e3 * found[side]:.1f}" for side in ("ours_median", "other_median"))
        rows.append(
            {
                "what": f"{name}: milliseconds a step", "ours": mine, "other": f"{what} {theirs}",
                "ratio": shown(found), "goal": goal,
            }
        )  # fmt: skip

    for name, (ours, what, other, goal) in rules().items():
        compare(name, ours(tensors(shapes())).step, what, other(tensors(shapes())).step, goal)
    for name, (step, what, their_step, goal) in others().items():
        compare(name, step, what, their_step, goal)
    keep("optimizers", rows, details | {"threads": args.threads, "timm": timm.__version__}, args.out)


if __name__ == "__main__":
    main()
