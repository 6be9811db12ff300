"""Stable formulas against mpmath with 400 digits, and broadcasting against torch."""

import math

import mpmath
import numpy as np
import pytest
import torch

from fathom.fundamentals.mathematics import floating_point as fp

ROWS = [
    [0.0],
    [1e4, -1e4, 0.0],
    [-1e4, -1e4 - 1],
    [710.0, 709.9, 711.3],
    [-745.2, -746.1, -750.0],
    [1e308, 1e308, -1e308],
    [1e-300, 0.0, -1e-300],
    [88.8, 103.9, -103.9],
    [-1e4 + i / 7 for i in range(50)],
]
NUMBERS = [0.0, 5e-324, 1e-300, -1e-17, 1e-16, -3e-16, 1e-9, -1e-5, 0.1, -0.5, -0.69, 0.7, 1.0, 30.0, 700.0]


def exact(value: mpmath.mpf) -> float:
    return float(value)


def test_log_sum_exp_and_softmax_equal_mpmath_at_extreme_inputs() -> None:
    with mpmath.workdps(400):
        for row in ROWS:
            powers = [mpmath.exp(mpmath.mpf(x)) for x in row]
            total = mpmath.fsum(powers)
            x = np.array(row)
            for version in (fp.log_sum_exp, fp.log_sum_exp_by_hand):
                assert float(version(x)) == pytest.approx(exact(mpmath.log(total)), rel=4e-16, abs=1e-15)
            shares = [exact(p / total) for p in powers]
            for version in (fp.softmax, fp.softmax_by_hand):
                # The shift rounds a score of 1e4 by up to 1e-12 of its share: inputs themselves are no finer.
                np.testing.assert_allclose(version(x), shares, rtol=1e-13, atol=0)


def test_the_plain_formulas_fail_where_these_hold() -> None:
    x = np.array([1000.0, 999.0])
    with np.errstate(over="ignore", invalid="ignore"):
        assert np.isinf(np.log(np.exp(x).sum())) and np.isnan(np.exp(x) / np.exp(x).sum()).all()
    assert float(fp.log_sum_exp(x)) == pytest.approx(1000 + math.log1p(math.exp(-1)))
    assert math.log(1 + 1e-17) == 0 and float(fp.log1p_by_hand(np.array(1e-17))) == 1e-17
    values = 1e9 + np.array([4.0, 7.0, 13.0, 16.0])
    naive = float((values**2).mean() - values.mean() ** 2)
    assert abs(naive - 22.5) > 1 and fp.moments_by_hand(values).variance(0) == 22.5
    ones = np.array([1.0] + [1e-16] * 10_000)
    assert fp.running_sum(ones) == 1 and fp.compensated_sum_by_hand(ones) == pytest.approx(
        1 + 1e-12, rel=1e-15
    )


def test_log1p_expm1_and_softplus_equal_mpmath() -> None:
    x = np.array(NUMBERS)
    with mpmath.workdps(400):
        cases = {
            "log1p": (x, [exact(mpmath.log(1 + mpmath.mpf(v))) for v in NUMBERS]),
            "expm1": (x, [exact(mpmath.exp(mpmath.mpf(v)) - 1) for v in NUMBERS]),
            "softplus": (
                np.array([*NUMBERS, -30.0, -700.0, 1e4, -1e4]),
                [exact(mpmath.log(1 + mpmath.exp(mpmath.mpf(v)))) for v in [*NUMBERS, -30, -700, 1e4, -1e4]],
            ),
        }
    for name, (inputs, wanted) in cases.items():
        for version in (name, f"{name}_by_hand"):
            found = getattr(fp, version)(inputs)
            np.testing.assert_allclose(found, wanted, rtol=1e-15, atol=0, err_msg=version)


