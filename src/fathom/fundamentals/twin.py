"""A twin: a primitive, the plain version that explains it, and inputs on which the two are compared."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Twin:
    """``ours`` and ``by_hand`` take ``inputs`` and return a tensor, an array, or a sequence of them."""

    name: str
    ours: Callable[..., Any]
    by_hand: Callable[..., Any]
    inputs: tuple[Any, ...]  # tensors in float64 where they are differentiated
    tolerance: float = 1e-12  # largest difference allowed, relative to values above 1
    gradients: bool = True  # compare gradients too, and check them against finite differences
