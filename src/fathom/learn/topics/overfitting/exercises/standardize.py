r"""Prepare data without peeking.

Inputs should be of a similar size: from each column subtract its mean, and divide by its deviation. You get
training rows and validation rows. Measure mean and deviation on the **training** rows alone, and use them for
both. No column is constant. The deviation is

$$ \sqrt{\text{mean of } (x - \text{mean})^2} $$

Return both tables.
"""

import torch
from torch import Tensor

from fathom.learn.engine.grade import Answer, Fail, must_be_tensor

HINTS = (
    "train.mean(dim=0) is a mean for each column.",
    "train.std(dim=0, correction=0) is the deviation as written above.",
    "The validation rows get the same two lists: nothing is measured on them.",
)
PASSED = "The validation rows had no say in it, so their loss may be believed."


def starter(train: Tensor, validation: Tensor) -> tuple[Tensor, Tensor]:
    """For tables (n, columns), (m, columns) return both, on the scale of the training rows."""
    raise NotImplementedError


def solution(train: Tensor, validation: Tensor) -> tuple[Tensor, Tensor]:
    """For tables (n, columns), (m, columns) return both, on the scale of the training rows."""
    mean, deviation = train.mean(dim=0), train.std(dim=0, correction=0)
    return (train - mean) / deviation, (validation - mean) / deviation


def scaled(x: Tensor, like: Tensor) -> Tensor:
    return (x - like.mean(dim=0)) / like.std(dim=0, correction=0)


def wrong_each_its_own(train: Tensor, validation: Tensor) -> tuple[Tensor, Tensor]:
    """The validation rows were measured by themselves.

    Then the model sees them on another scale than it learned on.

    Use the training rows' mean and deviation for both.
    """
    return scaled(train, train), scaled(validation, validation)


def wrong_together(train: Tensor, validation: Tensor) -> tuple[Tensor, Tensor]:
    """You measured on all rows together. So the validation rows had a say.

    Measure on the training rows alone.
    """
    both = torch.cat([train, validation])
    return scaled(train, both), scaled(validation, both)


def wrong_validation_untouched(train: Tensor, validation: Tensor) -> tuple[Tensor, Tensor]:
    """The validation rows are as they were. The model learned on the new scale, so they need it too."""
    return scaled(train, train), validation


def wrong_no_deviation(train: Tensor, validation: Tensor) -> tuple[Tensor, Tensor]:
    """You subtracted the mean only. Divide by the deviation, so that all columns are of a similar size."""
    return train - train.mean(dim=0), validation - train.mean(dim=0)


def wrong_variance(train: Tensor, validation: Tensor) -> tuple[Tensor, Tensor]:
    """You divided by the mean of the squares. The deviation is its root."""
    mean, square = train.mean(dim=0), train.var(dim=0, correction=0)
    return (train - mean) / square, (validation - mean) / square


def wrong_one_for_all(train: Tensor, validation: Tensor) -> tuple[Tensor, Tensor]:
    """You used one mean and one deviation for the whole table. Each column has its own: dim=0."""
    mean, deviation = train.mean(), train.std(correction=0)
    return (train - mean) / deviation, (validation - mean) / deviation


def wrong_correction(train: Tensor, validation: Tensor) -> tuple[Tensor, Tensor]:
    """Nearly right: std of torch divides by n - 1 by itself. The deviation here divides by n.

    Give it correction=0.
    """
    mean, deviation = train.mean(dim=0), train.std(dim=0)
    return (train - mean) / deviation, (validation - mean) / deviation


def case(seed: int) -> tuple[Tensor, Tensor]:
    dice = torch.Generator().manual_seed(seed)
    size, shift = torch.tensor([1.0, 100.0, 0.1]).double(), torch.tensor([0.0, 500.0, -3.0]).double()
    train, validation = (torch.randn(n, 3, generator=dice, dtype=torch.float64) for n in (8, 5))
    return train * size + shift, (validation + 0.5) * size + shift


def check_pair(answer: Answer, seed: int) -> None:
    found = answer(*case(seed))
    if not isinstance(found, tuple) or len(found) != 2:
        raise Fail("Return two tables: training rows and validation rows.")
    must_be_tensor(found[0], (8, 3), "The table of training rows")
    must_be_tensor(found[1], (5, 3), "The table of validation rows")


def check_training_rows(answer: Answer, seed: int) -> None:
    train, _ = answer(*case(seed))
    for column in range(3):
        mean, deviation = float(train[:, column].mean()), float(train[:, column].std(correction=0))
        if abs(mean) > 1e-6 or abs(deviation - 1) > 1e-6:
            raise Fail(
                f"Column {column} of the training rows has mean {mean:.3f} and deviation {deviation:.3f};"
                " it must be 0 and 1."
            )


def check_validation_rows(answer: Answer, seed: int) -> None:
    (_, found), (_, wanted) = answer(*case(seed)), solution(*case(seed))
    if not torch.allclose(found, wanted, 1e-6, 1e-9):
        row, column = divmod(int((found - wanted).abs().argmax()), 3)
        mine, right = float(found[row, column]), float(wanted[row, column])
        raise Fail(
            f"On the training rows' scale, entry {row}, {column} of the validation rows is {right:.4f};"
            f" yours is {mine:.4f}."
        )
