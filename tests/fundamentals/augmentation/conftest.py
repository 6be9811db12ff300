"""Pictures with much and with little contrast, torchvision's ladders, and draws that are given to it."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from fathom.fundamentals.augmentation.picture_operations import Space, ladder


@pytest.fixture
def pictures() -> Callable[..., Tensor]:
    """``pictures(count, size)``: uint8 pictures, every third of which is dark and flat."""

    def drawn(count: int, size: tuple[int, int] = (32, 32)) -> Tensor:
        made = torch.randint(256, (count, 3, *size), dtype=torch.uint8)
        made[1::3] = made[1::3] // 3 + 40
        return made

    return drawn


@pytest.fixture
def same_ladders() -> Callable[[Space, Any], None]:
    """A check that a space has torchvision's operations, with its strengths at each step and size."""

    def check(space: Space, policy: Any) -> None:
        assert set(space) == set(policy._AUGMENTATION_SPACE)
        for operation, (magnitudes, signed) in policy._AUGMENTATION_SPACE.items():
            ends = space[operation]
            assert signed == bool(ends and ends[3])
            for steps, size in ((31, (32, 32)), (10, (224, 160)), (2, (7, 9))):
                expected = magnitudes(steps, *size)
                found = ladder(space, operation, steps, size)
                assert torch.equal(found, torch.zeros(steps) if expected is None else expected.float()), (
                    operation
                )

    return check


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[int], list[float]], None]:
    """``drawn(whole, uniform)``: torch's random functions give these numbers: what a transform would draw."""

    def give(whole: list[int], uniform: list[float]) -> None:
        left, shares = iter(whole), iter(uniform)

        def randint(*args: Any, **kwargs: Any) -> Tensor:
            return torch.tensor([next(left)]) if "size" in kwargs else torch.tensor(next(left))

        monkeypatch.setattr(torch, "randint", randint)
        monkeypatch.setattr(torch, "rand", lambda *args: torch.tensor(next(shares)))

    return give
