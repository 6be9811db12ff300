"""Adversarial losses against plain arithmetic and torch; the gradient penalty by double backward."""

import math
from statistics import fmean

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fathom.fundamentals.losses.adversarial import (
    gradient_penalty,
    hinge_discriminator_loss,
    hinge_generator_loss,
    least_squares_discriminator_loss,
    least_squares_generator_loss,
    minimax_discriminator_loss,
    minimax_generator_loss,
    non_saturating_generator_loss,
    wasserstein_critic_loss,
    wasserstein_generator_loss,
)

JUDGES = (
    minimax_discriminator_loss,
    least_squares_discriminator_loss,
    hinge_discriminator_loss,
    wasserstein_critic_loss,
)
FORGERS = (
    minimax_generator_loss,
    non_saturating_generator_loss,
    least_squares_generator_loss,
    hinge_generator_loss,
    wasserstein_generator_loss,
)


def test_values_by_plain_arithmetic() -> None:
    dice = torch.Generator().manual_seed(0)
    for shape in ((6,), (4, 1), (2, 1, 3, 3)):
        real, fake = 2 * torch.randn(2, *shape, dtype=torch.float64, generator=dice)
        r, f = real.flatten().tolist(), fake.flatten().tolist()
        odds = [1 / (1 + math.exp(-z)) for z in f]
        expected = {
            minimax_discriminator_loss: fmean(math.log(1 + math.exp(-z)) for z in r)
            - fmean(math.log(1 - d) for d in odds),
            least_squares_discriminator_loss: fmean((z - 1) ** 2 for z in r) / 2
            + fmean(z * z for z in f) / 2,
            hinge_discriminator_loss: fmean(max(0, 1 - z) for z in r) + fmean(max(0, 1 + z) for z in f),
            wasserstein_critic_loss: fmean(f) - fmean(r),
        }
        for loss, value in expected.items():
            assert loss(real, fake).item() == pytest.approx(value, rel=1e-12)
        expected = {
            minimax_generator_loss: fmean(math.log(1 - d) for d in odds),
            non_saturating_generator_loss: -fmean(math.log(d) for d in odds),
            least_squares_generator_loss: fmean((z - 1) ** 2 for z in f) / 2,
            hinge_generator_loss: -fmean(f),
            wasserstein_generator_loss: -fmean(f),
        }
        for loss, value in expected.items():
            assert loss(fake).item() == pytest.approx(value, rel=1e-12)


