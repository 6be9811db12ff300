"""Muon against the SVD, its plain twin, torch's and timm's."""

from typing import Any

import pytest
import torch
from torch import Tensor

from fathom.fundamentals.optimizers.muon import Muon, muon_by_hand, orthogonalize, orthogonalize_by_hand

MATRICES = ((4, 6), (6, 3), (5, 5))


@pytest.mark.parametrize(
    "settings", [{"learning_rate": 0.01}, {"learning_rate": 0.01, "nesterov": False, "weight_decay": 0.1}]
)
def test_a_thousand_steps_equal_the_plain_twin(settings: dict[str, Any], course: Any, apart: Any) -> None:
    course.shapes = ((4, 6), (6, 3))
    ours = course.given(lambda p: Muon(p, **settings))
    assert apart(ours, course.by_hand(muon_by_hand, **settings)) <= 1e-12


@pytest.mark.parametrize(("scale", "decay"), [("original", 0.1), ("match_rms_adamw", 0.0)])
def test_a_thousand_steps_in_bfloat16_equal_those_of_torch(
    scale: Any, decay: float, course: Any, apart: Any
) -> None:
    """Torch multiplies in bfloat16 always; given that, every bit is the same."""
    course.shapes = MATRICES
    rounds: dict[str, Any] = {
        "learning_rate": 0.01,
        "weight_decay": decay,
        "scale": scale,
        "compute": "bfloat16",
    }

    def theirs(parameters: Any) -> torch.optim.Optimizer:
        return torch.optim.Muon(parameters, 0.01, weight_decay=decay, adjust_lr_fn=scale)

    assert apart(course.given(lambda p: Muon(p, **rounds)), course.given(theirs)) == 0
    assert apart(course.pulled(lambda p: Muon(p, **rounds), 100), course.pulled(theirs, 100)) == 0


@pytest.mark.slow
def test_a_thousand_steps_with_kernels_and_vectors_equal_those_of_timm(course: Any, apart: Any) -> None:
    from timm.optim import Muon as Theirs

    course.shapes = ((4, 6), (6, 4, 2, 2), (5,))
    settings: dict[str, Any] = {"nesterov": False, "weight_decay": 0.1}

    def ours(parameters: Any) -> torch.optim.Optimizer:
        return Muon(parameters, 0.01, compute="bfloat16", fallback_learning_rate=0.01, **settings)

    def theirs(parameters: Any) -> torch.optim.Optimizer:
        return Theirs(
            parameters, lr=0.01, ns_coefficients="original", adjust_lr_fn="original", eps=1e-8, **settings
        )

    assert apart(course.given(ours), course.given(theirs)) <= 1e-12


@pytest.mark.parametrize("shape", [(3, 3), (8, 2), (2, 8), (1, 5), (5, 1)])
def test_singular_values_come_near_one(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, dtype=torch.float64)
    turned = orthogonalize(matrix)
    values = torch.linalg.svdvals(turned)
    assert values.min() > 0.6 and values.max() < 1.3
    torch.testing.assert_close(turned, orthogonalize_by_hand(matrix), rtol=0, atol=1e-12)
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    assert float((left.T @ turned @ right.T).diagonal().min()) > 0.6  # the singular vectors are kept


def test_matrices_turn_and_the_rest_is_moved_by_adamw() -> None:
    """By number of axes, or by what a group says."""
    matrix, kernel, vector, table = (
        torch.ones(s, requires_grad=True) for s in ((2, 3), (2, 3, 2, 2), (3,), (4, 2))
    )
    optimizer = Muon([{"params": [matrix, vector, kernel]}, {"params": [table], "rule": "adamw", "lr": 0.5}])
    held = [(g["rule"], [tuple(p.shape) for p in g["params"]], g["lr"]) for g in optimizer.param_groups]
    assert held == [
        ("muon", [(2, 3), (2, 3, 2, 2)], 0.02), ("adamw", [(3,)], 3e-4), ("adamw", [(4, 2)], 0.5)
    ]  # fmt: skip
    twin = torch.ones(3, requires_grad=True)
    adamw = torch.optim.AdamW([twin], 3e-4, betas=(0.9, 0.95), weight_decay=0.0, foreach=True)
    for _ in range(5):
        for p in (matrix, kernel, vector, table, twin):
            p.grad = torch.linspace(-1, 1, p.numel()).view_as(p)
        optimizer.step()
        adamw.step()
    assert torch.equal(vector, twin)


def test_hard_inputs_and_resuming(course: Any) -> None:
    course.endures(Muon)
    course.endures(lambda p: Muon(p, compute="bfloat16"))
    course.works_in_half(Muon)
    course.resumes(Muon)
    course.returns_the_loss(Muon)
    assert torch.equal(orthogonalize(torch.zeros(2, 3)), torch.zeros(2, 3))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"learning_rate": 0.0}, "learning_rate is 0.0; it must be positive"),
        ({"momentum": 1.0}, r"momentum is 1.0; it must be in \[0, 1\)"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1; it must be 0 or more"),
        ({"betas": (0.9, 1.0)}, "betas is 1.0"),
        ({"fallback_learning_rate": -1.0}, "learning_rate is -1.0"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Muon([torch.zeros(1)], **settings)


@pytest.mark.parametrize(
    ("group", "said"),
    [
        ({"params": [torch.zeros(3)], "rule": "muon"}, "one of fewer than two axes"),
        ({"params": [torch.zeros(0, 3)], "rule": "muon"}, "holds an empty tensor"),
        ({"params": [torch.zeros(3)], "rule": "sgd"}, "rule is 'sgd'; it must be 'muon' or 'adamw'"),
    ],
)
def test_groups_that_cannot_be_turned_are_refused(group: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Muon([group])


def test_no_steps_are_refused() -> None:
    matrix: Tensor = torch.ones(2, 2)
    with pytest.raises(ValueError, match="steps is 0; it must be 1 or more"):
        orthogonalize(matrix, steps=0)
