"""Adversarial losses: what a forger and a judge minimise against each other.

The judge (discriminator, critic) scores real and forged samples; the forger (generator) wants high scores.
Goodfellow et al. (2014) read the score as log odds of being real, and let both play one game. A judge that
wins leaves the forger without a gradient, so in practice the forger maximises log D instead of minimising
log(1 - D). Later losses change the judge. With r and f the scores of real and forged samples, D = sigmoid:

                     judge                                     forger
    minimax          -log D(r) - log(1 - D(f))                 log(1 - D(f))          Goodfellow 2014, eq. 1
    non-saturating   the same                                  -log D(f)              the same, section 3
    least squares    (r - 1)^2 / 2 + f^2 / 2                   (f - 1)^2 / 2          Mao 2017, eq. 9
    hinge            max(0, 1 - r) + max(0, 1 + f)             -f                     Lim and Ye 2017
    Wasserstein      f - r                                     -f                     Arjovsky 2017, eq. 2

all as means over the batch. The Wasserstein judge estimates a distance only if its slope is at most 1
everywhere. Gulrajani et al. (2017, equation 3) punish other slopes on the lines between real and forged
samples, x = u real + (1 - u) forged, u uniform in [0, 1]:

    penalty   10 mean (||grad_x D(x)|| - 1)^2

Its gradient is one of a gradient: the judge is differentiated twice.

Axes used below
    *s  any shape of scores      b  batch      *d  shape of a sample
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from fathom.card import Card
from fathom.fundamentals.losses.reduction import (
    at_least_float32,
    check_alike,
    check_floating,
    reduce_losses,
    require,
)

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Adversarial losses and the gradient penalty",
    paper="https://arxiv.org/abs/1704.00028",
    year=2017,
    summary="What generator and discriminator minimise: five games, and the penalty that tames the fifth.",
    rows=("LO11",),
    builds_on=("reduction",),
    differs=("The least-squares labels are 0 and 1, the second of the two choices in the paper.",),
    oracle="plain arithmetic for each loss; analytic slopes and gradgradcheck for the penalty",
)


def minimax_discriminator_loss(real: Tensor, fake: Tensor) -> Float[Tensor, ""]:
    """Cross-entropy of the judge: mean of -log D over ``real`` scores plus that of -log(1 - D) over ``fake``.

    Scores are logits of any shape; the two counts may differ, and the mean over no score is 0, as in every
    loss of this file. Raises ``ValueError`` for dtypes not floating, as they all do.
    """
    r, f = _scores(real=real, fake=fake)
    return reduce_losses(F.softplus(-r)) + reduce_losses(F.softplus(f))


def minimax_generator_loss(fake: Tensor) -> Float[Tensor, ""]:
    """The forger's side of the same game: mean of log(1 - D). It is flat where D is sure, at low scores."""
    (f,) = _scores(fake=fake)
    return reduce_losses(-F.softplus(f))


def non_saturating_generator_loss(fake: Tensor) -> Float[Tensor, ""]:
    """Mean of -log D over ``fake`` scores: the same fixed point, and steep where D is sure."""
    (f,) = _scores(fake=fake)
    return reduce_losses(F.softplus(-f))


def least_squares_discriminator_loss(real: Tensor, fake: Tensor) -> Float[Tensor, ""]:
    """Half the mean square of ``real`` - 1 plus half that of ``fake``."""
    r, f = _scores(real=real, fake=fake)
    return reduce_losses((r - 1) ** 2 / 2) + reduce_losses(f**2 / 2)


def least_squares_generator_loss(fake: Tensor) -> Float[Tensor, ""]:
    """Half the mean square of ``fake`` - 1."""
    (f,) = _scores(fake=fake)
    return reduce_losses((f - 1) ** 2 / 2)


def hinge_discriminator_loss(real: Tensor, fake: Tensor) -> Float[Tensor, ""]:
    """Scores beyond 1 and -1 cost nothing: mean of max(0, 1 - ``real``) plus mean of max(0, 1 + ``fake``)."""
    r, f = _scores(real=real, fake=fake)
    return reduce_losses((1 - r).relu()) + reduce_losses((1 + f).relu())


