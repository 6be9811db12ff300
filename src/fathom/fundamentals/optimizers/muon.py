"""Muon: the momentum of a matrix, with all its singular values set to one.

    m <- u m + (1 - u) g,   n = (1 - u) g + u m      momentum, and Nesterov's look ahead
    O ~ U V^T,  where n = U S V^T                    by five steps of X <- a X + b (X X^T) X + c (X X^T)^2 X
    w <- w - r c w - r sqrt(max(1, rows / columns)) O

The gradient of a layer is dominated by a few directions; Adam, which sees numbers and no matrix, keeps it
so. Setting the singular values to one moves along all directions alike: it is the steepest step when a
step's size is measured by how much it can change what the layer puts out. An SVD is slow; an odd polynomial
in X applies itself to every singular value, and one with a = 3.4445 drives values between 0.01 and 1 to
between 0.7 and 1.2 in five steps, with matrix products alone. Kernels of convolutions count as matrices of
output x rest. Vectors have no singular values, and rows of embeddings are looked up, not multiplied: AdamW
moves those.

Source: Jordan et al. (2024), https://kellerjordan.github.io/posts/muon/; scale "match_rms_adamw",
0.2 sqrt(max(rows, columns)), which lets AdamW's learning rate be kept: Liu et al. (2025), section 2.2.

Legend: w matrix, g gradient, m momentum, u its decay, r learning rate, c weight decay
"""

# torch names its multi-tensor functions with an underscore.
# pyright: reportPrivateImportUsage=false

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.adamw import adamw

from fathom.card import Card
from fathom.fundamentals.optimizers.adam import check
from fathom.fundamentals.optimizers.sgd import (
    buffers,
    evaluated,
    positive,
    twins_of,
    unit,
    with_gradients,
)

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Muon",
    paper="https://arxiv.org/abs/2502.16982",
    year=2024,
    summary="Moves a weight matrix along its momentum after making all its singular values about equal.",
    rows=("OP09",),
    builds_on=("sgd", "adam"),
    differs=("Products are in bfloat16 on accelerators only; on a processor they are in the weights' type.",),
    oracle="torch.optim.Muon and timm.optim.Muon bit for bit in bfloat16; the SVD in float64",
)

Coefficients = tuple[float, float, float]
QUINTIC: Coefficients = (3.4445, -4.7750, 2.0315)
SCALES = ("original", "match_rms_adamw")


class Muon(Optimizer):
    """Muon for every tensor of two or more axes, AdamW for the rest.

    A group may say ``"rule": "muon"`` or ``"adamw"`` itself (embeddings and the last layer belong to AdamW);
    otherwise its tensors are parted by their number of axes. ``learning_rate``, ``weight_decay`` (0 or more,
    decoupled), ``momentum`` in [0, 1), ``nesterov``, ``scale`` and ``compute`` (the number format of the
    products, "bfloat16" or "float32"; None: bfloat16 on accelerators) are Muon's; ``fallback_learning_rate``
    and ``betas`` AdamW's. ValueError for what is out of range.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor] | Iterable[dict[str, Any]],
        learning_rate: float = 0.02,
        momentum: float = 0.95,
        nesterov: bool = True,
        weight_decay: float = 0.0,
        scale: Literal["original", "match_rms_adamw"] = "original",
        compute: Literal["bfloat16", "float32"] | None = None,
        fallback_learning_rate: float = 3e-4,
        betas: tuple[float, float] = (0.9, 0.95),
    ) -> None:
        positive(learning_rate, "learning_rate")
        unit(momentum, "momentum")
        check(fallback_learning_rate, betas, 1e-8, weight_decay)
        if scale not in SCALES:
            raise ValueError(f"scale is {scale!r}; it must be one of {', '.join(SCALES)}")
        if compute not in ("bfloat16", "float32", None):
            raise ValueError(f"compute is {compute!r}; it must be 'bfloat16', 'float32' or None")
        settings = {
            "lr": learning_rate, "momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay,
            "scale": scale, "compute": compute, "betas": betas,
        }  # fmt: skip
        super().__init__(list(part(parameters, fallback_learning_rate)), settings)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """One update of every parameter that has a gradient; the loss of ``closure``, where given."""
        loss = evaluated(closure)
        for group in self.param_groups:
            parameters, gradients = with_gradients(group)
            if parameters and group["rule"] == "muon":
                self.turn(group, parameters, gradients)
            elif parameters:
                self.fall_back(group, parameters, gradients)
        return loss

    def turn(self, group: dict[str, Any], parameters: list[Tensor], gradients: list[Tensor]) -> None:
        """Muon's update."""
        momenta = buffers(self, parameters, "momentum")
        torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
        looked_at = (
            torch._foreach_lerp(gradients, momenta, group["momentum"]) if group["nesterov"] else momenta
        )
        if group["weight_decay"]:
            torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
        for parameter, direction in zip(parameters, looked_at, strict=True):
            matrix = direction.flatten(1)
            turned = orthogonalize(matrix, compute=format_of(group["compute"], matrix))
            size = stretch(matrix, group["scale"])
            parameter.add_(turned.view_as(parameter), alpha=-group["lr"] * size)

    def fall_back(self, group: dict[str, Any], parameters: list[Tensor], gradients: list[Tensor]) -> None:
        """AdamW's update."""
        for p in parameters:
            self.state[p].setdefault("step", torch.tensor(0.0))
        epsilon = max(1e-8, *(torch.finfo(p.dtype).tiny for p in parameters))  # float16 rounds 1e-8 to zero
        adamw(
            parameters, gradients, buffers(self, parameters, "means"), buffers(self, parameters, "squares"),
            [], [self.state[p]["step"] for p in parameters], foreach=True, amsgrad=False, maximize=False,
            beta1=group["betas"][0], beta2=group["betas"][1], lr=group["lr"], eps=epsilon,
            weight_decay=group["weight_decay"],
        )  # fmt: skip