def test_minimax_is_binary_cross_entropy_with_its_gradient() -> None:
    real = torch.randn(5, dtype=torch.float64, requires_grad=True)
    fake = torch.randn(7, dtype=torch.float64, requires_grad=True)
    bce = F.binary_cross_entropy_with_logits
    for ours, theirs in (
        (
            minimax_discriminator_loss(real, fake),
            bce(real, torch.ones_like(real)) + bce(fake, torch.zeros_like(fake)),
        ),
        (non_saturating_generator_loss(fake), bce(fake, torch.ones_like(fake))),
        (minimax_generator_loss(fake), -bce(fake, torch.zeros_like(fake))),
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
        a, b = (torch.autograd.grad(x, (real, fake), allow_unused=True) for x in (ours, theirs))
        torch.testing.assert_close(a[1], b[1], rtol=1e-12, atol=1e-12)


def test_a_lost_forger_learns_only_where_the_loss_does_not_saturate() -> None:
    fake = torch.full((1,), -20.0, requires_grad=True)
    slopes = [torch.autograd.grad(loss(fake), fake)[0].abs().item() for loss in FORGERS[:2]]
    assert slopes[0] < 1e-8 and slopes[1] == pytest.approx(1)


class Critic(nn.Module):
    """A smooth critic of small pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 2, 2), nn.Tanh(), nn.Flatten(), nn.Linear(8, 1)).double()

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


def test_penalty_of_a_linear_critic_is_known() -> None:
    """Its slope is the length of its weight everywhere."""
    weight = torch.tensor([3.0, 4.0], dtype=torch.float64, requires_grad=True)
    real, fake = torch.randn(2, 5, 2, dtype=torch.float64)
    loss = gradient_penalty(lambda x: x @ weight, real, fake)
    assert loss.item() == pytest.approx(10 * (5 - 1) ** 2)
    (slope,) = torch.autograd.grad(loss, weight)
    torch.testing.assert_close(slope, 10 * 2 * (5 - 1) * weight.detach() / 5)
    assert gradient_penalty(lambda x: x @ weight, real, fake, coefficient=1.0).item() == pytest.approx(16)


def test_penalty_of_a_quadratic_critic_is_known() -> None:
    """D(x) = a |x|^2 / 2 has slope a |x|, which shows that it is taken between the samples."""
    a = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    real = torch.tensor([[3.0, 0.0]], dtype=torch.float64)
    fake = torch.tensor([[0.0, 4.0]], dtype=torch.float64)
    for u in (0.0, 0.25, 1.0):
        length = math.hypot(3 * u, 4 * (1 - u))
        mix = torch.tensor([u], dtype=torch.float64)
        loss = gradient_penalty(lambda x: a * (x**2).sum(1) / 2, real, fake, mix=mix)
        assert loss.item() == pytest.approx(10 * (2 * length - 1) ** 2)
        assert torch.autograd.grad(loss, a)[0].item() == pytest.approx(20 * (2 * length - 1) * length)


def test_penalty_passes_double_backward_in_float64() -> None:
    critic = Critic()
    mix = torch.tensor([0.1, 0.5, 0.8], dtype=torch.float64)
    real, fake = torch.randn(2, 3, 1, 3, 3, dtype=torch.float64)
    names, weights = zip(*critic.named_parameters(), strict=True)

    def penalty(*tensors: Tensor) -> Tensor:
        own = dict(zip(names, tensors[2:], strict=True))
        return gradient_penalty(
            lambda x: torch.func.functional_call(critic, own, (x,)), tensors[0], tensors[1], mix=mix
        )

    inputs = [x.detach().clone().requires_grad_() for x in (real, fake, *weights)]
    assert torch.autograd.gradcheck(penalty, inputs)
    assert torch.autograd.gradgradcheck(penalty, inputs, atol=1e-4)


def test_penalty_leaves_the_inputs_alone_and_reaches_the_critic() -> None:
    critic = Critic()
    real, fake = torch.randn(2, 3, 1, 3, 3, dtype=torch.float64)
    with torch.no_grad():  # the slope is needed all the same
        assert gradient_penalty(critic, real, fake).isfinite()
    torch.manual_seed(1)
    first = gradient_penalty(critic, real, fake)
    torch.manual_seed(1)
    assert gradient_penalty(critic, real, fake) == first
    assert not real.requires_grad and not fake.requires_grad and fake.grad is None
    first.backward()
    grads = {name: p.grad for name, p in critic.named_parameters()}
    assert all(g is not None and g.any() for name, g in grads.items() if name.endswith("weight"))


def test_extremes() -> None:
    far = torch.tensor([1e4, -1e4], requires_grad=True)
    for loss in JUDGES:
        value = loss(far, far)
        assert value.isfinite() and torch.autograd.grad(value, far)[0].isfinite().all()
        assert loss(torch.zeros(0), torch.zeros(0)) == 0
    for loss in FORGERS:
        value = loss(far)
        assert value.isfinite() and torch.autograd.grad(value, far)[0].isfinite().all()
        assert loss(torch.zeros(0)) == 0
    assert minimax_discriminator_loss(-far, far).item() == pytest.approx(1e4)
    flat = torch.zeros(3, requires_grad=True)
    x = torch.randn(2, 3)
    loss = gradient_penalty(lambda x: x @ flat, x, -x)
    assert loss == 10 and torch.autograd.grad(loss, flat)[0].tolist() == [0, 0, 0]
    assert gradient_penalty(lambda x: x.sum(1), torch.zeros(0, 3), torch.zeros(0, 3)) == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype) -> None:
    real, fake = torch.randn(2, 5).to(dtype)
    for loss in JUDGES:
        assert loss(real, fake).dtype == torch.float32
        torch.testing.assert_close(loss(real, fake), loss(real.float(), fake.float()))
    for loss in FORGERS:
        torch.testing.assert_close(loss(fake), loss(fake.float()))
    weight = torch.tensor([3.0, 4.0], dtype=dtype)
    x = torch.randn(4, 2).to(dtype)
    assert gradient_penalty(lambda x: x @ weight, x, -x).item() == pytest.approx(160)


def test_bad_input_is_refused() -> None:
    scores, x = torch.zeros(3), torch.zeros(3, 2)
    for loss in JUDGES:
        with pytest.raises(ValueError, match=r"real.dtype is torch.int64; it must be floating"):
            loss(scores.long(), scores)
    for loss in FORGERS:
        with pytest.raises(ValueError, match=r"fake.dtype is torch.int64; it must be floating"):
            loss(scores.long())

    def total(x: Tensor) -> Tensor:
        return x.sum(1)

    with pytest.raises(ValueError, match=r"fake.shape is \(2, 2\); it must be that of real, \(3, 2\)"):
        gradient_penalty(total, x, x[:2])
    with pytest.raises(ValueError, match=r"coefficient is -1.0; it must be 0 or more"):
        gradient_penalty(total, x, x, coefficient=-1.0)
    with pytest.raises(ValueError, match=r"mix.shape is \(2,\); it must be \(3,\)"):
        gradient_penalty(total, x, x, mix=torch.zeros(2))
    with pytest.raises(ValueError, match=r"mix holds \[2.0, 2.0, 2.0\]; a share is in \[0, 1\]"):
        gradient_penalty(total, x, x, mix=torch.full((3,), 2.0))
    for blind in (lambda x: torch.zeros(3), lambda x: torch.zeros(3, requires_grad=True)):
        with pytest.raises(ValueError, match="critic gives scores that do not depend on its input"):
            gradient_penalty(blind, x, x)
