"""Number formats of a run: float32, bfloat16, or float16 with a loss scale."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.optim import Optimizer

Format = Literal["fp32", "bf16", "fp16"]
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, kw_only=True)
class Precision:
    """Weights stay float32; ``compute`` is the type of matrix products under autocast."""

    compute: Format = "fp32"
    tf32: bool = False  # NVIDIA's 19-bit products for float32 matrices: faster, 3 decimal digits

    def __post_init__(self) -> None:
        if self.compute not in TYPES:
            raise ValueError(f"compute is {self.compute!r}; it must be one of {', '.join(TYPES)}")


class Arithmetic:
    """A ``Precision`` at work on one device. float16 underflows without a scale, so it has one."""

    def __init__(self, precision: Precision, device: torch.device) -> None:
        self.precision, self.device = precision, device
        self.scaler: torch.amp.GradScaler | None = None
        if precision.compute == "fp16":
            self.scaler = torch.amp.GradScaler(device.type)
        if device.type == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = precision.tf32
            torch.backends.cudnn.allow_tf32 = precision.tf32

    def autocast(self) -> AbstractContextManager[object]:
        if self.precision.compute == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=TYPES[self.precision.compute])

    def backward(self, loss: Tensor) -> None:
        (loss if self.scaler is None else self.scaler.scale(loss)).backward()

    def unscale(self, optimizer: Optimizer) -> None:
        """Bring gradients back to their true size before they are measured or clipped."""
        if self.scaler is not None:
            self.scaler.unscale_(optimizer)

    def step(self, optimizer: Optimizer) -> None:
        """The optimizer's step; skipped, and the scale halved, where float16 overflowed."""
        if self.scaler is None:
            optimizer.step()
        else:
            self.scaler.step(optimizer)
            self.scaler.update()