def test_sums_equal_mpmath() -> None:
    """Compensated to the last digit or two; by halves and in a row within their bounds."""
    dice = np.random.default_rng(0)
    hard = dice.normal(size=1000) * 10.0 ** dice.integers(-8, 9, size=1000)
    cases = [
        hard,
        np.concatenate([hard, -hard[::-1], [1.0]]),
        np.full(1001, 0.1),
        np.array([1e100, 1.0, -1e100]),
    ]
    unit = 2.0**-53
    for values in cases:
        with mpmath.workdps(400):
            wanted = float(mpmath.fsum(mpmath.mpf(float(v)) for v in values))
        size = float(np.abs(values).sum())
        assert fp.compensated_sum(values) == wanted
        assert (
            abs(fp.compensated_sum_by_hand(values) - wanted) <= 2 * unit * abs(wanted) + 4e4 * unit**2 * size
        )
        for by_halves in (fp.pairwise_sum, fp.pairwise_sum_by_hand):
            assert abs(by_halves(values) - wanted) <= 130 * unit * size
        assert abs(fp.running_sum(values) - wanted) <= len(values) * unit * size
    many = np.full(100_000, 0.1)
    assert abs(fp.pairwise_sum_by_hand(many) - 1e4) < 1e-3 * abs(fp.running_sum(many) - 1e4)


def test_moments_equal_mpmath_far_from_zero() -> None:
    dice = np.random.default_rng(1)
    for shift in (0.0, 1e4, 1e9, -1e12):
        values = dice.normal(size=200) + shift
        with mpmath.workdps(60):
            exactly = [mpmath.mpf(float(v)) for v in values]
            mean = mpmath.fsum(exactly) / 200
            variance = float(mpmath.fsum((v - mean) ** 2 for v in exactly) / 199)
        for found in (fp.moments(values), fp.moments(values, 9), fp.moments_by_hand(values)):
            assert found.count == 200 and found.mean == pytest.approx(float(mean), rel=1e-15, abs=1e-15)
            # The error of a variance is about u times its condition number, the mean over the deviation.
            assert found.variance() == pytest.approx(variance, rel=1e-14 + 1e-15 * abs(shift))
    assert fp.moments(np.zeros(0)) == fp.Moments() == fp.Moments() + fp.Moments()
    assert fp.moments(np.array([3.0])) + fp.Moments() == fp.Moments(1, 3.0, 0.0)


def test_spacing_and_epsilon() -> None:
    x = np.array([0.0, 5e-324, 1e-310, 2.3e-308, 1.0, -1.5, 2.0, 1e4, 1e300])
    np.testing.assert_array_equal(fp.unit_in_last_place(x), [math.ulp(v) for v in x])
    np.testing.assert_array_equal(fp.unit_in_last_place_by_hand(x), [math.ulp(v) for v in x])
    for dtype in (np.float16, np.float32, np.float64):
        assert fp.machine_epsilon(dtype) == fp.machine_epsilon_by_hand(dtype) == float(np.finfo(dtype).eps)


def test_half_precision_stays_finite() -> None:
    """exp(12) overflows float16; with the shift, scores of +-1e4 do no harm."""
    x = np.array([1e4, -1e4, 9999.0, 12.0], dtype=np.float16)
    shares = fp.softmax(x)
    assert shares.dtype == np.float16 and shares.sum() == pytest.approx(1, abs=1e-3)
    assert fp.log_sum_exp(x).dtype == np.float16 and np.isfinite(fp.log_sum_exp(x))
    small = np.array([-5.0, 0.001, 3.0], dtype=np.float16)
    np.testing.assert_allclose(fp.softplus(small), np.logaddexp(0, small.astype(np.float64)), rtol=2e-3)
    np.testing.assert_allclose(fp.expm1(small), np.expm1(small.astype(np.float64)), rtol=2e-3)


