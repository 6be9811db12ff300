"""Randomness that is counted, not stored.

Every random number of a run is a pure function of what it is for: the order of an epoch of
(seed, epoch), the augmentation of a sample of (seed, epoch, index), dropout in a step of
(seed, step, rank). The position of the whole stream is then one integer, the step, so a run that
was killed goes on with exactly the numbers it would have drawn, whatever the number of loader
workers or processes.
"""

import hashlib
import json
from functools import cache
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

_GOLDEN = 0x9E3779B97F4A7C15  # 2**64 / golden ratio: the increment of SplitMix64


def key(*parts: int | str) -> int:
    """A stable 63-bit seed made of integers and strings."""
    text = json.dumps(parts).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") >> 1


def generator(*parts: int | str) -> torch.Generator:
    """A CPU generator that starts at ``key(*parts)``."""
    return torch.Generator().manual_seed(key(*parts))


def permutation(count: int, seed: int, epoch: int) -> Int[Tensor, "count"]:
    """The order in which the ``count`` samples of an epoch are visited."""
    return torch.randperm(count, generator=generator(seed, "order", epoch))


@cache
def _accelerated() -> bool:
    return torch.accelerator.is_available()


def seed_step(seed: int, step: int, rank: int = 0) -> None:
    """Set torch's default generators for one step, so that layers such as dropout may draw from them.

    ``torch.manual_seed`` would do the same at a hundred times the cost (it also visits every
    backend and NumPy); the CPU generator alone takes about a microsecond.
    """
    # ``key(seed, "step", step, rank)``, spelled out: the very text that JSON makes of these, in less time.
    text = f'[{seed}, "step", {step}, {rank}]'.encode()
    start = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") >> 1
    torch.default_generator.manual_seed(start)
    if _accelerated():
        torch.get_device_module().manual_seed(start)


def uniform(seed: int, epoch: int, index: Int[Tensor, "b"], draws: int) -> Float[Tensor, "b draws"]:
    """``draws`` numbers in [0, 1) for each sample, the same whichever batch or process holds it.

    SplitMix64 (Steele, Lea and Flood 2014) over the counter ``index * draws + draw``, started at
    ``key(seed, "sample", epoch)``. Two's-complement int64 arithmetic wraps as uint64 would.
    """
    counter = index.to(torch.int64)[:, None] * draws + torch.arange(draws, device=index.device)
    state = counter * _signed(_GOLDEN) + _signed(key(seed, "sample", epoch) * 2 + 1)
    state = (state ^ _shift(state, 30)) * _signed(0xBF58476D1CE4E5B9)
    state = (state ^ _shift(state, 27)) * _signed(0x94D049BB133111EB)
    state = state ^ _shift(state, 31)
    return _shift(state, 40).to(torch.float32) * 2.0**-24  # 24 bits: all that a float32 can hold


def _signed(value: int) -> int:
    value &= 2**64 - 1
    return value - 2**64 if value >= 2**63 else value


def _shift(state: Tensor, bits: int) -> Tensor:
    """Logical right shift: torch's ``>>`` copies the sign."""
    return (state >> bits) & (2 ** (64 - bits) - 1)


def scramble(salt: Any) -> None:
    """Move the global generators of torch, NumPy and Python to an arbitrary place.

    The contract calls this between steps: a system whose results then change drew from one of them.
    """
    import random

    import numpy as np

    start = key("scramble", str(salt))
    torch.manual_seed(start)
    np.random.seed(start % 2**32)
    random.seed(start)
