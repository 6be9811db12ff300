"""Descent: why some valleys take a thousand steps; convexity, saddle points and conditioning.

Near a minimum every smooth function is a quadratic, f(x) = (x - m)^T A (x - m) / 2. Gradient descent on it,
x <- x - a A (x - m), splits into one equation for each eigenvector of A with eigenvalue l:

    error after k steps = (1 - a l)^k * error at the start                       (Goh 2017, section 1)

So a step size below 2 / l_max converges, the best one is 2 / (l_min + l_max), and then each step leaves (c -
1) / (c + 1) of the error, where c = l_max / l_min is the condition number. A negative eigenvalue makes the
point a saddle: |1 - a l| > 1, and descent leaves along that direction, slowly at first. Momentum, v <- b v -
a grad, x <- x + v (Polyak 1964), turns c into its square root.

A function is convex if no chord lies below it: f((1 - w) p + w q) <= (1 - w) f(p) + w f(q). Two surfaces that
are not have been tests of optimizers for sixty years: Rosenbrock's curved valley (1960,
https://doi.org/10.1093/comjnl/3.3.175) and Beale's plateau with steep corners (1958).

Axes used below
    n  variables      k  steps, the start included      p  pairs of points
"""

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim import Optimizer

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Descent, convexity and conditioning",
    paper="https://doi.org/10.23915/distill.00006",
    year=2017,
    summary="Predicts how fast gradient descent goes in each direction; races optimizers down two valleys.",
    rows=("MA06",),
    oracle="the closed form (1 - a l)^k; scipy.optimize's rosen, rosen_der and minimize; in float64",
)

Surface = Callable[[Tensor], Tensor]


def quadratic_descent(
    matrix: Tensor, minimum: Tensor, start: Tensor, learning_rate: float, steps: int
) -> Float[Tensor, "k n"]:
    """Gradient descent on (x - m)^T A (x - m) / 2 without taking a step: the closed form, per eigenvector.

    ``matrix`` A is symmetric, (n, n); ``minimum`` m and ``start`` are (n,). Gives ``start`` and the point
    after each step. A step size that is too large, or a negative eigenvalue, gives a path that runs away.
    """
    _symmetric("matrix", matrix)
    for name, point in (("minimum", minimum), ("start", start)):
        if point.shape != matrix.shape[:1]:
            raise ValueError(f"{name} has shape {tuple(point.shape)}; it must have {len(matrix)} entries")
    _settings(learning_rate, 0.0, steps)
    values, vectors = torch.linalg.eigh(matrix)
    share = (1 - learning_rate * values) ** torch.arange(steps + 1).to(values)[:, None]
    return minimum + (share * ((start - minimum) @ vectors)) @ vectors.T


def quadratic_descent_by_hand(
    matrix: Tensor, minimum: Tensor, start: Tensor, learning_rate: float, steps: int
) -> Float[Tensor, "k n"]:
    """The steps themselves."""
    path = [start]
    for _ in range(steps):
        path.append(path[-1] - learning_rate * (matrix @ (path[-1] - minimum)))
    return torch.stack(path)


def convergence_rate(eigenvalues: Tensor, learning_rate: float, momentum: float = 0.0) -> Float[Tensor, "n"]:
    """What one step leaves of the error along each eigenvector, in the long run; above 1 it grows.

    Without momentum |1 - a l|. With it, error and velocity are multiplied by a 2 x 2 matrix each step, and
    the rate is the larger size of its two eigenvalues (Goh 2017, section 3).
    """
    _settings(learning_rate, momentum, 0)
    if not momentum:
        return (1 - learning_rate * eigenvalues).abs()
    trace = 1 + momentum - learning_rate * eigenvalues
    root = (trace**2 - 4 * momentum).clamp(min=0).sqrt()
    # Below zero under the root the pair is complex: both have the size sqrt(determinant) = sqrt(momentum).
    return ((trace.abs() + root) / 2).clamp(min=math.sqrt(momentum))


