"""What dropout does for a net that can learn its training set by heart.

A thousand digits and two layers of 512: more weights than the digits could ever need, and after 1,500 steps
each is known by heart. With dropout no unit can rely on another that may be absent, so what is learned has
to be spread out, and more of it is true of digits that were never seen. The training loss is worse for it;
the loss on the 5,000 others is what counts.

Source: Srivastava et al. (2014), https://jmlr.org/papers/v15/srivastava14a.html, sections 6.1 and 7.4.
"""

from fathom.claim import Claim

CLAIM = Claim(
    sentence="Dropout makes an overfitted net worse on what it has seen and better on what it has not.",
    rows=("RN01",),
    expect=("valid/accuracy: with - without >= 0.002", "train/loss: with - without >= 0.0"),
    source="Srivastava et al. 2014, JMLR 15, section 7.4",
    builds_on=("dropout", "deep_mlp"),
    arms={"without": ("mlp_by_heart",), "with": ("mlp_by_heart", "dropout=0.5")},
    seeds=5,
    differs=("A thousand training digits instead of 60,000, so that a run takes seconds.",),
)
