"""Encoders equal scikit-learn's, agree with the served operation, and refuse what they cannot read."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fathom.data import columns
from fathom.deployment import preprocessing
from fathom.errors import InputError

CELLS = {
    "area": ["10", "12.5", None, "11", "9", "NaN"],
    "price": [1.0, 2.0, 4.0, 9.0, 1000.0, 3.0],
    "colour": ["red", "blue", " red ", "", "green", "blue"],
    "same": [1, 1, 1, 1, 1, 1],
}
KINDS = {"area": "numeric", "price": "numeric", "colour": "category", "same": "numeric"}


def operation(fitted: list[columns.Column], row: dict[str, object]) -> np.ndarray:
    return preprocessing.apply([{"operation": "table", "input": "row", "columns": fitted}], row)["row"]


def test_numbers_are_filled_and_scaled_as_scikit_learn_does() -> None:
    dice = np.random.default_rng(0)
    values = dice.normal(5, 3, 200)
    values[::7] = np.nan
    (column,) = columns.fit({"x": values.tolist()}, {"x": "numeric"})
    made = columns.encode_rows([column], {"x": values.tolist()})
    filled = SimpleImputer(strategy="median").fit_transform(values[:, None])
    np.testing.assert_allclose(made[:, :1], StandardScaler().fit_transform(filled), atol=1e-6)
    np.testing.assert_array_equal(made[:, 1], np.isnan(values))


def test_categories_are_those_of_scikit_learn() -> None:
    cells = [str(v) for v in np.random.default_rng(1).choice(list("abcd"), 100)]
    (column,) = columns.fit({"x": cells}, {"x": "category"})
    made = columns.encode_rows([column], {"x": cells})
    known: Any = [column["values"]]
    theirs = OneHotEncoder(categories=known, sparse_output=False)
    np.testing.assert_array_equal(made[:, :-1], theirs.fit_transform(np.array(cells)[:, None]))
    assert not made[:, -1].any()


@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.floats(-1e6, 1e6), st.sampled_from(["3", "", "NA"])),
            st.one_of(st.none(), st.sampled_from(["a", "b", "c", " a", "nan"])),
        ),
        min_size=4, max_size=30,
    )
)  # fmt: skip
def test_rows_equal_the_served_operation(rows: list[tuple[object, object]]) -> None:
    cells = {"n": [0.0, 1.0, *(r[0] for r in rows)], "c": ["a", "a", *(r[1] for r in rows)]}
    kinds = {"n": "numeric", "c": "category"}
    fitted = columns.fit(cells, kinds)
    made = columns.encode_rows(fitted, cells)
    assert made.shape[1] == len(columns.feature_names(fitted))
    for i, row in enumerate(made):
        np.testing.assert_array_equal(row, operation(fitted, {n: v[i] for n, v in cells.items()}))


def test_what_is_fitted() -> None:
    fitted = {c["name"]: c for c in columns.fit(CELLS, KINDS)}
    assert "same" not in fitted  # a constant says nothing
    assert fitted["area"]["fill"] == 10.5 and fitted["area"]["flag"] and not fitted["area"]["log"]
    assert fitted["price"]["log"] and not fitted["price"]["flag"]
    assert fitted["price"]["mean"] == pytest.approx(np.log1p(CELLS["price"]).mean())
    assert fitted["colour"]["values"] == ["blue", "red"]  # green and the missing one occur once: other
    assert columns.fit({"c": ["", "", "a", "a"]}, {"c": "category"})[0]["values"] == ["", "a"]


def test_only_the_most_frequent_categories_are_kept() -> None:
    cells = {"c": ["a"] * 5 + ["b"] * 4 + ["c"] * 3}
    assert columns.fit(cells, {"c": "category"}, most=2)[0]["values"] == ["a", "b"]
    assert columns.fit(cells, {"c": "category"}, rarest=4)[0]["values"] == ["a", "b"]


def test_new_rows_change_nothing_and_may_hold_anything() -> None:
    fitted = columns.fit(CELLS, KINDS)
    made = columns.encode_rows(fitted, {"area": [None], "price": [1e9], "colour": ["mauve"], "same": [7]})
    assert np.isfinite(made).all()
    assert made[0, -1] == 1.0  # other


def test_decode_gives_the_cells_back() -> None:
    fitted = columns.fit(CELLS, KINDS)
    made = columns.encode_rows(fitted, CELLS)
    assert columns.decode(fitted, made[4]) == {"area": 9.0, "price": 1000.0, "colour": "other"}
    assert columns.decode(fitted, made[2], ["colour"])["area"] == "missing"
    assert list(columns.decode(fitted, made[2], ["colour"])) == ["colour", "area", "price"]


def test_examples_fit_the_operation() -> None:
    fitted = columns.fit(CELLS, KINDS)
    usual, unknown, strange = (operation(fitted, row) for row in columns.examples(fitted))
    assert all(np.isfinite(row).all() for row in (usual, unknown, strange))
    assert unknown[1] == 1.0 and usual[1] == 0.0 and strange[-1] == 1.0


@pytest.mark.parametrize("cell", ["twelve", math.inf, "inf"])
def test_a_cell_that_is_no_number_is_named(cell: object) -> None:
    with pytest.raises(InputError, match=r"'x'.*finite numbers"):
        columns.fit({"x": [1.0, 2.0, cell]}, {"x": "numeric"})


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="no column tells rows apart"):
        columns.fit({"x": [1, 1, 1], "y": ["a", "b", "c"]}, {"x": "numeric", "y": "category"})
    with pytest.raises(InputError, match="'word'"):
        columns.fit({"x": ["a"]}, {"x": "word"})
    with pytest.raises(InputError, match="columns are missing: price"):
        columns.encode_rows(columns.fit(CELLS, KINDS), {"area": [1], "colour": ["red"]})


def test_groups_cover_every_feature() -> None:
    fitted = columns.fit(CELLS, KINDS)
    places = [i for group in columns.groups(fitted) for i in range(group.start, group.stop)]
    assert places == list(range(len(columns.feature_names(fitted))))
