"""A recurrent network at ten times its learning rate, with gradients clipped and without.

An error at the end of a window comes back through 128 products with the same weights. Where they grow, the
loss has walls, and the gradient beside a wall is as long as the wall is high: at ten times the rate, one such
step throws the weights to where every prediction is certain and wrong, and momentum keeps throwing. The
direction was right; only the length was not. With the norm held to 1 the same rate learns, and learns more
than the usual rate does in as many steps.

Diverged is what predicts worse than not looking: a blind guess among 65 characters costs log 65 = 4.17 nats.

Source: Pascanu, Mikolov and Bengio (2013), https://arxiv.org/abs/1211.5063, section 3.2 and figure 6.
"""

from fathom.claim import Claim

CLAIM = Claim(
    sentence="At ten times its rate a recurrent network diverges, and learns when its gradients are clipped.",
    rows=("OP10",),
    expect=(
        "valid/loss: usual <= 2.7",
        "valid/loss: tenfold >= 4.18",
        "valid/loss: tenfold_clipped <= 2.4",
        "valid/loss: tenfold - tenfold_clipped >= 1.5",
    ),
    source="Pascanu, Mikolov and Bengio 2013, arXiv 1211.5063, section 3.2",
    builds_on=("gradient_clipping", "char_lstm"),
    arms={
        "usual": ("char_lstm_momentum",),
        "tenfold": ("char_lstm_momentum", "learning_rate=3.0"),
        "tenfold_clipped": ("char_lstm_momentum", "learning_rate=3.0", "clip_norm=1.0"),
    },
    seeds=10,
    differs=(
        "An LSTM, whose gates tame much of what explodes; the paper's networks are plain.",
        "Three seeds left the interval of the difference too wide to say (-3.9 to 11.9); ten are drawn now.",
        "150 steps: whether the unclipped one would come back after thousands is not asked.",
    ),
)
