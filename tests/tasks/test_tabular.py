"""Tables of a person's own: recognised, read without leaks, learned, scored; what is wrong is said."""

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import r2_score, roc_auc_score, root_mean_squared_error

from fathom.data.split import Data, Tensors, held_out
from fathom.deployment import preprocessing
from fathom.errors import InputError
from fathom.report.page import page
from fathom.task import Boundary, Options
from fathom.tasks.tabular_classification import TabularClassification, area_under_curve
from fathom.tasks.tabular_regression import TabularRegression, score
from fathom.training import train

COLOURS = ("red", "green", "blue")
Write = Callable[..., Path]


def sample(count: int = 120, seed: int = 0) -> list[dict[str, Any]]:
    dice = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for i in range(count):
        size, colour, age = dice.uniform(20, 200), str(dice.choice(COLOURS)), dice.integers(0, 90)
        price = 1000 * size * (1.5 if colour == "red" else 1.0) * float(np.exp(dice.normal(0, 0.02)))
        rows.append({
            "id": 1000 + i, "size": round(size, 1), "colour": colour, "age": int(age) if age > 5 else "",
            "kind": "big" if size > 100 else "small",
            "price": round(price, 2),
        })  # fmt: skip
    return rows


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def made(rows: Sequence[dict[str, Any]], name: str = "houses.csv") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".jsonl":
            path.write_text("\n".join(json.dumps(r) for r in rows), encoding="utf-8")
            return path
        with path.open("w", encoding="utf-8", newline="") as handle:
            writer = csv.DictWriter(handle, list(rows[0]), delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
        return path

    return made


def learned(task: Any, data: Data, steps: int) -> Any:
    experiment = task.experiment(data, 0)
    learner = experiment.learner()
    train(learner, experiment.source(data), steps=steps, seed=0)
    return Boundary(task, learner.model)


# -- recognising -----------------------------------------------------------------------------------
def test_a_quantity_is_regression_and_few_values_are_classes(write: Write) -> None:
    path = write(sample())
    number, label = Options(target="price"), Options(target="kind")
    assert TabularRegression.recognise(path, number) and not TabularClassification.recognise(path, number)
    assert TabularClassification.recognise(path, label) and not TabularRegression.recognise(path, label)


def test_the_target_is_guessed_and_explained(write: Write) -> None:
    sighting = TabularRegression.recognise(write(sample()), Options())
    assert sighting and any("'price'" in s and "--target" in s for s in sighting.saw)
    assert any("'id' (identifier)" in s for s in sighting.saw)
    rows = [{k: v for k, v in r.items() if k != "price"} for r in sample()]
    last = TabularClassification.recognise(write(rows, "last.csv"), Options())
    assert last and any("'kind', the last column" in s for s in last.saw)


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl"])
def test_formats_read_alike(write: Write, name: str) -> None:
    task, data = TabularRegression.read(write(sample(), name), Options(target="price"))
    other, theirs = TabularRegression.read(write(sample(), "b.csv"), Options(target="price"))
    assert task == other
    assert torch.equal(data.train.rows(torch.arange(9))[0], theirs.train.rows(torch.arange(9))[0])


def test_no_table_is_not_recognised(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "a.txt"):
        assert TabularRegression.recognise(path, Options()) is None


# -- reading ---------------------------------------------------------------------------------------
def test_held_out_rows_change_no_number_of_the_encoders(write: Write) -> None:
    rows = sample()
    task, _ = TabularRegression.read(write(rows), Options(target="price"))
    kept, held = held_out(len(rows), 0.2, 0)
    for row in (rows[i] for i in held.tolist()):
        row["size"], row["colour"], row["age"], row["price"] = 1e6, "never seen", "", row["price"] * 3
    again, _ = TabularRegression.read(write(rows), Options(target="price"))
    assert again == task
    rows[int(kept[0])]["size"] = 1e6
    assert TabularRegression.read(write(rows), Options(target="price"))[0] != task


def test_what_is_read_is_what_a_request_gives(write: Write) -> None:
    rows = sample()
    task, data = TabularClassification.read(write(rows), Options(target="kind"))
    made = data.train.rows(torch.arange(len(data.train)))[0].numpy()
    requests = [preprocessing.apply(task.preprocessing(), row)["row"] for row in rows]
    assert all(any(np.array_equal(row, r) for r in requests) for row in made)
    assert {c["name"] for c in task.columns} == {"size", "colour", "age", "price"}  # no id, no target


def test_labels_are_held_out_alike(write: Write) -> None:
    rows = [{"x": i % 7, "label": "rare" if i % 10 == 0 else "usual"} for i in range(200)]
    _, data = TabularClassification.read(write(rows), Options())
    assert (data.valid.columns[1] == 0).sum() == 4 and len(data.valid) == 40  # type: ignore[union-attr, arg-type]


def test_splits_of_its_own_are_kept(write: Write) -> None:
    rows = sample()
    for i, row in enumerate(rows):
        row["split"] = "train" if i < 70 else "val" if i < 90 else "test"
    _, data = TabularRegression.read(write(rows), Options(target="price"))
    assert (len(data.train), len(data.valid), len(data.test)) == (70, 20, 30)  # type: ignore[arg-type]
    for name, part in (("train", rows[:70]), ("test", rows[70:])):
        path = write([{k: v for k, v in r.items() if k != "split"} for r in part], f"folder/{name}.csv")
    _, data = TabularRegression.read(path.parent, Options(target="price"))
    assert (len(data.train), len(data.valid), len(data.test)) == (56, 14, 50)  # type: ignore[arg-type]


def test_classes_are_in_the_order_of_numbers() -> None:
    from fathom.data.rows import labels

    names, found = labels(["10", "9", 9.0, "10"], "y")
    assert names == ("9", "10") and found.tolist() == [1, 0, 0, 1]


# -- what can be wrong -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("target", "cells", "message"),
    [
        ("prize", None, "no column 'prize'; did you mean 'price'"),
        ("kind", ["same"] * 40, "'kind' is 'same' in every row"),
        ("price", [7.0] * 40, "'price' is 7"),
        ("kind", [f"house {i}" for i in range(40)], "'kind' is different in every row"),
        ("kind", [f"house {i // 2}" if i < 38 else f"h{i}" for i in range(40)], "21 different labels in 40"),
        ("kind", [""] * 40, "every label in column 'kind' is missing"),
        ("kind", ["", *["a", "b"] * 19, "a"], r"'kind'.* is empty in 1 of 40 rows .*line 2.*--skip-bad"),
        ("id", None, "'id' is different in every row: it names rows"),
    ],
)
def test_targets_that_cannot_be_learned(
    write: Write, target: str, cells: list[Any] | None, message: str
) -> None:
    rows = sample(40)
    for row, cell in zip(rows, cells or [], strict=bool(cells)):
        row[target] = cell
    path, options = write(rows), Options(target=target)
    regression = TabularRegression.recognise(path, options) is not None or target == "price"
    with pytest.raises(InputError, match=message):
        (TabularRegression if regression else TabularClassification).read(path, options)


