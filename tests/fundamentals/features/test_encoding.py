"""Feature encoders against scikit-learn's, on the same rows and folds, and what leaks without folds."""

import numpy as np
import pytest
from sklearn.model_selection import KFold
from sklearn.preprocessing import OneHotEncoder, QuantileTransformer, StandardScaler, TargetEncoder

from fathom.fundamentals.features.encoding import (
    normal_scores,
    one_hot,
    out_of_fold,
    standard,
    target_means,
)

DICE = np.random.default_rng(4)
NUMBERS = np.stack([DICE.normal(5, 3, 400), DICE.lognormal(0, 2, 400), DICE.integers(0, 4, 400)], axis=1)
NEW = np.stack([DICE.normal(5, 9, 90), DICE.lognormal(0, 3, 90), DICE.integers(-1, 6, 90)], axis=1)
TOWNS = DICE.choice(["Ames", "Boone", "Gilbert", "Nevada", "Perry"], 400, p=[0.6, 0.2, 0.1, 0.07, 0.03])
PRICES = DICE.normal(0, 1, 400) + (TOWNS == "Ames") * 2.0


def test_standard_equals_sklearn() -> None:
    theirs = StandardScaler().fit(np.column_stack([NUMBERS, np.full(400, 0.1)]))
    ours = standard(np.column_stack([NUMBERS, np.full(400, 0.1)]))
    new = np.column_stack([NEW, np.full(90, 0.3)])
    np.testing.assert_allclose(ours(new), theirs.transform(new), rtol=0, atol=1e-12)


def test_normal_scores_equal_sklearn() -> None:
    theirs = QuantileTransformer(n_quantiles=100, output_distribution="normal", subsample=None).fit(NUMBERS)
    np.testing.assert_allclose(normal_scores(NUMBERS, 100)(NEW), theirs.transform(NEW), rtol=0, atol=1e-9)
    assert abs(float(normal_scores(NUMBERS)(NUMBERS)[:, 1].std()) - 1) < 0.2  # its own was 20 times its mean


@pytest.mark.parametrize("most", [None, 3])
def test_one_hot_equals_sklearn(most: int | None) -> None:
    ours = one_hot(TOWNS.tolist(), most)
    theirs = OneHotEncoder(
        categories=[sorted(ours.values)], handle_unknown="ignore", sparse_output=False
    ).fit(TOWNS[:, None])  # fmt: skip
    new = ["Perry", "Ames", "never seen", "Boone"]
    np.testing.assert_array_equal(ours(new), theirs.transform(np.array(new)[:, None]))
    assert most is None or set(ours.values) == {"Ames", "Boone", "Gilbert"}  # the three most frequent


@pytest.mark.parametrize(("ours", "theirs"), [(None, "auto"), (0.0, 0.0), (7.5, 7.5)])
def test_target_means_equal_sklearn(ours: float | None, theirs: float | str) -> None:
    encoder = TargetEncoder(smooth=theirs, target_type="continuous").fit(TOWNS[:, None], PRICES)
    new = np.array(["Perry", "Ames", "never seen"])
    found = target_means(TOWNS.tolist(), PRICES, ours)(new.tolist())
    np.testing.assert_allclose(found, encoder.transform(new[:, None])[:, 0], rtol=0, atol=1e-12)


def test_out_of_fold_equals_sklearn() -> None:
    """Their fit_transform encodes each fold by the others; ours is given the same five."""
    splits = KFold(5, shuffle=True, random_state=3)
    encoder = TargetEncoder(cv=splits, target_type="continuous")
    theirs = encoder.fit_transform(TOWNS[:, None], PRICES)
    folds = np.empty(400, dtype=int)
    for fold, (_, inside) in enumerate(splits.split(TOWNS)):
        folds[inside] = fold
    np.testing.assert_allclose(out_of_fold(TOWNS.tolist(), PRICES, folds), theirs[:, 0], rtol=0, atol=1e-12)


def test_a_row_never_sees_its_own_target() -> None:
    folds = np.arange(400) % 5
    before = out_of_fold(TOWNS.tolist(), PRICES, folds)
    changed = PRICES.copy()
    changed[folds == 2] += 100.0
    after = out_of_fold(TOWNS.tolist(), changed, folds)
    np.testing.assert_array_equal(before[folds == 2], after[folds == 2])
    assert (before[folds != 2] != after[folds != 2]).all()


def test_noise_looks_like_knowledge_only_inside_the_fold() -> None:
    """Names that mean nothing, two rows each: their own means foretell the target, those of others do not."""
    names = [f"street {i // 2}" for i in range(400)]
    noise = np.random.default_rng(0).normal(size=400)
    inside = target_means(names, noise, 0.0)(names)
    outside = out_of_fold(names, noise, np.arange(400) % 5)
    assert np.corrcoef(inside, noise)[0, 1] > 0.6
    assert abs(np.corrcoef(outside, noise)[0, 1]) < 0.15


def test_one_target_everywhere() -> None:
    assert target_means(["a", "a", "b"], np.ones(3))(["a", "b", "c"]).tolist() == [1.0, 1.0, 1.0]


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(4,\) with 0 not finite; it must be \(rows, columns\)"):
        standard(np.ones(4))
    with pytest.raises(ValueError, match="1 not finite"):
        normal_scores(np.array([[1.0], [np.nan]]))
    with pytest.raises(ValueError, match="quantiles is 1"):
        normal_scores(np.ones((3, 1)), 1)
    with pytest.raises(ValueError, match="cells is empty"):
        one_hot([])
    with pytest.raises(ValueError, match="most is 0"):
        one_hot(["a"], 0)
    with pytest.raises(ValueError, match=r"shape \(2,\) for 3 cells"):
        target_means(["a", "b", "c"], np.ones(2))
    with pytest.raises(ValueError, match="one finite number for each"):
        target_means(["a", "b"], np.array([1.0, np.inf]))
    with pytest.raises(ValueError, match="smooth is -1"):
        target_means(["a"], np.ones(1), -1.0)
    with pytest.raises(ValueError, match="1 different folds"):
        out_of_fold(["a", "b"], np.ones(2), np.zeros(2))