def convergence_rate_by_hand(
    eigenvalues: Tensor, learning_rate: float, momentum: float = 0.0
) -> Float[Tensor, "n"]:
    rates = []
    for value in eigenvalues.tolist():
        step = [[1 - learning_rate * value, momentum], [-learning_rate * value, momentum]]
        rates.append(torch.linalg.eigvals(torch.tensor(step, dtype=torch.float64)).abs().max())
    return torch.stack(rates)


class Settings(NamedTuple):
    """A step size, a momentum, and what one step then leaves of the error in the slowest direction."""

    learning_rate: float
    momentum: float
    rate: float


def best_settings(smallest: float, largest: float, *, momentum: bool = False) -> Settings:
    """The settings that are best for a quadratic with eigenvalues from ``smallest`` > 0 to ``largest``."""
    if not 0 < smallest <= largest < math.inf:
        raise ValueError(
            f"smallest is {smallest} and largest {largest}; they must be positive, finite, in order"
        )
    if not momentum:
        return Settings(2 / (smallest + largest), 0.0, (largest - smallest) / (largest + smallest))
    low, high = math.sqrt(smallest), math.sqrt(largest)
    rate = (high - low) / (high + low)
    return Settings((2 / (low + high)) ** 2, rate**2, rate)


def condition_number(matrix: Tensor) -> float:
    """Largest over smallest size of an eigenvalue of a symmetric ``matrix`` (n, n); infinite if one is 0."""
    _symmetric("matrix", matrix)
    sizes = torch.linalg.eigvalsh(matrix).abs()
    return float(sizes.max() / sizes.min()) if sizes.min() > 0 else math.inf


def stationary_kind(hessian: Tensor, tolerance: float = 1e-9) -> str:
    """What a point of zero gradient is, by the signs of the Hessian's eigenvalues.

    "minimum", "maximum", "saddle", or "flat" where an eigenvalue is within ``tolerance`` of 0, relative to
    the largest, and the others do not differ in sign: then the second derivatives cannot tell.
    """
    _symmetric("hessian", hessian)
    values = torch.linalg.eigvalsh(hessian)
    limit = tolerance * float(values.abs().max())
    up, down = bool((values > limit).any()), bool((values < -limit).any())
    if up and down:
        return "saddle"
    if bool((values.abs() <= limit).any()):
        return "flat"
    return "minimum" if up else "maximum"


def convexity_gap(function: Surface, left: Tensor, right: Tensor, weight: float = 0.5) -> Float[Tensor, "p"]:
    """How far ``function`` rises above its chord between each pair of points; above 0 it is not convex.

    ``left`` and ``right`` are (p, n); ``function`` takes (..., n) to (...); ``weight`` in [0, 1] says where
    on the chord. No gap above 0 proves nothing: other pairs may have one.
    """
    if left.shape != right.shape or left.ndim != 2:
        raise ValueError(
            f"left has shape {tuple(left.shape)}, right {tuple(right.shape)}; both must be one (p, n)"
        )
    if not 0 <= weight <= 1:
        raise ValueError(f"weight is {weight}; it must be in [0, 1]")
    return function(torch.lerp(left, right, weight)) - torch.lerp(function(left), function(right), weight)


def convexity_gap_by_hand(
    function: Surface, left: Tensor, right: Tensor, weight: float = 0.5
) -> Float[Tensor, "p"]:
    gaps = []
    for a, b in zip(left, right, strict=True):
        chord = (1 - weight) * function(a) + weight * function(b)
        gaps.append(function((1 - weight) * a + weight * b) - chord)
    return torch.stack(gaps)


def rosenbrock(point: Tensor) -> Tensor:
    """Rosenbrock's valley at points (..., n), n >= 2; the minimum is 0, at all ones."""
    _coordinates(point, at_least=2)
    here, following = point[..., :-1], point[..., 1:]
    return (100 * (following - here**2) ** 2 + (1 - here) ** 2).sum(dim=-1)


