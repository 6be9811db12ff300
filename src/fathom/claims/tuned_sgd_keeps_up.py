"""Every optimizer on three recipes, each with its own rate, all with the same number of steps and trials.

For each rule three rates are tried with another seed, its usual one, a third and three times that; the best
by held-out accuracy is then run with the seed of the record. Comparisons in which one rule keeps the rate of
another say more about the rates than about the rules. With the rate chosen, the distance between them on nets
that are easy to train is small.

Source: Choi et al. (2019), https://arxiv.org/abs/1910.05446, section 4; Schmidt et al. (2021),
https://arxiv.org/abs/2007.01547.
"""

from fathom.claim import Claim

CLAIM = Claim(
    sentence="With a rate of its own for each, SGD with momentum keeps up with every other optimizer.",
    rows=("OP09",),
    expect=(
        "valid/accuracy: lenet/SGD - lenet/AdamW >= -0.02",
        "valid/accuracy: mlp/SGD - mlp/AdamW >= -0.02",
        "valid/accuracy: deep/SGD - deep/AdamW >= -0.02",
        "valid/accuracy: lenet/Muon - lenet/SGD >= -0.02",
        "valid/accuracy: lenet/Adagrad - lenet/SGD >= -0.05",
    ),
    source="Choi et al. 2019, arXiv 1910.05446",
    builds_on=(
        "sgd", "adam", "adamw", "adagrad", "adadelta", "rmsprop", "nadam", "radam", "lion", "lamb",
        "adafactor", "muon", "lookahead",
    ),
    seeds=5,
    differs=("150 steps on MNIST a run, three rates a rule: a bench that is over in minutes.",),
)  # fmt: skip

RECIPES = {
    "lenet": ("lenet", ("steps=150", "augment=()")),
    "mlp": ("mlp_mnist", ("steps=150", "augment=()")),
    "deep": ("deep_mlp", ("steps=150", "depth=6")),
}
# The usual rate of each rule on nets of this size.
RATES = {
    "SGD": 0.05, "Adam": 2e-3, "AdamW": 2e-3, "Adagrad": 0.03, "Adadelta": 1.0, "RMSprop": 1e-3,
    "AdaMax": 4e-3, "Nadam": 2e-3, "RAdam": 3e-3, "Lion": 3e-4, "Lamb": 0.01, "Adafactor": 0.01, "Muon": 0.02,
}  # fmt: skip
TRIED = (1 / 3, 1.0, 3.0)


def measure(seed: int) -> dict[str, dict[str, float]]:
    """For each recipe and rule: accuracy and log loss at the rate that another seed chose."""
    from fathom.training.trial import trial
    from fathom.verbs.arms import built

    found: dict[str, dict[str, float]] = {}
    for net, (recipe, settings) in RECIPES.items():
        for rule, usual in RATES.items():
            arms = {
                usual * factor: (
                    recipe, *settings, f"learning.optimizer={rule}",
                    f"learning.optimizer.learning_rate={usual * factor}",
                )
                for factor in TRIED
            }  # fmt: skip
            scores = {
                rate: trial(built(arm), 1000 + seed).metrics.get("valid/accuracy", 0.0)
                for rate, arm in arms.items()
            }
            best = max(scores, key=lambda rate: scores[rate])
            metrics = trial(built(arms[best]), seed).metrics
            kept = {k: v for k, v in metrics.items() if k in ("valid/accuracy", "valid/log_loss", "diverged")}
            found[f"{net}/{rule}"] = kept | {"rate": best}
    return found