def test_masked_and_single_entries() -> None:
    x = np.array([[0.0, -np.inf, 0.0], [-np.inf, -np.inf, 5.0]])
    assert fp.softmax(x).tolist() == [[0.5, 0, 0.5], [0, 0, 1]]
    np.testing.assert_allclose(fp.log_sum_exp(x), [math.log(2), 5])
    assert fp.log_sum_exp(np.array([-np.inf])) == -np.inf
    wanted = torch.softmax(torch.arange(24.0, dtype=torch.float64).reshape(2, 3, 4), dim=1).numpy()
    np.testing.assert_allclose(fp.softmax(np.arange(24.0).reshape(2, 3, 4), axis=1), wanted, atol=1e-15)
    assert fp.softmax(np.zeros((0, 3))).shape == (0, 3)


def test_broadcasting_equals_torch_on_500_pairs_of_shapes() -> None:
    """The result or the refusal; and the table says the same."""
    dice, refused = np.random.default_rng(2), 0
    for _ in range(500):
        shapes = [
            tuple(int(s) for s in dice.choice([0, 1, 1, 2, 3], size=dice.integers(0, 5))) for _ in range(2)
        ]
        try:
            wanted = tuple(torch.broadcast_shapes(*shapes))
        except RuntimeError:
            refused += 1
            for version in (fp.broadcast_shape, fp.broadcast_shape_by_hand):
                with pytest.raises(ValueError):
                    version(*shapes)
            assert "refused" in fp.explain_broadcast(*shapes)
            continue
        assert fp.broadcast_shape(*shapes) == fp.broadcast_shape_by_hand(*shapes) == wanted
        assert f"fits: ({', '.join(map(str, wanted))})" in fp.explain_broadcast(*shapes)
    assert 100 < refused < 400


def test_the_explanation_of_a_broadcast() -> None:
    table = fp.explain_broadcast((8, 1, 6, 1), (7, 1, 5)).split("\n")
    assert table == ["8 1 6 1    (8, 1, 6, 1)", ". 7 1 5    (7, 1, 5)", "8 7 6 5    fits: (8, 7, 6, 5)"]
    assert fp.explain_broadcast((2, 10), (3, 10)).split("\n")[-1].startswith(" x 10    refused")
    assert fp.broadcast_shape() == () and fp.broadcast_shape((2, 1), (1,), (3,)) == (2, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fp.softmax(np.array([1, 2])), "x has dtype int64; it must be a floating-point array"),
        (lambda: fp.softmax(np.array([np.nan, 1.0])), "x holds NaN or plus infinity"),
        (lambda: fp.softmax(np.array([[0.0, 1.0], [-np.inf, -np.inf]])), "all minus infinity along axis -1"),
        (lambda: fp.softmax(np.ones((2, 2)), axis=2), "axis is 2 for x of shape"),
        (lambda: fp.log_sum_exp(np.array([np.inf])), "plus infinity"),
        (lambda: fp.log_sum_exp(np.zeros((2, 0))), "at least one entry"),
        (lambda: fp.log1p(np.array([-1.0])), r"log\(1 \+ x\) needs x above -1"),
        (lambda: fp.expm1(np.array([710.0])), "overflows float64 above 709.78"),
        (lambda: fp.softplus(np.array([np.inf])), "x holds NaN or infinity"),
        (lambda: fp.compensated_sum(np.ones((2, 2))), r"shape \(2, 2\)"),
        (lambda: fp.compensated_sum(np.array([1e308, 1e308])), "more than a double can hold"),
        (lambda: fp.running_sum(np.array([True])), "dtype bool"),
        (lambda: fp.moments(np.ones(3), 4), "batches is 4; it must be from 1 to the 3 values"),
        (lambda: fp.moments(np.ones(1)).variance(), "correction is 1 for 1 values"),
        (lambda: fp.broadcast_shape((2, -1)), r"shape \(2, -1\) has a negative size"),
        (lambda: fp.broadcast_shape((2,), (3,)), "shapes do not fit together"),
        (lambda: fp.broadcast_shape_by_hand((2,), (3,)), r"sizes \[2, 3\] meet on one axis"),
    ],
)
def test_bad_input_is_refused(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
