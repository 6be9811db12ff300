"""What smoothed labels do to the probabilities of a net that has learned its training set by heart.

Cross-entropy with hard labels is never content: it rewards ever larger logits, and a net that gets every
training digit right ends up as certain of its mistakes as of the rest. With 0.1 of the label spread over all
classes the best logit is finite. Accuracy hardly moves; the log loss, which charges for misplaced certainty,
does.

Source: Szegedy et al. (2016), https://arxiv.org/abs/1512.00567, section 7; Mueller et al. (2019),
https://arxiv.org/abs/1906.02629, section 3.
"""

from fathom.claim import Claim

CLAIM = Claim(
    sentence="Label smoothing lowers the log loss of an overfitted net without costing accuracy.",
    rows=("RN08",),
    expect=(
        "valid/log_loss: smoothed - hard <= -0.02",
        "valid/accuracy: smoothed - hard >= -0.005",
    ),
    source="Mueller et al. 2019, arXiv 1906.02629",
    builds_on=("label_smoothing", "cross_entropy", "deep_mlp"),
    arms={
        "hard": ("mlp_mnist", "data.valid=59000", "augment=()", "depth=2", "model.width=512", "steps=1500"),
        "smoothed": (
            "mlp_mnist", "data.valid=59000", "augment=()", "depth=2", "model.width=512", "steps=1500",
            "label_smoothing=0.1",
        ),
    },
    seeds=5,
    differs=("A thousand training digits; the papers train on ImageNet.",),
)  # fmt: skip
