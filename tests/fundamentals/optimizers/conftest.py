"""A course of tensors and gradients on which optimizers are run, compared, interrupted and tried hard."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim import Optimizer

from fathom.training.nested import flatten, unflatten

Make = Callable[[list[Tensor]], Optimizer]
Path = list[Tensor]


@dataclass
class Course:
    """Several tensors, and one that never has a gradient."""

    shapes: tuple[tuple[int, ...], ...] = ((3, 4), (5,), (2, 3, 2, 2))
    dtype: torch.dtype = torch.float64
    seed: int = 0

    def starts(self) -> list[Tensor]:
        dice = torch.Generator().manual_seed(self.seed)
        return [torch.randn(s, generator=dice, dtype=torch.float64).to(self.dtype) for s in self.shapes]

    def noise(self, steps: int) -> list[list[Tensor]]:
        """The gradients of each step: noise of a size for each tensor, around a slope."""
        return sized_noise(self.shapes, self.dtype, self.seed + 1, steps)

    def given(
        self, make: Make, steps: int = 1000, missing: Callable[[int, int], bool] | None = None
    ) -> list[Path]:
        """The paths of all tensors under gradients that do not depend on them.

        ``missing(step, tensor)`` says where a gradient is absent.
        """
        return self.run(make, self.noise(steps), lambda p, noise: noise, missing)

    def pulled(self, make: Make, steps: int = 300) -> list[Path]:
        """The paths of all tensors in a bowl whose bottom is 0.5, with noise."""
        return self.run(make, self.noise(steps), lambda p, noise: (p - 0.5) + 0.1 * noise, None)

    def run(
        self,
        make: Make,
        noise: list[list[Tensor]],
        gradient: Callable[[Tensor, Tensor], Tensor],
        missing: Callable[[int, int], bool] | None,
    ) -> list[Path]:
        parameters = [s.requires_grad_() for s in self.starts()]
        idle = torch.ones(2, 2, dtype=self.dtype, requires_grad=True)
        optimizer = make([*parameters, idle])
        paths: list[Path] = [[] for _ in parameters]
        for step, shaken in enumerate(noise):
            for i, p in enumerate(parameters):
                absent = missing is not None and missing(step, i)
                p.grad = None if absent else gradient(p.detach(), shaken[i]).clone()
            optimizer.step()
            for path, p in zip(paths, parameters, strict=True):
                path.append(p.detach().clone())
        assert torch.equal(idle.detach(), torch.ones(2, 2, dtype=self.dtype))
        return paths

    def by_hand(self, function: Callable[..., Path], steps: int = 1000, **settings: Any) -> list[Path]:
        noise = self.noise(steps)
        return [function(s, [n[i] for n in noise], **settings) for i, s in enumerate(self.starts())]

    # -- what every optimizer must stand ------------------------------------------------------------
    def resumes(self, make: Make, steps: int = 12, stop: int = 7) -> None:
        """State goes through tensors and JSON, and the path goes on to the last bit."""
        noise = self.noise(steps)

        def go(parameters: list[Tensor], optimizer: Optimizer, some: Iterable[list[Tensor]]) -> None:
            for shaken in some:
                for p, g in zip(parameters, shaken, strict=True):
                    p.grad = g.clone()
                optimizer.step()

        straight = [s.requires_grad_() for s in self.starts()]
        optimizer = make(straight)
        go(straight, optimizer, noise[:stop])
        tensors, facts = flatten(optimizer.state_dict())
        tensors = {name: t.clone() for name, t in tensors.items()}
        weights = [p.detach().clone() for p in straight]
        go(straight, optimizer, noise[stop:])

        resumed = [w.requires_grad_() for w in weights]
        optimizer = make(resumed)
        optimizer.load_state_dict(unflatten(tensors, json.loads(json.dumps(facts))))
        go(resumed, optimizer, noise[stop:])
        for a, b in zip(straight, resumed, strict=True):
            assert torch.equal(a, b)

    def endures(self, make: Make, shapes: tuple[tuple[int, ...], ...] = ((2, 3), (1,), (0,))) -> None:
        """Zeros, huge gradients, one element and none: finite, and nothing moves without a slope."""
        for slope in (0.0, 1e4, -1e4, 1e-30):
            parameters = [torch.ones(s, requires_grad=True) for s in shapes]
            optimizer = make(parameters)
            for _ in range(3):
                for p in parameters:
                    p.grad = torch.full_like(p, slope)
                optimizer.step()
            assert all(p.isfinite().all() for p in parameters), slope
            if slope == 0.0:
                assert all(torch.equal(p, torch.ones_like(p)) for p in parameters)

    def works_in_half(self, make: Make, tolerance: float = 0.05) -> None:
        """Five steps in float16 and bfloat16 end near those in float32, and in the same format."""
        gradients = [torch.tensor([[0.5, -1.0], [2.0, 0.25]]), torch.tensor([0.0, 3.0])]
        ends: dict[torch.dtype, list[Tensor]] = {}
        for kind in (torch.float32, torch.float16, torch.bfloat16):
            parameters = [torch.full_like(g, 0.5).to(kind).requires_grad_() for g in gradients]
            optimizer = make(parameters)
            for _ in range(5):
                for p, g in zip(parameters, gradients, strict=True):
                    p.grad = g.to(kind)
                optimizer.step()
            assert all(p.dtype == kind for p in parameters)
            ends[kind] = [p.detach().float() for p in parameters]
        for kind in (torch.float16, torch.bfloat16):
            for a, b in zip(ends[kind], ends[torch.float32], strict=True):
                torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)

    def returns_the_loss(self, make: Make) -> None:
        """``step`` evaluates a closure with gradients on, and returns what it returns."""
        parameter = torch.ones(3, requires_grad=True)
        optimizer = make([parameter])

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = parameter.square().sum()
            loss.backward()
            return loss

        assert optimizer.step(closure).item() == 3.0
        assert not torch.equal(parameter.detach(), torch.ones(3))


@cache
def sized_noise(
    shapes: tuple[tuple[int, ...], ...], dtype: torch.dtype, seed: int, steps: int
) -> list[list[Tensor]]:
    dice = torch.Generator().manual_seed(seed)
    columns = [
        (10.0 ** (i - 1) * (torch.randn(steps, *s, generator=dice, dtype=torch.float64) + 0.3))
        .to(dtype)
        .unbind()
        for i, s in enumerate(shapes)
    ]
    return [list(row) for row in zip(*columns, strict=True)]


def gap(ours: list[Path], theirs: list[Path]) -> float:
    """The largest difference of two sets of paths, relative to values above 1."""
    largest = 0.0
    for a, b in zip(ours, theirs, strict=True):
        a, b = torch.stack(a), torch.stack(b)
        assert a.shape == b.shape and a.dtype == b.dtype and b.isfinite().all()
        assert not torch.equal(b[0], b[-1])  # it moved
        largest = max(largest, float(((a - b).abs() / b.abs().clamp(min=1)).max()))
    return largest


@pytest.fixture
def course() -> Course:
    return Course()


@pytest.fixture
def apart() -> Callable[[list[Path], list[Path]], float]:
    return gap
