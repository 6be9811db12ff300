"""GLU, SwiGLU and GEGLU against torch, timm and LLaMA's formula."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fathom.fundamentals.activations.gated import (
    GEGLU,
    GLU,
    GatedLinear,
    SwiGLU,
    geglu,
    geglu_by_hand,
    glu,
    glu_by_hand,
    swiglu,
    swiglu_by_hand,
)

GATES = {
    "glu": (glu, glu_by_hand, torch.sigmoid, GLU),
    "swiglu": (swiglu, swiglu_by_hand, F.silu, SwiGLU),
    "geglu": (geglu, geglu_by_hand, F.gelu, GEGLU),
}


@pytest.mark.parametrize("name", list(GATES))
def test_values_and_gradients_are_torchs(name: str, contract: Callable[..., None]) -> None:
    ours, by_hand, gate, _ = GATES[name]
    # Values of 1.5 beside gates of +-1e4: the product of two such gates is past the end of half precision.
    contract(
        lambda x: ours(torch.stack([torch.full_like(x, 1.5), x], dim=-1)).squeeze(-1),
        lambda x: by_hand(torch.stack([torch.full_like(x, 1.5), x], dim=-1)).squeeze(-1),
        lambda x: 1.5 * gate(x),
    )
    x = torch.randn(5, 8, dtype=torch.float64, requires_grad=True)
    value, opening = x.chunk(2, -1)
    true = torch.autograd.grad((value * gate(opening) ** 2).sum(), x)
    for function in (ours, by_hand):
        y = function(x)
        found = torch.autograd.grad((y * gate(opening)).sum(), x)
        assert torch.allclose(y, value * gate(opening), rtol=0, atol=1e-12)
        assert torch.allclose(found[0], true[0], rtol=0, atol=1e-12)


def test_halves_are_taken_as_torch_takes_them() -> None:
    x = torch.randn(4, 6, 8, dtype=torch.float64)
    for dim in (-1, 0, 1, 2):
        assert torch.equal(glu(x, dim), F.glu(x, dim))
        value, gate = x.chunk(2, dim)
        assert torch.equal(swiglu(x, dim), value * F.silu(gate))
        assert torch.equal(geglu(x, dim), value * F.gelu(gate))
    assert torch.allclose(glu_by_hand(x), F.glu(x), rtol=0, atol=1e-15)
    for function in (glu, swiglu, geglu):
        assert function(torch.zeros(0, 4)).shape == (0, 2) and function(torch.zeros(3, 0)).shape == (3, 0)


def test_products_of_ten_thousand_are_finite_where_they_can_be() -> None:
    for name, (ours, by_hand, _, _) in GATES.items():
        for function in (ours, by_hand):
            x = torch.tensor([[1e4, 1e4], [-1e4, -1e4], [1e4, -1e4]], requires_grad=True)
            y = function(x)
            (gradient,) = torch.autograd.grad(y.sum(), x)
            assert bool(y.isfinite().all()) and bool(gradient.isfinite().all())
            assert y.flatten().tolist() == ([1e4, 0, 0] if name == "glu" else [1e8, 0, 0])


@pytest.mark.parametrize("name", list(GATES))
def test_layers_are_two_matrices_and_a_product(name: str) -> None:
    _, _, gate, kind = GATES[name]
    layer = kind(5, 3).double()
    value, opening = nn.Linear(5, 3).double(), nn.Linear(5, 3).double()
    layer.load_state_dict({
        "project.weight": torch.cat([value.weight, opening.weight]).detach(),
        "project.bias": torch.cat([value.bias, opening.bias]).detach(),
    })  # fmt: skip
    x = torch.randn(2, 7, 5, dtype=torch.float64)
    assert torch.allclose(layer(x), value(x) * gate(opening(x)), rtol=0, atol=1e-12)
    assert sum(p.numel() for p in kind(5, 3, bias=False).parameters()) == 2 * 5 * 3
    assert layer(torch.zeros(0, 5, dtype=torch.float64)).shape == (0, 3)


def test_feed_forward_of_llama() -> None:
    """w2(silu(w1 x) * w3 x), the names of LLaMA's first release."""
    w1, w2, w3 = (torch.randn(shape, dtype=torch.float64) for shape in ((6, 4), (4, 6), (6, 4)))
    gated = SwiGLU(4, 6, bias=False).double()
    gated.load_state_dict({"project.weight": torch.cat([w3, w1])})
    x = torch.randn(2, 3, 4, dtype=torch.float64)
    assert torch.allclose(gated(x) @ w2.T, (F.silu(x @ w1.T) * (x @ w3.T)) @ w2.T, rtol=0, atol=1e-12)


def test_half_precision_of_layers() -> None:
    layer = SwiGLU(4, 3)
    x = torch.randn(2, 4)
    for dtype, tolerance in ((torch.float16, 5e-3), (torch.bfloat16, 4e-2)):
        y = SwiGLU(4, 3)
        y.load_state_dict(layer.state_dict())
        half = y.to(dtype)(x.to(dtype))
        assert half.dtype == dtype and torch.allclose(half.float(), layer(x), atol=tolerance)


def test_bad_input_is_refused(refuses_integers: Callable[..., None]) -> None:
    refuses_integers(glu, swiglu, geglu, GLU(4, 2))
    for function in (glu, swiglu, geglu):
        with pytest.raises(ValueError, match=r"x has shape \(2, 3\); its length along dim -1 must be even"):
            function(torch.zeros(2, 3))
        for x, dim in ((torch.zeros(2, 4), 2), (torch.zeros(2, 4), -3), (torch.tensor(1.0), -1)):
            with pytest.raises(ValueError, match=f"dim is {dim}; x of shape"):
                function(x, dim)
    for kind in (GLU, SwiGLU, GEGLU):
        with pytest.raises(ValueError, match="inputs is 0; it must be 1 or more"):
            kind(0, 3)
        with pytest.raises(ValueError, match="outputs is -1"):
            kind(3, -1)
        with pytest.raises(ValueError, match="its last axis must have length 3"):
            kind(3, 2)(torch.zeros(2, 4))
        assert issubclass(kind, GatedLinear)


@pytest.mark.slow
def test_layers_of_timm_weight_for_weight() -> None:
    from timm.layers import GluMlp
    from timm.layers import SwiGLU as OfTimm

    x = torch.randn(2, 5, 4, dtype=torch.float64)
    theirs = OfTimm(4, 6).double()
    ours = SwiGLU(4, 6).double()
    ours.load_state_dict({
        "project.weight": torch.cat([theirs.fc1_x.weight, theirs.fc1_g.weight]).detach(),
        "project.bias": torch.cat([theirs.fc1_x.bias, theirs.fc1_g.bias]).detach(),
    })  # fmt: skip
    assert torch.allclose(theirs.fc2(ours(x)), theirs(x), rtol=0, atol=1e-12)
    for act, kind in ((nn.Sigmoid, GLU), (nn.SiLU, SwiGLU), (nn.GELU, GEGLU)):
        block = GluMlp(4, 12, act_layer=act).double()
        layer = kind(4, 6).double()
        layer.project.load_state_dict(block.fc1.state_dict())
        assert torch.allclose(block.fc2(layer(x)), block(x), rtol=0, atol=1e-12)