def hinge_generator_loss(fake: Tensor) -> Float[Tensor, ""]:
    """Minus the mean score of ``fake``."""
    (f,) = _scores(fake=fake)
    return reduce_losses(-f)


def wasserstein_critic_loss(real: Tensor, fake: Tensor) -> Float[Tensor, ""]:
    """Mean score of ``fake`` minus that of ``real``: minus the distance. Needs a ``gradient_penalty``."""
    r, f = _scores(real=real, fake=fake)
    return reduce_losses(f) - reduce_losses(r)


def wasserstein_generator_loss(fake: Tensor) -> Float[Tensor, ""]:
    """Minus the mean score of ``fake``, as the hinge's."""
    return hinge_generator_loss(fake)


def gradient_penalty(
    critic: Callable[[Tensor], Tensor],
    real: Tensor,
    fake: Tensor,
    *,
    coefficient: float = 10.0,
    mix: Tensor | None = None,
) -> Float[Tensor, ""]:
    """``coefficient`` times the mean of (slope - 1)^2 between ``real`` (b, *d) and ``fake`` (b, *d).

    ``mix`` (b,) in [0, 1] is each sample's share of real; None draws it from torch's generator.
    ``critic`` maps (b, *d) to scores, each of one sample alone: batch norm would mix them (section 4 of the
    paper). Detach ``fake`` to train the critic only. An empty batch gives 0. A slope of 0 has a gradient of
    zeros.

    Raises ``ValueError`` for shapes that differ, dtypes not floating, a ``mix`` outside [0, 1], a negative
    coefficient, and a critic whose scores do not depend on its input.
    """
    require(0 <= coefficient < float("inf"), "coefficient", coefficient, "0 or more, and finite")
    check_alike(real=real, fake=fake)
    require(real.ndim >= 1, "real.shape", tuple(real.shape), "(batch, ...)")
    if not len(real):
        return reduce_losses(real.flatten() + fake.flatten())
    u = torch.rand(len(real), device=real.device) if mix is None else mix
    require(u.shape == real.shape[:1], "mix.shape", tuple(u.shape), f"({len(real)},)")
    if mix is not None and not bool(((mix >= 0) & (mix <= 1)).all()):
        raise ValueError(f"mix holds {mix.tolist()}; a share is in [0, 1]")
    with torch.enable_grad():
        between = torch.lerp(fake, real, u.to(real.dtype).reshape(-1, *[1] * (real.ndim - 1)))
        between = between if between.requires_grad else between.requires_grad_()
        scores = critic(between)
        slope = None
        if scores.requires_grad:
            (slope,) = torch.autograd.grad(scores.sum(), between, create_graph=True, allow_unused=True)
        if slope is None:
            raise ValueError("critic gives scores that do not depend on its input; they must, for a slope")
        length = torch.linalg.vector_norm(at_least_float32(slope).flatten(1), dim=1)
        return reduce_losses(coefficient * (length - 1) ** 2)


def _scores(**scores: Tensor) -> tuple[Tensor, ...]:
    check_floating(**scores)
    return tuple(at_least_float32(score) for score in scores.values())


def minimax_discriminator_loss_by_hand(
    real: Float[Tensor, "*r"], fake: Float[Tensor, "*f"]
) -> Float[Tensor, ""]:
    return -_probability(real).log().mean() - (1 - _probability(fake)).log().mean()


def minimax_generator_loss_by_hand(fake: Float[Tensor, "*f"]) -> Float[Tensor, ""]:
    return (1 - _probability(fake)).log().mean()


def non_saturating_generator_loss_by_hand(fake: Float[Tensor, "*f"]) -> Float[Tensor, ""]:
    return -_probability(fake).log().mean()


def least_squares_discriminator_loss_by_hand(
    real: Float[Tensor, "*r"], fake: Float[Tensor, "*f"]
) -> Float[Tensor, ""]:
    return ((real - 1) * (real - 1)).mean() / 2 + (fake * fake).mean() / 2


