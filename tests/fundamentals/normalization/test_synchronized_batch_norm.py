"""Synchronised batch normalisation: one process against torch, two against one over the whole batch."""

import os
import socket
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from fathom.fundamentals.normalization.batch_norm import BatchNorm, SmallBatch
from fathom.fundamentals.normalization.synchronized_batch_norm import (
    SynchronizedBatchNorm,
    synchronized_batch_norm_by_hand,
)


def together(work: Callable[[int], None], world: int = 2) -> list[int]:
    """Run ``work(rank)`` in forked processes that form a gloo group; return their exit codes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    children: list[int] = []
    for rank in range(world):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # threads: the child needs none of them
            child = os.fork()
        if not child:
            code = 1
            try:
                dist.init_process_group("gloo", init_method=address, rank=rank, world_size=world)
                work(rank)
                dist.destroy_process_group()
                code = 0
            except BaseException:
                traceback.print_exc(file=sys.stderr)
            finally:
                os._exit(code)
        children.append(child)
    return [os.waitstatus_to_exitcode(os.waitpid(c, 0)[1]) for c in children]


def run(layer: nn.Module, parts: list[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """Output and gradients of the last of ``parts``, (x, gradient of y), and all that is remembered."""
    for x, g in parts:
        x = x.clone().requires_grad_()
        y = layer(x)
        y.backward(g)
    found = {n: t.detach().clone() for n, t in layer.state_dict().items()}
    slopes = {f"{n}.grad": p.grad.clone() for n, p in layer.named_parameters() if p.grad is not None}
    return found | slopes | {"y": y.detach().clone(), "x.grad": x.grad.clone()}


def examples() -> list[tuple[Tensor, Tensor]]:
    dice = torch.Generator().manual_seed(0)
    shape = (10, 3, 4)
    return [
        (
            torch.randn(shape, dtype=torch.float64, generator=dice) * 2 + 50,
            torch.randn(shape, dtype=torch.float64, generator=dice),
        )
        for _ in range(3)
    ]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("cut", [5, 3])
def test_two_processes_equal_one_over_the_whole_batch(cut: int, tmp_path: Path) -> None:
    """Outputs, running statistics and every gradient, with equal and with unequal shares of the batch."""
    alone = run(nn.BatchNorm1d(3).double(), examples())

    def work(rank: int) -> None:
        share = slice(0, cut) if rank == 0 else slice(cut, None)
        layer = SynchronizedBatchNorm(3).double()
        save_file(run(layer, [(x[share], g[share]) for x, g in examples()]), tmp_path / f"{rank}.safetensors")

    assert together(work) == [0, 0]
    first, second = (load_file(tmp_path / f"{r}.safetensors") for r in (0, 1))
    for name in ("y", "x.grad"):
        joined = torch.cat([first[name], second[name]])
        torch.testing.assert_close(joined, alone[name], rtol=0, atol=1e-12, msg=lambda m, n=name: f"{n}: {m}")
    for name in ("weight.grad", "bias.grad"):  # data-parallel training adds these up
        torch.testing.assert_close(first[name] + second[name], alone[name], rtol=0, atol=1e-11)
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        assert torch.equal(first[name], second[name])
        torch.testing.assert_close(first[name], alone[name], rtol=0, atol=1e-12)


def test_one_process_is_torchs_batch_normalisation() -> None:
    for momentum in (0.1, None):
        for affine in (True, False):
            ours = run(SynchronizedBatchNorm(3, momentum=momentum, affine=affine).double(), examples())
            theirs = run(nn.BatchNorm1d(3, momentum=momentum, affine=affine).double(), examples())
            assert ours.keys() == theirs.keys()
            for name, value in theirs.items():
                torch.testing.assert_close(
                    ours[name], value, rtol=0, atol=1e-11, msg=lambda m, n=name: f"{n}: {m}"
                )


def test_in_use_it_is_batch_normalisation_and_states_are_exchangeable() -> None:
    ours, theirs = SynchronizedBatchNorm(3), BatchNorm(3)
    ours(torch.randn(16, 3, 4))
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 3, 4)
    assert torch.equal(ours.eval()(x), theirs.eval()(x))


def test_extremes() -> None:
    """A mean of 1e4 with a deviation of 1: the sum of squares around 0 would leave no digits in float32."""
    x = torch.randn(64, 2) + 1e4
    y = SynchronizedBatchNorm(2)(x)
    torch.testing.assert_close(y.std(0, correction=0), torch.ones(2), rtol=1e-3, atol=0)
    assert torch.equal(SynchronizedBatchNorm(2)(torch.zeros(8, 2)), torch.zeros(8, 2))


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision(kind: torch.dtype) -> None:
    x = (torch.randn(16, 3) * 100).to(kind).requires_grad_()
    y = SynchronizedBatchNorm(3)(x)
    (expected,) = synchronized_batch_norm_by_hand([x.float()], torch.ones(3), torch.zeros(3))
    assert y.dtype == kind
    torch.testing.assert_close(y.float(), expected, rtol=0.02, atol=0.02)
    y.float().square().sum().backward()
    assert x.grad is not None and x.grad.dtype == kind and x.grad.isfinite().all()


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="one value per channel"):
        SynchronizedBatchNorm(3)(torch.randn(1, 3))
    with pytest.raises(ValueError, match="this layer has features=3"):
        SynchronizedBatchNorm(3)(torch.randn(8, 4))
    with pytest.raises(ValueError, match=r"momentum is 2\.0"):
        SynchronizedBatchNorm(3, momentum=2.0)
    with pytest.warns(SmallBatch):
        SynchronizedBatchNorm(3)(torch.randn(2, 3))
