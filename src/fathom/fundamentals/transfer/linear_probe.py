"""A linear probe: what a frozen body knows, read off by a single layer.

    f_n = body(x_n)                           features: the body stays as it is, so they are made once
    p_nk = softmax_k(f_n W_k + b_k)
    J(W, b) = - sum_n log p_{n, y_n} + (l / 2) |W|^2       convex in W and b: there is one optimum

The head is retrained and nothing else. Since the body does not move, its outputs are the data of an ordinary
multinomial logistic regression, and no schedule, batch size or number of epochs has a say in where that ends.
The probe is cheap, cannot forget what the body knew, and with few labels is hard to beat; and how well it
does is the usual measure of what a body has learned (Alain and Bengio 2016). Only W is decayed, the biases
are free. A softmax does not notice a number that is added to all classes, so b is given with mean zero.

Source: Alain and Bengio (2016), https://arxiv.org/abs/1610.01644; Bishop (2006), Pattern Recognition and
Machine Learning, section 4.3.4 (the gradient and Hessian of multiclass logistic regression).

Axes used below
    n  rows             d  features           k  classes
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Last-layer retraining: the linear probe",
    paper="https://arxiv.org/abs/1610.01644",
    year=2016,
    summary="Trains a linear head on the features of a frozen body, to its one optimum.",
    rows=("TL03",),
    builds_on=("cross_entropy",),
    oracle="scikit-learn's LogisticRegression on the same features",
)

ROUNDS = 2000  # of L-BFGS; it ends by itself where the gradient does


def frozen_features(body: nn.Module, batches: Iterable[Tensor]) -> Float[Tensor, "n d"]:
    """The outputs of ``body`` for all rows, flat, in evaluation mode and without a graph.

    The module is left in the mode in which it was. Raises ``ValueError`` where there are no batches.
    """
    was = {module: module.training for module in body.modules()}
    body.eval()
    try:
        with torch.no_grad():
            found = [body(batch).flatten(1) for batch in batches]
    finally:
        for module, training in was.items():
            module.training = training
    if not found:
        raise ValueError("batches is empty; give at least one batch of rows")
    return torch.cat(found)


def linear_probe(
    features: Tensor, labels: Tensor, penalty: float = 1.0
) -> tuple[Float[Tensor, "k d"], Float[Tensor, " k"]]:
    """Weight and bias of the best head, as ``nn.Linear`` holds them, in float64.

    ``features`` are (n, d), ``labels`` (n,): 0 to k - 1, each of them present. ``penalty`` is positive;
    scikit-learn's ``C`` is its inverse. Raises ``ValueError`` for anything else, and for features that are
    not finite.
    """
    x, classes = checked(features, labels, penalty)
    weight = torch.zeros(classes, x.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(classes, dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS(
        [weight, bias], max_iter=ROUNDS, max_eval=2 * ROUNDS, tolerance_grad=1e-10, tolerance_change=1e-14,
        history_size=20, line_search_fn="strong_wolfe",
    )  # fmt: skip

    def cost() -> Tensor:
        search.zero_grad()
        loss = (
            F.cross_entropy(x @ weight.T + bias, labels, reduction="sum")
            + penalty / 2 * weight.square().sum()
        )
        loss.backward()
        return loss

    search.step(cost)
    with torch.no_grad():
        return weight.detach(), bias.detach() - bias.mean()


def checked(features: Tensor, labels: Tensor, penalty: float) -> tuple[Tensor, int]:
    """The features in float64 and the number of classes, or the reason why there is no probe."""
    if features.ndim != 2 or labels.shape != features.shape[:1]:
        raise ValueError(
            f"features have the shape {tuple(features.shape)} and labels {tuple(labels.shape)};"
            " they must be (rows, features) and (rows,)"
        )
    if not 0 < penalty < float("inf"):
        raise ValueError(f"penalty is {penalty}; it must be positive and finite")
    if labels.is_floating_point() or not features.isfinite().all():
        raise ValueError("features must be finite numbers, and labels whole ones")
    present = labels.unique()
    if len(present) < 2 or not torch.equal(present, torch.arange(len(present))):
        raise ValueError(
            f"labels are {present[:8].tolist()}; they must be 0 to k - 1 for k of 2 or more, each present"
        )
    return features.to(torch.float64), len(present)


def linear_probe_by_hand(
    features: Float[Tensor, "n d"], labels: Int[Tensor, " n"], penalty: float = 1.0
) -> tuple[Float[Tensor, "k d"], Float[Tensor, " k"]]:
    """Newton's method: each step goes to the lowest point of the parabola that fits where we are."""
    rows, width = features.shape
    x = torch.cat([features, torch.ones(rows, 1, dtype=features.dtype)], dim=1)  # the bias is a weight of 1
    classes = int(labels.max()) + 1
    decay = penalty * torch.ones(classes, width + 1, dtype=x.dtype)
    decay[:, -1] = 0
    w = torch.zeros(classes, width + 1, dtype=x.dtype)
    for _ in range(100):
        p = (x @ w.T).softmax(dim=1)
        slope = (p - F.one_hot(labels, classes)).T @ x + decay * w
        curvature = torch.zeros(classes, width + 1, classes, width + 1, dtype=x.dtype)
        for k in range(classes):
            for j in range(classes):
                share = p[:, k] * (float(k == j) - p[:, j])
                curvature[k, :, j, :] = x.T @ (share[:, None] * x)
        square = curvature.reshape(w.numel(), w.numel()) + torch.diag(decay.flatten())
        # Along the direction that adds to all biases it is flat: the shortest of all equal steps is taken.
        step = torch.linalg.pinv(square, hermitian=True) @ slope.flatten()
        w = w - step.reshape(w.shape)
        if step.abs().max() < 1e-12:
            break
    return w[:, :-1], w[:, -1] - w[:, -1].mean()


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    for classes, penalty in ((2, 1.0), (4, 0.1)):
        labels = torch.arange(40) % classes
        rows = torch.randn(40, 5, generator=dice, dtype=torch.float64) + labels[:, None] * 0.3
        yield Twin(
            f"{classes} classes", linear_probe, linear_probe_by_hand, (rows, labels, penalty),
            tolerance=1e-6, gradients=False,
        )  # fmt: skip