def test_rows_without_a_label_are_left_out_when_asked(write: Write) -> None:
    rows = sample(40)
    rows[3]["kind"] = ""
    _, data = TabularClassification.read(write(rows), Options(target="kind", skip_bad=True))
    assert len(data.train) + len(data.valid) == 39  # type: ignore[arg-type]
    assert len(data.facts["skipped"]) == 1 and "line 5" in data.facts["skipped"][0]


def test_too_few_rows_or_columns(write: Write) -> None:
    with pytest.raises(InputError, match="7 rows with a label; give at least 10"):
        TabularRegression.read(write(sample(7)), Options(target="price"))
    only = [{"id": i, "price": i * 1.5} for i in range(30)]
    with pytest.raises(InputError, match="no column of numbers or categories"):
        TabularRegression.read(write(only), Options(target="price"))
    with pytest.raises(InputError, match="holds no table"):
        TabularRegression.read(write(only).parent, Options(target="price"))


def test_a_bad_number_in_the_target_is_named(write: Write) -> None:
    rows = sample(40)
    rows[5]["price"] = "ask"
    with pytest.raises(InputError, match="line 7: column 'price' is to be predicted as a number, not 'ask'"):
        TabularRegression.read(write(rows), Options(target="price"))


def test_new_data_must_have_the_same_columns_and_classes(write: Write) -> None:
    task, _ = TabularClassification.read(write(sample()), Options(target="kind"))
    new = sample(30, seed=5)
    data = task.read_labelled(write(new, "new.csv"), Options())
    assert data.test is not None and len(data.test) == 30
    with pytest.raises(InputError, match="columns are missing: size"):
        task.read_labelled(
            write([{k: v for k, v in r.items() if k != "size"} for r in new], "a.csv"), Options()
        )
    with pytest.raises(InputError, match="no column 'kind'"):
        task.read_labelled(
            write([{k: v for k, v in r.items() if k != "kind"} for r in new], "b.csv"), Options()
        )
    with pytest.raises(InputError, match="predicts 'kind', not 'price'"):
        task.read_labelled(write(new, "c.csv"), Options(target="price"))
    new[4]["kind"] = "huge"
    with pytest.raises(InputError, match="'huge', which is no class of this model; it knows: big, small"):
        task.read_labelled(write(new, "d.csv"), Options())
    new[4]["kind"] = ""
    with pytest.raises(InputError, match="line 6: the label is missing"):
        task.read_labelled(write(new, "e.csv"), Options())


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="columns is empty"):
        TabularRegression(columns=(), target="y")
    with pytest.raises(ValueError, match="deviation is 0"):
        TabularRegression(columns=({"name": "x", "kind": "numeric"},), target="y", deviation=0.0)
    with pytest.raises(ValueError, match="labels has 1"):
        TabularClassification(labels=("a",), columns=({"name": "x", "kind": "numeric"},), target="y")


