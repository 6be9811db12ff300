"""Whether dropout also makes an overfitted net less sure of its mistakes.

The nets are those of ``dropout_closes_the_gap``. Higher accuracy does not settle it: the log loss charges for
how sure a wrong answer is, and 1,500 steps on a thousand digits make a net very sure, with dropout as well.

Source: Srivastava et al. (2014), https://jmlr.org/papers/v15/srivastava14a.html, section 7.4.
"""

from fathom.claim import Claim

CLAIM = Claim(
    sentence="Dropout lowers the log loss of an overfitted net.",
    rows=(),
    expect=("valid/log_loss: with - without <= -0.03",),
    source="Srivastava et al. 2014, JMLR 15, section 7.4",
    builds_on=("dropout", "deep_mlp"),
    arms={"without": ("mlp_by_heart",), "with": ("mlp_by_heart", "dropout=0.5")},
    seeds=5,
    differs=("A thousand training digits instead of 60,000, so that a run takes seconds.",),
)
