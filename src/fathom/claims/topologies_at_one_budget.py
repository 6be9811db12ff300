"""Three ways to wire 26,000 parameters, and what each makes of the same digits.

A dense net gives every pixel weights of its own: a stroke that it knows in one place it must learn anew one
pixel further on. A convolution uses the same weights wherever it looks, so each place teaches all others. A
recurrent net shares its weights over the rows, and remembers with a state what they held; across a row
nothing is shared. The more of the task is built into the wiring, the further the same number of weights goes.

Every arm has a width that brings it within 1 % of 26,000 parameters, the same digits in batches of 128, the
same 858 steps (two epochs) and no augmentation. Optimizer, learning rate and loss are those of its own
recipe: one setting for all would suit some and not others. The page with curves and paired tests:

    fathom compare mlp_mnist mnist row_reader --budget-params 26000 --set "augment=()" --set steps=858

Source: LeCun et al. (1998), https://doi.org/10.1109/5.726791, sections I and II.A; figure 9 has nets of
several kinds on these digits.
"""

from fathom.claim import Claim

CLAIM = Claim(
    sentence="At one number of parameters shared weights read digits best: over places, then over rows.",
    rows=("NF13",),
    expect=(
        "valid/accuracy: convolutional - dense >= 0.015",
        "valid/accuracy: recurrent - dense >= 0.008",
        "valid/accuracy: convolutional - recurrent >= 0.003",
    ),
    source="LeCun et al. 1998, Proc. IEEE 86(11), sections I and II.A",
    builds_on=("deep_mlp", "mnist", "row_reader"),
    arms={
        "dense": ("mlp_mnist", "augment=()", "steps=858", "model.width=33"),
        "convolutional": ("mnist", "augment=()", "steps=858", "model.width=12"),
        "recurrent": ("row_reader", "augment=()", "steps=858", "model.width=66"),
    },
    seeds=5,
    differs=(
        "Equal parameters are not equal work: a convolution and a row reader use each weight many times.",
        "Each arm keeps its recipe's optimizer and loss; the convolutional one smooths its labels.",
    ),
)