def part(
    parameters: Iterable[Tensor] | Iterable[dict[str, Any]], fallback_learning_rate: float
) -> Iterator[dict[str, Any]]:
    """Groups with a rule each: a group without one is parted into its matrices and the rest."""
    listed: list[Any] = list(parameters)
    groups: list[dict[str, Any]] = listed if listed and isinstance(listed[0], dict) else [{"params": listed}]
    for group in groups:
        held = [group["params"]] if isinstance(group["params"], Tensor) else list(group["params"])
        rule = group.get("rule")
        if rule not in ("muon", "adamw", None):
            raise ValueError(f"a group's rule is {rule!r}; it must be 'muon' or 'adamw'")
        if rule == "muon" and any(p.ndim < 2 or not p.numel() for p in held):
            raise ValueError("a group with rule 'muon' holds an empty tensor or one of fewer than two axes")
        chosen = [p for p in held if rule == "muon" or (rule is None and p.ndim >= 2 and p.numel())]
        rest = [p for p in held if not any(p is c for c in chosen)]
        if chosen:
            yield group | {"params": chosen, "rule": "muon"}
        if rest:
            yield {"lr": fallback_learning_rate} | group | {"params": rest, "rule": "adamw"}


def orthogonalize(
    matrix: Float[Tensor, "n m"],
    steps: int = 5,
    coefficients: Coefficients = QUINTIC,
    compute: torch.dtype | None = None,
) -> Float[Tensor, "n m"]:
    """The matrix with each singular value replaced by a number near 1, computed in ``compute``.

    ``steps`` is 1 or more. A matrix of zeros stays one. ValueError for an integer matrix.
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}; it must be 1 or more")
    a, b, c = coefficients
    wide = matrix.to(compute or matrix.dtype)
    if matrix.shape[0] > matrix.shape[1]:
        wide = wide.T  # X X^T is then the smaller of the two products
    wide = wide / wide.norm().clamp(min=1e-7)  # no singular value above 1
    for _ in range(steps):
        gram = wide @ wide.T
        wide = torch.addmm(wide, torch.addmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return wide.T if matrix.shape[0] > matrix.shape[1] else wide


def format_of(compute: str | None, matrix: Tensor) -> torch.dtype:
    """The number format of the products."""
    if compute is not None:
        return torch.bfloat16 if compute == "bfloat16" else torch.float32
    return matrix.dtype if matrix.device.type == "cpu" else torch.bfloat16


def stretch(matrix: Tensor, scale: str) -> float:
    """How much longer the step of a matrix of this shape is than its learning rate."""
    rows, columns = matrix.shape
    return max(1.0, rows / columns) ** 0.5 if scale == "original" else 0.2 * max(rows, columns) ** 0.5


def orthogonalize_by_hand(matrix: Float[Tensor, "n m"], steps: int = 5) -> Float[Tensor, "n m"]:
    """The same polynomial, applied to the singular values one by one."""
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    values = values / matrix.square().sum().sqrt()
    a, b, c = QUINTIC
    for _ in range(steps):
        values = a * values + b * values**3 + c * values**5
    return left @ torch.diag(values) @ right


def muon_by_hand(
    parameter: Tensor,
    gradients: Iterable[Tensor],
    learning_rate: float = 0.02,
    momentum: float = 0.95,
    nesterov: bool = True,
    weight_decay: float = 0.0,
) -> list[Tensor]:
    """Where the matrix ``parameter`` stands after each of ``gradients``."""
    path, memory = [], torch.zeros_like(parameter)
    rows, columns = parameter.shape
    for gradient in gradients:
        memory = momentum * memory + (1 - momentum) * gradient
        looked_at = (1 - momentum) * gradient + momentum * memory if nesterov else memory
        step = learning_rate * max(1.0, rows / columns) ** 0.5 * orthogonalize_by_hand(looked_at)
        parameter = parameter - learning_rate * weight_decay * parameter - step
        path.append(parameter)
    return path


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    start = torch.randn(4, 6, dtype=torch.float64, generator=dice)
    gradients = torch.randn(60, 4, 6, dtype=torch.float64, generator=dice)
    for name, matrix in (("wide", start), ("tall", start.T.contiguous()), ("one row", start[:1])):
        yield Twin(f"orthogonalize {name}", orthogonalize, orthogonalize_by_hand, (matrix,), gradients=False)
    plain = {"nesterov": False, "weight_decay": 0.1}
    yield from twins_of(
        Muon, muon_by_hand, {"muon": {}, "plain momentum, decay": plain}, inputs=(start, gradients)
    )
