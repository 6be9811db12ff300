"""A multilayer perceptron for tables: many small networks, trained side by side, answer as one.

A row of a table, encoded as numbers, goes through a few dense layers. That alone is a strong baseline
on tables (Gorishniy et al. 2021); three habits bring it level with boosted trees on a few thousand rows:

    clip(x)     = x / sqrt(1 + (x / 3)^2)                        no cell counts more than 3 deviations
    member_m(x) = V_m a(... a(W_m clip(x) + b_m)) + S_m clip(x)  a short cut for what is linear
    f(x)        = mean over m of member_m(x)                     an ensemble, held in one tensor

The smooth clipping is RealMLP's (Holzmueller et al. 2024, section 3), the ensemble that of
Lakshminarayanan et al. (2017). Each member has weights of its own and its own loss: the mean loss of
the members is minimised, not the loss of their mean, since members that err apart cancel each other's
errors (Gorishniy et al. 2025, TabM, section 3). A batched matrix product runs all of them at once.

Axes used below
    b  batch      f  features of a row      m  members      i, o  inputs, outputs of a layer
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from fathom.card import Card
from fathom.fundamentals.regularization.class_balance import balanced_cross_entropy

if TYPE_CHECKING:
    from fathom.training import Experiment

CARD = Card(
    title="House prices: an MLP for tables",
    paper="https://arxiv.org/abs/2106.11959",
    year=2021,
    summary="Predicts a column of a table from the others with small dense networks that vote.",
    rows=("TA01", "TA02", "TA04", "LO02"),
    builds_on=("class_balance",),
    differs=(
        "Members share nothing: TabM's members share most weights, which pays for wide networks only.",
        "Clipping is fixed at 3 deviations, as in RealMLP; its learned scales and activations are left out.",
        "A linear short cut from the features: prices are nearly linear in them on a logarithmic scale.",
    ),
    oracle="an nn.Sequential and an nn.Linear of torch for each member, same weights: outputs, gradients",
)

CLIP = 3.0  # standard deviations


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the model. The defaults were chosen on the training part of the Ames house sales."""

    features: int
    outputs: int = 1  # 1 for a number, the number of classes for a label
    width: int = 128
    depth: int = 2  # hidden layers
    members: int = 8
    dropout: float = 0.3

    def __post_init__(self) -> None:
        for name in ("features", "outputs", "width", "depth", "members"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it must be in [0, 1)")

    @property
    def sizes(self) -> tuple[int, ...]:
        """Numbers that enter and leave each layer: features, hidden layers, outputs."""
        return (self.features, *[self.width] * self.depth, self.outputs)

    def build(self) -> "TableEnsemble":
        return TableEnsemble(self)


class MemberLinear(nn.Module):
    """A dense layer for each member: all of them in one batched matrix product."""

    def __init__(self, members: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(members, inputs, outputs))
        self.bias = nn.Parameter(torch.empty(members, 1, outputs))

    def forward(self, input: Float[Tensor, "m b i"]) -> Float[Tensor, "m b o"]:
        return torch.baddbmm(self.bias, input, self.weight)


class TableEnsemble(nn.Module):
    """One answer of each member; whoever uses them takes the mean."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.cfg = cfg
        pairs = zip(cfg.sizes, cfg.sizes[1:], strict=False)
        self.layers = nn.ModuleList(MemberLinear(cfg.members, i, o) for i, o in pairs)
        self.short_cut = nn.Parameter(torch.empty(cfg.members, cfg.features, cfg.outputs))
        self.init_weights()

    @torch.no_grad()
    def init_weights(self) -> None:
        """All initialisation in one place.

        hidden layers    normal, std = 1 / sqrt(fan in); bias zeros
        last layer       zeros, so that the first prediction is the mean of the target
        short cut        zeros
        """
        *hidden, last = self.ordered()
        for layer in hidden:
            nn.init.normal_(layer.weight, std=1 / math.sqrt(layer.weight.shape[1]))
            nn.init.zeros_(layer.bias)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        nn.init.zeros_(self.short_cut)

    def ordered(self) -> list[MemberLinear]:
        """The layers, hidden ones first."""
        return [layer for layer in self.layers if isinstance(layer, MemberLinear)]

    def forward(self, row: Float[Tensor, "b f"]) -> Float[Tensor, "b m o"]:
        clipped = row / torch.sqrt(1 + (row / CLIP) ** 2)
        given = clipped.expand(self.cfg.members, -1, -1)
        hidden = given
        *layers, last = self.ordered()
        for layer in layers:
            hidden = F.dropout(F.silu(layer(hidden)), self.cfg.dropout, self.training)
        return rearrange(last(hidden) + given @ self.short_cut, "m b o -> b m o")


@dataclass(frozen=True, kw_only=True)
class EachMember:
    """The mean loss of the members, each by itself: squared error, or cross-entropy for int64 labels.

    ``balance`` gives rare classes the same say as others: by weights in the loss, or by adjusted logits.
    """

    balance: Literal["none", "weights", "logits"] = "none"
    counts: tuple[int, ...] = ()  # training rows of each class; an experiment counts them for "balance"

    def __call__(self, model: nn.Module, batch: Any) -> tuple[Tensor, dict[str, Tensor | float]]:
        row, target = batch
        output = model(row)
        if output.ndim < 3:  # a model without members is one
            output = output[:, None] if output.ndim == 2 else output[:, None, None]
        if target.is_floating_point():
            return F.mse_loss(output.squeeze(-1), target[:, None].expand(output.shape[:2])), {}
        labels = target.repeat_interleave(output.shape[1])
        right = (output.detach().mean(dim=1).argmax(dim=-1) == target).float().mean()
        logits = output.flatten(0, 1)
        if self.balance == "none":
            return F.cross_entropy(logits, labels), {"accuracy": right}
        counts = torch.tensor(self.counts, dtype=torch.int64)
        return balanced_cross_entropy(logits, labels, counts, self.balance), {"accuracy": right}

    def count(self, batch: Any) -> int:
        return len(batch[-1])

    def around(self, loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """``loss`` of a person who knows no members: each member's row is a row to it."""

        def each_member(output: Tensor, target: Tensor) -> Tensor:
            if output.ndim < 3:
                return loss(output, target)
            rows = output.flatten(0, 1)
            if target.is_floating_point():
                rows = rows.squeeze(-1)
            return loss(rows, target.repeat_interleave(output.shape[1]))

        each_member.__name__ = getattr(loss, "__name__", type(loss).__name__)
        return each_member


def tiny() -> "Experiment":
    """The smallest complete run: a curved surface over six columns, a second on one core. Tests run it."""
    from fathom.data.split import Data, InMemory, Tensors
    from fathom.tasks.tabular_regression import TabularRegression
    from fathom.training import AdamW, Experiment, GradientDescent
    from fathom.training.randomness import generator

    row = torch.randn(320, 6, generator=generator(0, "surface"))
    height = torch.sin(row[:, 0]) + row[:, 1] * row[:, 2] + 0.5 * row[:, 3]
    target = (height - height[:256].mean()) / height[:256].std()
    valid = Tensors((row[256:], target[256:]))
    named = [{"name": n, "kind": "numeric", "mean": 0.0, "scale": 1.0, "fill": 0.0} for n in "abcdef"]
    return Experiment(
        model=Config(features=6, width=32, members=4, dropout=0.0),
        data=InMemory(Data(train=Tensors((row[:256], target[:256])), valid=valid, test=valid)),
        task=TabularRegression(columns=tuple(named), target="height"),
        learning=GradientDescent(objective=EachMember(), optimizer=AdamW(learning_rate=1e-2)),
        batch_size=64,
        steps=80,
    )