def rosenbrock_by_hand(point: Tensor) -> Tensor:
    total = torch.zeros_like(point[..., 0])
    for i in range(point.shape[-1] - 1):
        off_the_valley = point[..., i + 1] - point[..., i] * point[..., i]
        short_of_one = 1 - point[..., i]
        total = total + 100 * off_the_valley * off_the_valley + short_of_one * short_of_one
    return total


def beale(point: Tensor) -> Tensor:
    """Beale's function at points (..., 2); the minimum is 0, at (3, 1/2)."""
    _coordinates(point, exactly=2)
    x, y = point.unbind(dim=-1)
    targets = torch.tensor([1.5, 2.25, 2.625]).to(point)
    powers = torch.stack([y, y**2, y**3], dim=-1)
    return ((targets - x[..., None] * (1 - powers)) ** 2).sum(dim=-1)


def beale_by_hand(point: Tensor) -> Tensor:
    x, y = point[..., 0], point[..., 1]
    first, second, third = 1.5 - x + x * y, 2.25 - x + x * y * y, 2.625 - x + x * y * y * y
    return first * first + second * second + third * third


class Path(NamedTuple):
    """Where an optimizer went. After a step that is not finite the last good point is repeated."""

    points: Float[Tensor, "k n"]
    values: Float[Tensor, "k"]
    diverged: int | None  # the first step that was not finite


def trajectory(
    surface: Surface, start: Tensor, optimizer: Callable[[list[Tensor]], Optimizer], steps: int
) -> Path:
    """The path of any torch optimizer down ``surface`` from ``start`` (n,).

    ``optimizer`` makes one from a list of parameters: ``lambda p: torch.optim.Adam(p, lr=0.1)``. Each step
    gets a closure, so those that evaluate more than once (L-BFGS) work too.
    """
    return race(surface, start, {"alone": optimizer}, steps)["alone"]


def race(
    surface: Surface, start: Tensor, optimizers: Mapping[str, Callable[[list[Tensor]], Optimizer]], steps: int
) -> dict[str, Path]:
    """The path of every optimizer, by name, from the same ``start`` (n,).

    They walk abreast: where all of them stand goes through ``surface`` at once, with one backward pass for
    all slopes. A walker that asks again within its step (L-BFGS) is answered alone.
    """
    if not optimizers:
        raise ValueError("optimizers is empty; give at least one, by name")
    if start.ndim != 1 or not start.is_floating_point():
        raise ValueError(
            f"start has shape {tuple(start.shape)}, {start.dtype}; it must be one row of real numbers"
        )
    _settings(1.0, 0.0, steps)
    walkers = [_Walker(surface, start, make) for make in optimizers.values()]
    for step in range(steps):
        walking = [walker for walker in walkers if walker.diverged is None]
        if not walking:
            break
        places = torch.stack([walker.x.detach() for walker in walking]).requires_grad_()
        heights = surface(places)
        (slopes,) = torch.autograd.grad(heights.sum(), places)
        for walker, height, slope in zip(walking, heights.tolist(), slopes, strict=True):
            walker.step(height, slope)
        places = torch.stack([walker.x.detach() for walker in walking])
        good = places.isfinite().all(dim=-1) & surface(places).isfinite()
        for walker, place, fine in zip(walking, places, good.tolist(), strict=True):
            walker.arrive(place, None if fine else step + 1)
    return {name: walker.path(steps) for name, walker in zip(optimizers, walkers, strict=True)}