# -- learning and scoring --------------------------------------------------------------------------
def test_regression_from_file_to_report(write: Write) -> None:
    task, data = TabularRegression.read(write(sample(300)), Options(target="price"))
    network = learned(task, data, 250)
    found = task.evaluate(network, data.valid)
    baselines = task.baselines(data)
    assert set(baselines) == {
        "mean", "ridge regression", "nearest neighbours", "random forest", "gradient boosting"
    }  # fmt: skip
    assert found.metrics["rmse"] < 0.3 * baselines["mean"].metrics["rmse"]
    assert found.metrics["rmse"] == pytest.approx(found.items["squared_error"].mean() ** 0.5)
    assert found.score == -found.metrics["rmse"]
    sections = task.sections(found, data.valid)
    assert [s.title for s in sections] == ["Residuals", "Columns that matter", "Worst errors"]
    assert next(iter(task.importance(found, data.valid))) == "size"
    assert "size" in page("t", "s", sections)
    answer = task.respond(network, [preprocessing.apply(task.preprocessing(), e) for e in task.examples()])
    assert answer[0]["name"] == "price" and 10_000 < answer[0]["value"] < 400_000
    assert all(np.isfinite(a["value"]) for a in answer)


def test_classification_from_file_to_report(write: Write) -> None:
    rows = [{k: v for k, v in r.items() if k != "price"} for r in sample(300)]
    task, data = TabularClassification.read(write(rows), Options(target="kind"))
    network = learned(task, data, 150)
    found = task.evaluate(network, data.valid)
    assert found.metrics["accuracy"] > 0.9 > task.baselines(data)["most frequent class"].metrics["accuracy"]
    assert found.metrics["auc"] > 0.95 and found.headline == "accuracy"
    titles = [s.title for s in task.sections(found, data.valid)]
    assert titles[:4] == ["Confusion", "Classes", "Calibration", "Columns that matter"]
    page("t", "s", task.sections(found, data.valid))
    answer = task.respond(network, [preprocessing.apply(task.preprocessing(), task.examples()[0])])[0]
    assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5)


