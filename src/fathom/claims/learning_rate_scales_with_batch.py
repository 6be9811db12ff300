"""A batch k times as large wants k times the learning rate, after a warm-up, and only up to some k.

A batch of 512 makes one step where one of 64 makes eight. If the gradient hardly turns on that way, one step
of eight times the length arrives at the same place, and both runs have seen the same digits. With the rate
left as it was, the large batch makes an eighth of the way; the square-root rule, which keeps the noise of a
step rather than its length, stops in between. Where weights are fresh the gradient does turn fast: without a
warm-up long first steps go astray. And beyond some size a step is longer than the slope that it follows.
There the rule breaks: a smaller rate does better, and none does as well as the small batch, for too few steps
are left.

Three epochs of MNIST in every arm, by SGD with Nesterov momentum; ``xK`` is a batch of 64 K. The rate rises
over the first 30 % of the steps (to 0.02 K under the linear rule) and falls to zero; ``no_warmup`` begins at
the top. Rates are those of ``fundamentals/schedules/scaling_rules.py``.

Source: Goyal et al. (2017), https://arxiv.org/abs/1706.02677, sections 2 and 5, figure 1.
"""

from fathom.claim import Claim

CLAIM = Claim(
    sentence="Eight times the batch at eight times the rate learns the same; at 64 times the rule breaks.",
    rows=("SC07",),
    expect=(
        "train/loss: x8/linear - x1 <= 0.01",
        "valid/log_loss: x8/linear - x1 <= 0.01",
        "valid/log_loss: x8/same_rate - x1 >= 0.05",
        "valid/log_loss: x8/square_root - x8/linear >= 0.01",
        "valid/log_loss: x16/no_warmup - x16/linear >= 0.01",
        "valid/log_loss: x32/linear - x1 >= 0.02",
        "valid/accuracy: x64/linear - x1 <= -0.1",
        "valid/accuracy: x64/rate_of_x8 - x64/linear >= 0.1",
    ),
    source="Goyal et al. 2017, arXiv 1706.02677, sections 2 and 5",
    builds_on=("scaling_rules", "warmup", "one_cycle", "sgd", "deep_mlp"),
    arms={
        "x1": (
            "mlp_mnist", "augment=()", "learning.optimizer=SGD",
            "learning_rate=0.02", "batch_size=64", "steps=2578",
        ),
        "x2/linear": (
            "mlp_mnist", "augment=()", "learning.optimizer=SGD",
            "learning_rate=0.04", "batch_size=128", "steps=1289",
        ),
        "x4/linear": (
            "mlp_mnist", "augment=()", "learning.optimizer=SGD",
            "learning_rate=0.08", "batch_size=256", "steps=645",
        ),
        "x8/linear": (
            "mlp_mnist", "augment=()", "learning.optimizer=SGD",
            "learning_rate=0.16", "batch_size=512", "steps=322",
        ),
        "x8/same_rate": (
            "mlp_mnist", "augment=()", "learning.optimizer=SGD",
            "learning_rate=0.02", "batch_size=512", "steps=322",
        ),
        "x8/square_root": (
            "mlp_mnist", "augment=()", "learning.optimizer=SGD",
            "learning_rate=0.0566", "batch_size=512", "steps=322",
        ),
        "x16/linear": (
            "mlp_mnist", "augment=()", "learning.optimizer=SGD",
            "learning_rate=0.32", "batch_size=1024", "steps=161",
        ),
        "x16/no_warmup": (
            "mlp_mnist", "augment=()", "learning.optimizer=SGD",
            "learning_rate=0.32", "batch_size=1024", "steps=161", "learning.schedule.peak=0",
        ),
        "x32/linear": (
            "mlp_mnist", "augment=()", "learning.optimizer=SGD",
            "learning_rate=0.64", "batch_size=2048", "steps=81",
        ),
        "x64/linear": (
            "mlp_mnist", "augment=()", "learning.optimizer=SGD",
            "learning_rate=1.28", "batch_size=4096", "steps=40",
        ),
        "x64/rate_of_x8": (
            "mlp_mnist", "augment=()", "learning.optimizer=SGD",
            "learning_rate=0.16", "batch_size=4096", "steps=40",
        ),
    },
    seeds=5,
    differs=(
        "A dense net on MNIST for three epochs; the paper trains ResNet-50 on ImageNet for 90.",
        "One cycle of the rate instead of steps down: the warm-up is its first 30 %, not five epochs.",
    ),
)  # fmt: skip
