"""Spectral normalisation against torch's parametrisation, step by step, and against singular values."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from fathom.fundamentals.normalization.spectral_norm import SpectralNorm, spectral_norm

LAYERS = (
    (lambda: nn.Linear(6, 4), (3, 6)),
    (lambda: nn.Conv2d(3, 4, 2), (2, 3, 5, 5)),
    (lambda: nn.ConvTranspose2d(3, 4, 2), (2, 3, 5, 5)),
)


def test_weights_vectors_and_gradients_are_torchs_over_several_steps() -> None:
    for make, shape in LAYERS:
        for iterations in (1, 3):
            ours, theirs = make().double(), make().double()
            theirs.load_state_dict(ours.state_dict())
            spectral_norm(ours, iterations=iterations)
            parametrizations.spectral_norm(theirs, n_power_iterations=iterations)
            theirs.load_state_dict(ours.state_dict())  # the same names: vectors too
            steps = [torch.optim.SGD(layer.parameters(), lr=0.1) for layer in (ours, theirs)]
            for step in range(6):
                if step == 4:
                    ours.eval(), theirs.eval()
                x = torch.randn(*shape, dtype=torch.float64)
                one, two = ours(x), theirs(x)
                torch.testing.assert_close(one, two, rtol=0, atol=1e-12)
                one.square().sum().backward()
                two.square().sum().backward()
                for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
                    torch.testing.assert_close(p.grad, q.grad, rtol=0, atol=1e-11)
                for optimizer in steps:
                    optimizer.step()
                    optimizer.zero_grad()
            torch.testing.assert_close(ours.state_dict(), theirs.state_dict(), rtol=0, atol=1e-12)


def test_the_largest_singular_value_becomes_1() -> None:
    layer = spectral_norm(nn.Linear(8, 5), iterations=50)
    assert torch.linalg.matrix_norm(layer.weight, 2).item() == pytest.approx(1, abs=1e-4)
    layer.eval()
    assert torch.equal(layer.weight, layer.weight)  # no steps outside of training
    x = torch.randn(100, 8)
    stretched = (layer(x) - layer(torch.zeros_like(x))).norm(dim=1) / x.norm(dim=1)
    assert stretched.max() <= 1 + 1e-4


def test_two_passes_before_one_backward() -> None:
    """What a discriminator does with true and made pictures."""
    layer = spectral_norm(nn.Linear(4, 2))
    (layer(torch.randn(3, 4)).sum() - layer(torch.randn(3, 4)).sum()).backward()
    assert all(p.grad is not None for p in layer.parameters())


def test_extremes() -> None:
    vector = spectral_norm(nn.LayerNorm(5))  # a weight of one axis is divided by its length
    assert vector.weight.norm().item() == pytest.approx(1, abs=1e-6)
    one = spectral_norm(nn.Linear(1, 1))
    assert abs(one.weight.item()) == pytest.approx(1, abs=1e-6)
    large = nn.Linear(4, 4)
    with torch.no_grad():
        large.weight.mul_(1e4)
    assert torch.linalg.matrix_norm(spectral_norm(large, iterations=30).weight, 2).item() == pytest.approx(
        1, abs=0.01
    )


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision(kind: torch.dtype) -> None:
    layer = spectral_norm(nn.Linear(4, 3).to(kind), iterations=20)
    assert torch.linalg.matrix_norm(layer.weight.float(), 2).item() == pytest.approx(1, abs=0.05)


def test_bad_input_is_refused() -> None:
    for wrong, words in (
        (
            lambda: spectral_norm(nn.Linear(2, 2), "kernel"),
            "name is 'kernel'; the parameters of Linear are: weight, bias",
        ),
        (lambda: spectral_norm(nn.Linear(2, 2), iterations=0), "iterations is 0"),
        (lambda: spectral_norm(nn.Linear(2, 2), epsilon=0.0), "epsilon is 0.0"),
        (lambda: spectral_norm(nn.Linear(2, 2), axis=2), "axis is 2"),
        (lambda: SpectralNorm(torch.ones(2, 2, dtype=torch.int64)), "must be floating"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
