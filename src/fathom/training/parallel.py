"""One process or many: what a learner has to know about its fellows.

Started by ``torchrun``, a run reads its rank from the environment, joins the group (gloo on CPU, NCCL on
NVIDIA) and takes its slice of every global batch. The global order of samples does not depend on the
number of processes.
"""

import ctypes
import datetime
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from fathom.errors import InputError

PATIENCE = datetime.timedelta(seconds=int(os.environ.get("FATHOM_GROUP_TIMEOUT", "600")))


@dataclass(frozen=True)
class Parallel:
    """The place of one process among ``world`` that hold the same model."""

    rank: int = 0
    world: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def leads(self) -> bool:
        """Whether this process writes logs, checkpoints and results."""
        return self.rank == 0

    def sum(self, value: Tensor) -> Tensor:
        if self.world == 1:
            return value
        value = value.to(self.device, copy=True)
        dist.all_reduce(value)
        return value

    def mean(self, value: Any) -> Any:
        return value if self.world == 1 else self.sum(torch.as_tensor(value)) / self.world

    def agree(self, value: bool) -> bool:
        """Whether any process says yes: a signal may reach only one of them."""
        return bool(self.sum(torch.tensor(int(value), device=self.device))) if self.world > 1 else value

    def lead(self, value: float | int) -> float:
        """The leader's ``value``, for all: what ends a run must be the same number everywhere."""
        if self.world == 1:
            return float(value)
        return float(self.sum(torch.tensor(value if self.leads else 0.0, dtype=torch.float64)))

    def wait(self) -> None:
        if self.world > 1:
            dist.barrier()

    @contextmanager
    def later(self, network: nn.Module, *, last: bool) -> Iterator[None]:
        """Exchange gradients only with the last micro-batch of a step."""
        if last or not isinstance(network, DistributedDataParallel):
            yield
        else:
            with network.no_sync():
                yield


def join(device: str = "auto") -> Parallel:
    """The place of this process: alone, or what ``torchrun`` says."""
    world, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    chosen = choose_device(device, int(os.environ.get("LOCAL_RANK", "0")))
    if chosen.type == "cuda":  # NCCL and the generator of a step use the current device
        torch.cuda.set_device(chosen)
    if world > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo", timeout=PATIENCE)
    return Parallel(rank, world, chosen)


def leave() -> None:
    """Leave the group. Its memory is given back when the process ends, and not before.

    Whoever lets go of a group last waits for its threads. With torch 2.13 that may be DDP, which holds the
    interpreter's lock meanwhile; and if one of those threads waits for the lock, the process hangs.
    """
    if dist.is_initialized():
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(dist.group.WORLD))
        dist.destroy_process_group()


def choose_device(name: str, local_rank: int = 0) -> torch.device:
    """``auto`` takes an accelerator where there is one; an absent one is refused."""
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if name == "auto":
        name = accelerator.type if accelerator else "cpu"
    if name != "cpu" and (accelerator is None or accelerator.type != name.split(":")[0]):
        have = f"cpu, {accelerator.type}" if accelerator else "cpu"
        raise InputError(f"--device {name}: this machine has {have}; use --device auto to take the best")
    return torch.device(name, local_rank) if name == "cuda" else torch.device(name)
