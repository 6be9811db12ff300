"""GELU, both forms, against torch, the formulas of BERT and GPT-2, and SciPy's normal distribution."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fathom.fundamentals.activations.gelu import GELU, gelu, gelu_by_hand

OWN = 6.0  # roundings: with AVX-512 torch's own is off by 4.5 near -3, where one plus erf cancels


def of_bert(x: Tensor) -> Tensor:
    """As in BERT's first release: half of x, times one plus the error function."""
    return x * 0.5 * (1.0 + torch.erf(x / 1.4142135623730951))


def of_gpt2(x: Tensor) -> Tensor:
    """As in GPT-2's first release, with the constant as the root of two over pi."""
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * torch.pow(x, 3))))


def test_values_and_gradients_are_torchs(contract: Callable[..., None]) -> None:
    contract(gelu, gelu_by_hand, F.gelu, own=OWN)
    contract(GELU("tanh"), lambda x: gelu_by_hand(x, "tanh"), lambda x: F.gelu(x, approximate="tanh"))


def test_values_and_gradients_are_those_of_bert_and_gpt2(contract: Callable[..., None]) -> None:
    contract(gelu, gelu_by_hand, of_bert, own=OWN)
    contract(lambda x: gelu(x, "tanh"), lambda x: gelu_by_hand(x, "tanh"), of_gpt2)


@pytest.mark.slow
def test_values_and_gradients_are_those_of_transformers(contract: Callable[..., None]) -> None:
    from transformers.activations import ACT2FN

    contract(gelu, gelu_by_hand, ACT2FN["gelu_python"], own=OWN)
    tanh = (lambda x: gelu(x, "tanh")), (lambda x: gelu_by_hand(x, "tanh"))
    for name in ("gelu_new", "gelu_pytorch_tanh"):
        contract(*tanh, ACT2FN[name])


def test_it_is_x_times_the_share_below_x() -> None:
    from scipy.special import ndtr  # the normal distribution function

    x = np.linspace(-6, 6, 121)
    assert np.allclose(gelu(torch.tensor(x)).numpy(), x * ndtr(x), rtol=0, atol=1e-15)


def test_the_two_forms_differ_a_little() -> None:
    x = torch.linspace(-6, 6, 12_001, dtype=torch.float64)
    gap = float((gelu(x) - gelu(x, "tanh")).abs().max())
    assert 4e-4 < gap < 5e-4
    assert float(gelu(x).min()) == pytest.approx(-0.17, abs=1e-3)
    assert "approximate='tanh'" in repr(GELU("tanh"))


def test_the_cube_does_not_overflow_in_half_precision() -> None:
    x = torch.tensor([-6e4, -50.0, 50.0, 6e4], dtype=torch.float16, requires_grad=True)
    assert bool(of_gpt2(x.detach())[:1].isfinite().all())  # its value is right ...
    (naive,) = torch.autograd.grad(of_gpt2(x).sum(), x)
    assert bool(naive.isnan().any())  # ... and its slope is not
    y = gelu_by_hand(x, "tanh")
    (slope,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(y, torch.relu(x)) and slope.tolist() == [0, 0, 1, 1]


def test_bad_input_is_refused(refuses_integers: Callable[..., None]) -> None:
    refuses_integers(gelu)
    for form in ("exact", "", "sigmoid"):
        with pytest.raises(ValueError, match=f"approximate is '{form}'; it must be 'none'"):
            gelu(torch.zeros(2), form)
        with pytest.raises(ValueError, match="approximate is"):
            GELU(form)
