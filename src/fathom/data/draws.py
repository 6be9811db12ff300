"""Uniform numbers as what a random change needs: whole ones, others in a range; and checks of settings."""

from torch import Tensor


def whole(numbers: Tensor, count: int | Tensor) -> Tensor:
    """Uniform numbers in [0, 1) as whole ones in [0, count)."""
    return (numbers * count).long()


def between(numbers: Tensor, low: float | int, high: float | int) -> Tensor:
    """Uniform numbers in [0, 1) as such in [low, high)."""
    return low + (high - low) * numbers


def within(name: str, value: float | int, low: float | int, high: float | int) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} is {value}; it must be in [{low:g}, {high:g}]")


def ends_within(
    name: str, ends: tuple[float | int, float | int], low: float | int, high: float | int
) -> None:
    if not low <= ends[0] <= ends[1] <= high:
        raise ValueError(f"{name} is {ends}; it must be (smallest, largest) within [{low:g}, {high:g}]")