class _Walker:
    """One optimizer on its way."""

    def __init__(self, surface: Surface, start: Tensor, make: Callable[[list[Tensor]], Optimizer]) -> None:
        self.surface, self.x = surface, start.detach().clone().requires_grad_()
        self.engine, self.points, self.diverged = make([self.x]), [start.detach().clone()], None

    def step(self, height: float, slope: Tensor) -> None:
        """One step, with the height and the slope at the place where it begins."""
        known = [(height, slope)]

        def closure() -> float:
            if known:
                value, self.x.grad = known.pop()
                return value
            self.engine.zero_grad()
            value = self.surface(self.x)
            value.backward()
            return float(value.detach())

        self.engine.step(closure)

    def arrive(self, place: Tensor, diverged: int | None) -> None:
        self.diverged = diverged
        if diverged is None:
            self.points.append(place)

    def path(self, steps: int) -> Path:
        points = torch.stack(self.points + [self.points[-1]] * (steps + 1 - len(self.points)))
        return Path(points, self.surface(points), self.diverged)


def descend(
    surface: Surface, start: Tensor, learning_rate: float, momentum: float, steps: int
) -> Float[Tensor, "k n"]:
    """The points that gradient descent with momentum visits, by ``torch.optim.SGD``."""
    _settings(learning_rate, momentum, steps)
    return trajectory(surface, start, lambda p: torch.optim.SGD(p, learning_rate, momentum), steps).points


def descend_by_hand(
    surface: Surface, start: Tensor, learning_rate: float, momentum: float, steps: int
) -> Float[Tensor, "k n"]:
    x, velocity, path = start, torch.zeros_like(start), [start]
    for _ in range(steps):
        point = x.detach().requires_grad_()
        (slope,) = torch.autograd.grad(surface(point), point)
        velocity = momentum * velocity - learning_rate * slope
        x = x + velocity
        path.append(x)
    return torch.stack(path)


def _symmetric(name: str, matrix: Tensor) -> None:
    square = matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1] > 0
    if not square or not torch.allclose(matrix, matrix.T):
        raise ValueError(f"{name} has shape {tuple(matrix.shape)}; it must be square and equal its transpose")


def _settings(learning_rate: float, momentum: float, steps: int) -> None:
    if not 0 < learning_rate < math.inf:
        raise ValueError(f"learning_rate is {learning_rate}; it must be positive and finite")
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum is {momentum}; it must be in [0, 1)")
    if steps < 0:
        raise ValueError(f"steps is {steps}; it must be 0 or more")


def _coordinates(point: Tensor, *, at_least: int = 0, exactly: int | None = None) -> None:
    size = point.shape[-1] if point.ndim else 0
    if size < at_least or (exactly is not None and size != exactly) or not point.is_floating_point():
        wanted = f"{at_least} or more" if exactly is None else str(exactly)
        raise ValueError(
            f"point has shape {tuple(point.shape)}, {point.dtype}; its last axis holds {wanted} real numbers"
        )


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    a, m, x, points = (
        torch.randn(s, generator=dice, dtype=torch.float64) for s in ((3, 3), (3,), (3,), (4, 3))
    )
    bowl = a @ a.T
    yield Twin(
        "quadratic_descent", quadratic_descent, quadratic_descent_by_hand, (bowl, m, x, 0.1, 40), 1e-12, False
    )
    values = torch.tensor([-0.3, 0.01, 0.5, 1.0, 3.0], dtype=torch.float64)
    for momentum in (0.0, 0.5, 0.9):
        yield Twin(
            f"convergence_rate {momentum}",
            convergence_rate,
            convergence_rate_by_hand,
            (values, 0.3, momentum),
            1e-7,
            False,
        )
    yield Twin("rosenbrock", rosenbrock, rosenbrock_by_hand, (points,))
    yield Twin("beale", beale, beale_by_hand, (points[:, :2].clone(),))
    gap, gap_by_hand = partial(convexity_gap, rosenbrock), partial(convexity_gap_by_hand, rosenbrock)
    yield Twin("convexity_gap", gap, gap_by_hand, (points, points.flip(0).clone(), 0.3))
    ours, by_hand = partial(descend, rosenbrock), partial(descend_by_hand, rosenbrock)
    yield Twin("descend", ours, by_hand, (x, 1e-4, 0.9, 100), 1e-12, False)
