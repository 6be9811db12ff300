"""Weight decay in the gradient and beside it are two things under Adam.

Under SGD a penalty on the squared weights and a decay of the weights are the same. Adam divides the gradient,
penalty included, by the size that gradients have had, so weights with large gradients are hardly decayed at
all and the others the more. AdamW decays all alike, after the division. Both are run with the same rate and
decay, from the same weights, on the same batches; ``norm`` is the length of all weights at the end,
``shrunk`` its share that the decay took away, and ``apart`` the distance of the two nets over their length.

Source: Loshchilov and Hutter (2019), https://arxiv.org/abs/1711.05101, section 2 and proposition 2.
"""

from fathom.claim import Claim

CLAIM = Claim(
    sentence="Adam with an L2 penalty is not AdamW: the same decay leaves other weights.",
    rows=("OP06",),
    expect=("apart: both >= 0.1", "shrunk: l2 - adamw >= 0.05"),
    source="Loshchilov and Hutter 2019, arXiv 1711.05101, section 2",
    builds_on=("adam", "adamw", "deep_mlp"),
    seeds=5,
    differs=("A dense net on a thousand digits; the paper trains residual nets on CIFAR-10.",),
)


def measure(seed: int) -> dict[str, dict[str, float]]:
    """``apart``: distance of the two nets' weights over their length; accuracy and weights of each."""
    from dataclasses import replace

    import torch
    from torch import nn

    from fathom.recipes.deep_mlp import mlp_mnist
    from fathom.training.loop import train
    from fathom.training.optim import Live
    from fathom.training.parallel import Parallel

    start = mlp_mnist()
    data = replace(start.data, valid=59_000).load()  # type: ignore[type-var]
    kinds = {"none": torch.optim.Adam, "l2": torch.optim.Adam, "adamw": torch.optim.AdamW}
    weights: dict[str, torch.Tensor] = {}
    found: dict[str, dict[str, float]] = {}
    for arm, kind in kinds.items():
        experiment = replace(start, seed=seed, steps=500, augment=())
        model = experiment.build()
        decay = 0.0 if arm == "none" else 0.01
        optimizer = Live(kind(model.parameters(), lr=1e-3, weight_decay=decay))
        learning = replace(experiment.learning, optimizer=optimizer)  # type: ignore[type-var]
        learner = learning.learner(model, experiment.steps, Parallel())
        train(learner, experiment.source(data), steps=experiment.steps, seed=seed)
        weights[arm] = nn.utils.parameters_to_vector(model.parameters()).detach()
        images, labels = data.valid.rows(torch.arange(5000))  # type: ignore[union-attr]
        with torch.no_grad():
            right = model.eval()(*experiment.task.prepare(images)).argmax(dim=1) == labels
        found[arm] = {"accuracy": float(right.float().mean()), "norm": float(weights[arm].norm())}
    apart = float((weights["l2"] - weights["adamw"]).norm() / weights["adamw"].norm())
    for arm in ("l2", "adamw"):
        found[arm]["shrunk"] = 1 - found[arm]["norm"] / found["none"]["norm"]
    return found | {"both": {"apart": apart}}