def least_squares_generator_loss_by_hand(fake: Float[Tensor, "*f"]) -> Float[Tensor, ""]:
    return ((fake - 1) * (fake - 1)).mean() / 2


def hinge_discriminator_loss_by_hand(
    real: Float[Tensor, "*r"], fake: Float[Tensor, "*f"]
) -> Float[Tensor, ""]:
    return torch.where(real < 1, 1 - real, 0.0).mean() + torch.where(fake > -1, 1 + fake, 0.0).mean()


def hinge_generator_loss_by_hand(fake: Float[Tensor, "*f"]) -> Float[Tensor, ""]:
    return -fake.sum() / fake.numel()


def wasserstein_critic_loss_by_hand(
    real: Float[Tensor, "*r"], fake: Float[Tensor, "*f"]
) -> Float[Tensor, ""]:
    return fake.sum() / fake.numel() - real.sum() / real.numel()


def wasserstein_generator_loss_by_hand(fake: Float[Tensor, "*f"]) -> Float[Tensor, ""]:
    return -fake.sum() / fake.numel()


def gradient_penalty_by_hand(
    critic: Callable[[Tensor], Tensor],
    real: Float[Tensor, "b d"],
    fake: Float[Tensor, "b d"],
    *,
    mix: Float[Tensor, " b"],
    coefficient: float = 10.0,
) -> Float[Tensor, ""]:
    """The slope along each axis is measured, from the scores at four points beside x, not differentiated."""
    x, h = mix[:, None] * real + (1 - mix[:, None]) * fake, 1e-3
    slopes = []
    for axis in torch.eye(x.shape[1], dtype=x.dtype):
        near = critic(x + h * axis) - critic(x - h * axis)
        far = critic(x + 2 * h * axis) - critic(x - 2 * h * axis)
        slopes.append((8 * near - far).flatten() / (12 * h))  # the error is of order h^4
    length = sum(slope**2 for slope in slopes) ** 0.5
    return coefficient * ((length - 1) ** 2).mean()


def _probability(score: Tensor) -> Tensor:
    return 1 / (1 + (-score).exp())


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    real = 2 * torch.randn(5, dtype=torch.float64, generator=dice)
    fake = 2 * torch.randn(4, 1, dtype=torch.float64, generator=dice)
    for name, judge, by_hand in (
        ("minimax", minimax_discriminator_loss, minimax_discriminator_loss_by_hand),
        ("least squares", least_squares_discriminator_loss, least_squares_discriminator_loss_by_hand),
        ("hinge", hinge_discriminator_loss, hinge_discriminator_loss_by_hand),
        ("Wasserstein", wasserstein_critic_loss, wasserstein_critic_loss_by_hand),
    ):
        yield Twin(f"{name}, judge", judge, by_hand, (real, fake))
    for name, forger, by_hand in (
        ("minimax", minimax_generator_loss, minimax_generator_loss_by_hand),
        ("non-saturating", non_saturating_generator_loss, non_saturating_generator_loss_by_hand),
        ("least squares", least_squares_generator_loss, least_squares_generator_loss_by_hand),
        ("hinge", hinge_generator_loss, hinge_generator_loss_by_hand),
        ("Wasserstein", wasserstein_generator_loss, wasserstein_generator_loss_by_hand),
    ):
        yield Twin(f"{name}, forger", forger, by_hand, (fake,))

    shapes = ((3, 2), (3, 2), (4, 2), (4,))
    samples = tuple(torch.randn(shape, dtype=torch.float64, generator=dice) for shape in shapes)
    mix = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)

    def ours(real: Tensor, fake: Tensor, hidden: Tensor, out: Tensor) -> Tensor:
        return gradient_penalty(lambda x: (x @ hidden.T).tanh() @ out, real, fake, mix=mix)

    def measured(real: Tensor, fake: Tensor, hidden: Tensor, out: Tensor) -> Tensor:
        return gradient_penalty_by_hand(lambda x: (x @ hidden.T).tanh() @ out, real, fake, mix=mix)

    yield Twin("gradient penalty", ours, measured, samples, tolerance=1e-8)
