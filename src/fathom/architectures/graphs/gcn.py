"""GCN: every node of a graph averages its neighbours, then a shared dense layer reads the average.

Kipf and Welling (2017) add a link from each node to itself and weigh the link from j to i by the degrees
of both ends, so that no node drowns the others: with A' = A + I and D' its degrees, one layer is

    H' = relu(D'^-1/2 A' D'^-1/2 H W)                                               (equation 2)

Two such layers see two steps far, and a softmax names the class of each node (equation 9). A few labelled
nodes suffice, because the unlabelled ones carry their words to their neighbours: the loss is taken over
the labelled nodes only (equation 10), but the batch is the whole graph. Several graphs make one batch as
one graph of many parts. The matrix is never built: messages are gathered along links and added up.

Axes used below
    n  nodes      e  links, each in one direction      f  features of a node
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.training import Experiment

CARD = Card(
    title="Graph convolutional network",
    paper="https://arxiv.org/abs/1609.02907",
    year=2017,
    summary="Classifies the nodes of a graph: each looks at its own features and at its neighbours'.",
    rows=("GR02",),
    differs=(
        "Biases, set to zero at the start: the authors' code leaves them out.",
        "No early stopping on ten steps of validation loss: all 200 steps are made (section 5.2).",
    ),
    oracle="equation 9 with dense matrices and torch.linalg; a normalised adjacency worked out by hand",
)

IGNORE = -100  # the label of a node whose class is not to be learned or scored


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the model. The defaults are the paper's for Cora (section 5.2)."""

    features: int = 1433
    hidden: int = 16
    classes: int = 7
    dropout: float = 0.5  # of the input of both layers

    def __post_init__(self) -> None:
        for name, least in (("features", 1), ("hidden", 1), ("classes", 2)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be {least} or more")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it must be in [0, 1)")

    def build(self) -> "GCN":
        return GCN(self)


def propagate(values: Float[Tensor, "n f"], edges: Int[Tensor, "2 e"]) -> Float[Tensor, "n f"]:
    """D'^-1/2 (A + I) D'^-1/2 ``values``, where A[i, j] counts the links (j, i) of ``edges``.

    An undirected link stands in ``edges`` twice, once each way.
    """
    sender, receiver = edges
    one = torch.ones_like(values[:, 0])
    degree = one.index_add(0, receiver, one.index_select(0, sender))  # the link to itself counts: 1 or more
    scaled = values * degree.rsqrt()[:, None]
    heard = scaled.index_add(0, receiver, scaled.index_select(0, sender))
    return heard * degree.rsqrt()[:, None]


def drop(values: Float[Tensor, "n f"], share: float) -> Float[Tensor, "n f"]:
    """Dropout: a third of the time of ``F.dropout`` on a CPU, where it would be most of a step on Cora."""
    return values * (torch.rand_like(values) >= share) / (1 - share)


class GraphConvolution(nn.Module):
    """Equation 2 without its nonlinearity."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, outputs))
        self.bias = nn.Parameter(torch.empty(outputs))

    def forward(self, values: Float[Tensor, "n f"], edges: Int[Tensor, "2 e"]) -> Float[Tensor, "n g"]:
        # (P H) W = P (H W): the narrower of the two is sent along the links.
        return propagate(values @ self.weight, edges) + self.bias


class GCN(nn.Module):
    """Equation 9: two layers; the softmax belongs to the loss."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.cfg = cfg
        self.first = GraphConvolution(cfg.features, cfg.hidden)
        self.second = GraphConvolution(cfg.hidden, cfg.classes)
        self.init_weights()

    @torch.no_grad()
    def init_weights(self) -> None:
        """All initialisation in one place.

        every weight   Xavier uniform (section 5.2)
        every bias     zeros
        """
        for layer in (self.first, self.second):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(
        self, features: Float[Tensor, "n f"], edges: Int[Tensor, "2 e"]
    ) -> Float[Tensor, "n classes"]:
        share = self.cfg.dropout if self.training else 0.0
        x = drop(features, share) if share else features
        x = F.relu(self.first(x, edges))
        return self.second(drop(x, share) if share else x, edges)


@dataclass(frozen=True, kw_only=True)
class LabelledNodes:
    """Cross-entropy over the nodes that have a label, and a penalty on the first layer's weights.

    A batch is ``(features, edges, label)``; ``label`` int64 (nodes,) is ``IGNORE`` where there is none.
    """

    penalty: float = 5e-4  # times half the sum of squares of the first weights only (section 5.2)

    def __post_init__(self) -> None:
        if not 0 <= self.penalty < float("inf"):
            raise ValueError(f"penalty is {self.penalty}; it must be 0 or more")

    def __call__(
        self, model: nn.Module, batch: tuple[Tensor, Tensor, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor | float]]:
        features, edges, label = batch
        logits = model(features, edges)
        loss = F.cross_entropy(logits, label, ignore_index=IGNORE)
        first = next(p for name, p in model.named_parameters() if name.endswith("first.weight"))
        with torch.no_grad():
            known = label != IGNORE
            accuracy = ((logits.argmax(dim=-1) == label) & known).sum() / known.sum()
        return loss + self.penalty / 2 * first.square().sum(), {"accuracy": accuracy}

    def count(self, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        return (batch[-1] != IGNORE).sum()


def tiny() -> "Experiment":
    """The smallest complete run: graphs of three communities, a second on one core. Tests run it."""
    from fathom.data.graphs import communities
    from fathom.tasks.node_classification import NodeClassification
    from fathom.training import Adam, Experiment, GradientDescent

    return Experiment(
        model=Config(features=12, hidden=16, classes=3, dropout=0.1),
        data=communities(nodes=24, features=12, classes=3, train=8, valid=4),
        task=NodeClassification(labels=("red", "green", "blue"), features=12),
        learning=GradientDescent(objective=LabelledNodes(penalty=1e-5), optimizer=Adam(learning_rate=0.03)),
        batch_size=4,
        steps=100,
    )