def test_scores_equal_scikit_learn() -> None:
    dice = np.random.default_rng(0)
    truth, guess = dice.normal(size=50), dice.normal(size=50)
    found = score(truth, guess).metrics
    assert found["rmse"] == pytest.approx(root_mean_squared_error(truth, guess))
    assert found["r2"] == pytest.approx(r2_score(truth, guess))
    labels, shares = dice.integers(0, 2, 200), dice.uniform(size=200).round(1)
    assert area_under_curve(shares, labels) == pytest.approx(roc_auc_score(labels, shares))


def test_scaling_is_undone() -> None:
    columns = ({"name": "x", "kind": "numeric", "mean": 0.0, "scale": 1.0, "fill": 0.0},)
    prices = np.exp(np.random.default_rng(0).normal(11, 1, 500))
    task = TabularRegression.fitted(columns, "price", prices)
    assert task.log
    scaled = task.scaled(prices)
    assert abs(scaled.mean()) < 1e-5 and abs(scaled.std() - 1) < 1e-5
    (value,) = task.finish(torch.from_numpy(scaled)[:, None, None].expand(-1, 4, 1))
    np.testing.assert_allclose(value.numpy(), prices, rtol=1e-4)
    np.testing.assert_allclose(task.unscaled(scaled), prices, rtol=1e-5)
    assert torch.isfinite(task.finish(torch.tensor([1e9, -1e9]))[0]).all()
    assert not TabularRegression.fitted(columns, "x", np.linspace(-1, 1, 50)).log


def test_probabilities_of_members_are_averaged() -> None:
    columns = ({"name": "x", "kind": "numeric", "mean": 0.0, "scale": 1.0, "fill": 0.0},)
    task = TabularClassification(labels=("a", "b"), columns=columns, target="y")
    logits = torch.tensor([[[9.0, -9.0], [-9.0, 9.0]]])
    torch.testing.assert_close(task.finish(logits)[0], torch.tensor([[0.5, 0.5]]))
    torch.testing.assert_close(task.finish(logits[:, 0])[0], logits[:, 0].softmax(-1))


def test_methods_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from fathom.data.baselines import classifiers, regressors, ridge

    dice = np.random.default_rng(0)
    x = dice.normal(size=(200, 5)).astype(np.float32)
    y = x @ np.arange(5.0) + 3
    np.testing.assert_allclose(ridge(x, y)(x), y, atol=0.02)
    for name in ("sklearn.ensemble", "sklearn.neighbors", "sklearn.linear_model"):
        monkeypatch.setitem(sys.modules, name, None)
    assert list(regressors()) == ["ridge regression"]
    (method,) = classifiers(2).values()
    shares = method(x, (y > 3).astype(np.int64))(x)
    assert shares.shape == (200, 2) and ((shares[:, 1] > 0.5) == (y > 3)).mean() > 0.9


def test_a_class_that_is_absent_from_training_has_no_probability(write: Write) -> None:
    from fathom.data.baselines import classifiers

    x = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    shares = classifiers(3)["random forest"](x, np.where(x[:, 0] > 0, 2, 0))(x)
    assert shares.shape == (60, 3) and not shares[:, 1].any()


def test_an_empty_validation_split_of_one_label_has_no_area(write: Write) -> None:
    task, data = TabularClassification.read(write(sample()), Options(target="kind"))
    row, label = data.train.rows(torch.arange(len(data.train)))
    one = Tensors((row[label == 0], label[label == 0]))
    found = task.evaluate(Boundary(task, task.experiment(data, 0).build()), one)
    assert "auc" not in found.metrics and found.metrics["accuracy"] >= 0
