"""What schedulers of torch and timm really set, one learning rate a step."""

from collections.abc import Callable
from typing import Any

import pytest
import torch


def follow(make: Callable[[Any], Any], steps: int, rate: float = 0.1, **settings: Any) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=rate, **settings)
    scheduler, rates = make(optimizer), []
    for _ in range(steps):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step()
    return rates


@pytest.fixture
def torch_rates() -> Callable[..., list[float]]:
    """``torch_rates(make, steps, rate)``: the rates of a torch scheduler that is stepped as it asks for."""
    return follow


@pytest.fixture
def transformers_rates() -> Callable[..., list[float]]:
    """``transformers_rates(name, steps, rate, **settings)``: those of ``transformers.optimization``."""

    def rates(name: str, steps: int, rate: float = 0.1, **settings: Any) -> list[float]:
        from transformers import optimization

        return follow(lambda o: getattr(optimization, name)(o, **settings), steps, rate)

    return rates


@pytest.fixture
def timm_rates() -> Callable[..., list[float]]:
    """The same of a timm scheduler, which is told the step."""

    def rates(make: Callable[[Any], Any], steps: int, rate: float = 0.1) -> list[float]:
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=rate)
        scheduler, found = make(optimizer), []
        for step in range(steps):
            scheduler.step(step)
            found.append(float(optimizer.param_groups[0]["lr"]))
        return found

    return rates
