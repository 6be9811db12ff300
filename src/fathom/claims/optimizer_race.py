"""Twenty optimizers race down two valleys, one step at a time, each with the best of five learning rates.

Rosenbrock's valley bends and its floor is nearly flat; Beale's plateau ends in steep corners. Both are smooth
and exact, without the noise of batches, so what counts is what an optimizer learns from the slopes behind it.
Plain descent may step no further than the steep walls allow, and creeps along the floor. Momentum adds up
what successive steps agree on, so it runs along it (Sutskever et al. 2013, section 2). L-BFGS guesses the
curvature from the last slopes, which straightens the valley (Nocedal and Wright 2006, chapter 7).

Every seed draws a start near the customary one, the same for all. There each optimizer tries every rate of a
grid of five; the run that arrives first counts or, where none arrives, the one that ends nearest.

``rosenbrock/steps``, ``beale/steps``: steps until f < 1e-4 for good, since a long step may fall below it by
chance and leave again; one more than the steps that were made, if it does not arrive. ``.../distance``: from
the last point to the minimum, in the plane. ``.../rate``: the rate that counts. The arm ``best_other`` has
the least of all but L-BFGS. ``picture`` runs the races of one seed once more, at those rates.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fathom.claim import Claim

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

    from fathom.report.markup import Block

CLAIM = Claim(
    sentence="In smooth valleys L-BFGS arrives before nineteen others, and momentum beats plain descent.",
    rows=("MA06",),
    expect=(
        "rosenbrock/steps: lbfgs - best_other <= -100",
        "beale/steps: lbfgs - best_other <= -20",
        "rosenbrock/distance: momentum - sgd <= -0.3",
        "beale/steps: momentum - sgd <= -100",
    ),
    source="Nocedal and Wright 2006, Numerical Optimization, chapter 7; Sutskever et al. 2013, section 2",
    builds_on=(
        "descent", "sgd", "adagrad", "adadelta", "rmsprop", "adam", "adamw", "nadam", "radam", "lion", "lamb",
        "adafactor", "muon", "lookahead", "sharpness_aware", "lbfgs",
    ),
    seeds=5,
    differs=(
        "Muon sees the point as a matrix of one row; as a vector it would be moved by AdamW.",
        "Sharpness-aware minimisation takes two gradients a step, all others one; L-BFGS has no line search.",
        "Averages of weights and the natural gradient are no optimizers of a surface and do not run.",
        "Each rate is chosen on the race itself: this compares what each optimizer can do at its best.",
    ),
)  # fmt: skip

STEPS = 300
TARGET = 1e-4
GRADIENT = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)  # for steps in proportion to the gradient
SCALED = (0.01, 0.03, 0.1, 0.3, 1.0)  # for steps of about one rate in each coordinate
LARGE = (0.03, 0.1, 0.3, 1.0, 3.0)  # for those of them whose steps shrink or average
Make = Callable[["list[Tensor]", float], "Optimizer"]
Surface = Callable[["Tensor"], "Tensor"]
Measured = dict[str, dict[str, float]]  # runner -> metric -> value
WINDOWS = {"rosenbrock": ((-2.0, 2.0), (-1.0, 3.0)), "beale": ((0.0, 4.5), (-1.5, 1.5))}  # of the picture


def entrants() -> dict[str, tuple[Make, tuple[float, ...]]]:
    """Each optimizer by name: how it is made from parameters and a rate, and its grid of rates."""
    from fathom.fundamentals.optimizers.lbfgs import lbfgs
    from fathom.fundamentals.optimizers.lookahead import Lookahead
    from fathom.fundamentals.optimizers.sgd import sgd
    from fathom.fundamentals.optimizers.sharpness_aware import SharpnessAware

    return {
        "sgd": (lambda p, r: sgd(p, r), GRADIENT),
        "momentum": (lambda p, r: sgd(p, r, momentum=0.9), GRADIENT),
        "nesterov": (lambda p, r: sgd(p, r, momentum=0.9, nesterov=True), GRADIENT),
        "lookahead": (lambda p, r: Lookahead(sgd(p, r, momentum=0.9)), GRADIENT),
        "sharpness_aware": (lambda p, r: SharpnessAware(sgd(p, r, momentum=0.9), 0.01), GRADIENT),
        "lbfgs": (lambda p, r: lbfgs(p, r, iterations=1), (0.1, 0.2, 0.4, 0.7, 1.0)),
    } | scaling_entrants()


def scaling_entrants() -> dict[str, tuple[Make, tuple[float, ...]]]:
    """Those that scale each coordinate, or the whole step, by what they have seen."""
    from fathom.fundamentals.optimizers.adadelta import adadelta
    from fathom.fundamentals.optimizers.adafactor import adafactor
    from fathom.fundamentals.optimizers.adagrad import adagrad
    from fathom.fundamentals.optimizers.adam import adam, adamax
    from fathom.fundamentals.optimizers.adamw import adamw
    from fathom.fundamentals.optimizers.lamb import Lamb
    from fathom.fundamentals.optimizers.lion import Lion
    from fathom.fundamentals.optimizers.nadam import nadam
    from fathom.fundamentals.optimizers.radam import radam
    from fathom.fundamentals.optimizers.rmsprop import RMSpropTF, rmsprop

    return {
        "adagrad": (lambda p, r: adagrad(p, r), LARGE),
        "adadelta": (lambda p, r: adadelta(p, r), (0.3, 1.0, 3.0, 10.0, 30.0)),
        "rmsprop": (lambda p, r: rmsprop(p, r), SCALED),
        "rmsprop_tf": (lambda p, r: RMSpropTF(p, r), SCALED),
        "adam": (lambda p, r: adam(p, r), LARGE),
        "amsgrad": (lambda p, r: adam(p, r, amsgrad=True), LARGE),
        "adamax": (lambda p, r: adamax(p, r), LARGE),
        "adamw": (lambda p, r: adamw(p, r), LARGE),
        "nadam": (lambda p, r: nadam(p, r), LARGE),
        "radam": (lambda p, r: radam(p, r), GRADIENT),  # its first steps are those of momentum
        "lion": (lambda p, r: Lion(p, r), (1e-3, 3e-3, 1e-2, 3e-2, 0.1)),
        "lamb": (lambda p, r: Lamb(p, r, weight_decay=0.0, adapt_undecayed=True), SCALED),
        "adafactor": (lambda p, r: adafactor(p, r), SCALED),
        "muon": (as_row, SCALED),
    }


def as_row(parameters: "list[Tensor]", rate: float) -> "Optimizer":
    """Muon on a view of the point that has one row: it moves matrices, and leaves vectors to AdamW."""
    from fathom.fundamentals.optimizers.muon import Muon

    point = parameters[0]
    row = point.detach()[None].requires_grad_()  # shares its memory with the point

    class OfRow(Muon):
        def step(self, closure: Callable[[], Any] | None = None) -> Any:
            loss = closure() if closure else None
            if point.grad is not None:
                row.grad, point.grad = point.grad[None], None
            super().step()
            return loss

    return OfRow([row], rate)


def courses(seed: int) -> "dict[str, tuple[Surface, Tensor]]":
    """Each surface by name, with the start that ``seed`` draws and the minimum, (2, 2)."""
    import torch

    from fathom.fundamentals.mathematics.descent import beale, rosenbrock

    dice = torch.Generator().manual_seed(seed)
    surfaces = {"rosenbrock": (rosenbrock, (-1.2, 1.0), (1.0, 1.0)), "beale": (beale, (1.0, 1.0), (3.0, 0.5))}
    found: dict[str, tuple[Surface, Tensor]] = {}
    for name, (surface, start, minimum) in surfaces.items():
        places = torch.tensor([start, minimum], dtype=torch.float64)
        places[0] += 0.2 * torch.rand(2, dtype=torch.float64, generator=dice) - 0.1
        found[name] = surface, places
    return found


def measure(seed: int) -> Measured:
    runners = entrants()
    found: Measured = {name: {} for name in (*runners, "best_other")}
    for name, (surface, places) in courses(seed).items():
        for runner, (make, rates) in runners.items():
            steps, distance, rate = min(run(surface, places, make, rate) for rate in rates)
            found[runner] |= {f"{name}/steps": steps, f"{name}/distance": distance, f"{name}/rate": rate}
        for metric in (f"{name}/steps", f"{name}/distance"):
            found["best_other"][metric] = min(found[r][metric] for r in runners if r != "lbfgs")
    return found


def run(surface: Surface, places: "Tensor", make: Make, rate: float) -> tuple[float, float, float]:
    """Steps to arrive for good and the distance at the end, from the first of ``places`` to the second."""
    from fathom.fundamentals.mathematics.descent import trajectory

    start, minimum = places
    path = trajectory(surface, start, lambda parameters: make(parameters, rate), STEPS)
    away = (path.values >= TARGET).nonzero()
    return float(away.max()) + 1, float((path.points[-1] - minimum).norm()), rate


def picture(seed: int, found: Measured) -> "list[Block]":
    """Both valleys from above, and the paths of all through them, each at the rate that counted."""
    from fathom.fundamentals.mathematics.descent import trajectory
    from fathom.report.race import Race

    races: list[Block] = []
    for name, (surface, places) in courses(seed).items():
        paths, told, rows = {}, {}, []
        for runner, (make, _) in entrants().items():
            scores = found[runner]
            steps, distance, rate = (scores[f"{name}/{what}"] for what in ("steps", "distance", "rate"))
            path = trajectory(surface, places[0], lambda p, make=make, rate=rate: make(p, rate), STEPS)
            paths[runner] = path.points.numpy()
            told[runner] = f"{steps:.0f}" if steps <= STEPS else ""
            rows.append((runner, rate, int(steps) if steps <= STEPS else None, distance))
        columns = ("optimizer", "rate", "steps to arrive", "distance at the end")
        races.append(Race(valley(name, surface, places), paths, told, columns, rows))
    return races


def valley(name: str, surface: Surface, places: "Tensor") -> Any:
    """The map of a surface."""
    import torch

    from fathom.report.landscape import Landscape

    x, y = (torch.linspace(low, high, 241, dtype=torch.float64) for low, high in WINDOWS[name])
    points = torch.stack(torch.meshgrid(x, y, indexing="ij"), dim=-1)
    start, minimum = places.tolist()
    return Landscape(
        x.numpy(), y.numpy(), surface(points).numpy(), (0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000),
        caption=f"{name.capitalize()}'s valley; beside each name, steps to arrive",
        x_title="x", y_title="y", quantity="function", shaded=False,
        marks=((*start, "start"), (*minimum, "minimum")),
    )  # fmt: skip
