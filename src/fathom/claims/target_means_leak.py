"""What becomes of a model whose categories were encoded by targets that include each row's own.

Sold houses of Ames get a street that says nothing: names drawn at random, two or three houses to each. Ridge
regression predicts the logarithm of the price from the living area and the street's encoding. With means over
all training rows the encoding foretells the training prices, the model relies on it, and new houses are
priced worse than by the area alone; out of fold it learns that the street says nothing.

Source: Micci-Barreca (2001), https://doi.org/10.1145/507533.507538, section 5 on hold-out estimation.
"""

from fathom.claim import Claim

CLAIM = Claim(
    sentence="Target means that include a row's own target mislead the model; out of fold they do not.",
    rows=("TA03",),
    expect=(
        "test/rmse: own - without >= 0.02",
        "test/rmse: own - folds >= 0.02",
        "test/rmse: folds - without <= 0.005",
        "train/r2: own - folds >= 0.1",
    ),
    source="Micci-Barreca 2001, doi 10.1145/507533.507538",
    builds_on=("encoding",),
    seeds=10,
    differs=("The misleading category is made up; the houses, areas and prices are real.",),
)


def measure(seed: int) -> dict[str, dict[str, float]]:
    """Fit on four fifths of the houses, with each encoding of the street, and score on the last fifth."""
    import numpy as np

    from fathom.data.baselines import ridge
    from fathom.data.sets import ames_housing
    from fathom.fundamentals.features.encoding import out_of_fold, standard, target_means

    table, dice = ames_housing.read().columns, np.random.default_rng(seed)
    prices = np.log(np.asarray(table["SalePrice"], dtype=np.float64))
    area = np.log(np.asarray(table["Gr Liv Area"], dtype=np.float64))
    order = dice.permutation(len(prices))
    known, new = order[len(order) // 5 :], order[: len(order) // 5]
    streets = dice.integers(0, len(prices) * 2 // 5, len(prices))
    learned = target_means(streets[known].tolist(), prices[known])
    encoded = {
        "without": (np.zeros(len(known)), np.zeros(len(new))),
        "own": (learned(streets[known].tolist()), learned(streets[new].tolist())),
        "folds": (
            out_of_fold(streets[known].tolist(), prices[known], np.arange(len(known)) % 5),
            learned(streets[new].tolist()),
        ),
    }
    found: dict[str, dict[str, float]] = {}
    for arm, (inside, outside) in encoded.items():
        train, test = np.column_stack([area[known], inside]), np.column_stack([area[new], outside])
        scaled = standard(train)
        predict = ridge(scaled(train), prices[known])
        fitted, guess = predict(scaled(train)), predict(scaled(test))
        found[arm] = {
            "train/r2": 1 - float(((fitted - prices[known]) ** 2).mean() / prices[known].var()),
            "test/rmse": float(np.sqrt(((guess - prices[new]) ** 2).mean())),
        }
    return found
