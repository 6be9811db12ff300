"""The ensemble equals members built of torch's layers; the Ames pipeline lets nothing leak."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fathom.applications.tabular.house_prices import Config, EachMember, TableEnsemble
from fathom.errors import InputError
from fathom.recipes import house_prices as recipe
from fathom.task import Boundary

SMALL = Config(features=5, outputs=3, width=7, depth=2, members=4, dropout=0.0)


def scrambled(config: Config) -> TableEnsemble:
    model = config.build()
    dice = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=dice) * 0.5)
    return model


def member(model: TableEnsemble, m: int) -> tuple[nn.Sequential, nn.Linear]:
    """Member ``m`` out of torch's own layers."""
    layers: list[nn.Module] = []
    for own in model.ordered():
        outputs, inputs = own.weight.shape[2], own.weight.shape[1]
        layer = nn.Linear(inputs, outputs)
        layer.weight.data, layer.bias.data = own.weight[m].T.detach().clone(), own.bias[m, 0].detach().clone()
        layers += [layer, nn.SiLU()]
    cut = nn.Linear(model.cfg.features, model.cfg.outputs, bias=False)
    cut.weight.data = model.short_cut[m].T.detach().clone()
    return nn.Sequential(*layers[:-1]), cut


def torch_layers(deep: nn.Sequential) -> list[nn.Linear]:
    return [layer for layer in deep if isinstance(layer, nn.Linear)]


def test_outputs_and_gradients_equal_torchs_layers() -> None:
    model = scrambled(SMALL)
    row = torch.randn(6, 5, generator=torch.Generator().manual_seed(1)) * 3
    ours = model(row)
    ours.square().mean().backward()
    clipped = row / (1 + (row / 3) ** 2).sqrt()
    for m in range(4):
        deep, cut = member(model, m)
        theirs = deep(clipped) + cut(clipped)
        torch.testing.assert_close(ours[:, m], theirs, atol=1e-5, rtol=1e-5)
        (theirs.square().sum() / ours.numel()).backward()
        for own, layer in zip(model.ordered(), torch_layers(deep), strict=True):
            assert own.weight.grad is not None and own.bias.grad is not None
            assert layer.weight.grad is not None and layer.bias.grad is not None
            torch.testing.assert_close(own.weight.grad[m], layer.weight.grad.T, atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(own.bias.grad[m, 0], layer.bias.grad, atol=1e-4, rtol=1e-4)
        assert model.short_cut.grad is not None and cut.weight.grad is not None
        torch.testing.assert_close(model.short_cut.grad[m], cut.weight.grad.T, atol=1e-4, rtol=1e-4)


def test_parameter_count() -> None:
    with torch.device("meta"):
        model = Config(features=300, width=128, depth=2, members=8).build()
    one = (300 * 128 + 128) + (128 * 128 + 128) + (128 + 1) + 300
    assert sum(p.numel() for p in model.parameters()) == 8 * one


def test_no_cell_counts_more_than_three_deviations() -> None:
    model = scrambled(SMALL)
    far, farther = torch.full((1, 5), 1e4), torch.full((1, 5), 1e8)
    torch.testing.assert_close(model(far), model(farther), atol=1e-4, rtol=1e-4)


def test_dropout_is_for_training_only() -> None:
    model = scrambled(dataclasses.replace(SMALL, dropout=0.5))
    row = torch.ones(3, 5)
    assert not torch.equal(model(row), model(row))
    model.eval()
    assert torch.equal(model(row), model(row))


def test_each_member_learns_by_itself() -> None:
    model = scrambled(dataclasses.replace(SMALL, outputs=1))
    row, target = torch.randn(6, 5), torch.randn(6)
    loss, _ = EachMember()(model, (row, target))
    torch.testing.assert_close(
        loss, torch.stack([F.mse_loss(o, target) for o in model(row)[..., 0].T]).mean()
    )

    model, labels = scrambled(SMALL), torch.tensor([0, 1, 2, 0, 1, 2])
    loss, metrics = EachMember()(model, (row, labels))
    each = torch.stack([F.cross_entropy(model(row)[:, m], labels) for m in range(4)])
    torch.testing.assert_close(loss, each.mean())
    assert 0 <= float(metrics["accuracy"]) <= 1
    assert EachMember().count((row, labels)) == 6


@pytest.mark.parametrize("shape", [(6,), (6, 1)])
def test_a_plain_model_is_one_member(shape: tuple[int, ...]) -> None:
    row, target = torch.randn(6, 5), torch.randn(6)
    plain = nn.Linear(5, 1)

    class Shaped(nn.Module):
        def forward(self, given: torch.Tensor) -> torch.Tensor:
            return plain(given).reshape(shape)

    loss, _ = EachMember()(Shaped(), (row, target))
    torch.testing.assert_close(loss, F.mse_loss(plain(row)[:, 0], target))
    loss, _ = EachMember()(nn.Linear(5, 3), (row, torch.tensor([0, 1, 2, 0, 1, 2])))
    assert loss.isfinite()


@pytest.mark.parametrize(
    ("field", "value"), [("features", 0), ("members", 0), ("depth", -1), ("dropout", 1.0)]
)
def test_config_refuses_nonsense(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        dataclasses.replace(SMALL, **{field: value})


# -- the recipe ------------------------------------------------------------------------------------
@pytest.fixture
def houses(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, list[Any]]]:
    """A hundred invented houses in place of the real ones."""
    dice = np.random.default_rng(0)
    area, quality = dice.uniform(500, 3000, 100), dice.integers(1, 10, 100)
    cells: dict[str, list[Any]] = {
        "Gr Liv Area": area.round().tolist(),
        "Overall Qual": [str(q) for q in quality],
        "Mo Sold": [str(m) for m in dice.integers(1, 4, 100)],
        "Alley": [str(a) for a in dice.choice(["Pave", "Grvl", ""], 100)],
    }
    prices = np.exp(10 + area / 2000 + quality / 10)
    monkeypatch.setattr(recipe, "sales", lambda: (cells, prices))
    recipe.prepared.cache_clear()
    yield cells
    recipe.prepared.cache_clear()


def test_held_out_rows_change_no_number_of_the_encoders(houses: dict[str, list[Any]]) -> None:
    for data in (recipe.Ames(), recipe.Ames(fold=3)):
        before = data.task()
        parts = data.parts(100)
        held_out = [i for name, index in parts.items() if name != "train" for i in index.tolist()]
        for i in held_out:
            houses["Gr Liv Area"][i], houses["Overall Qual"][i], houses["Alley"][i] = 1e9, "17", "Never seen"
        recipe.prepared.cache_clear()
        assert data.task() == before
        houses["Gr Liv Area"][parts["train"][0]] += 500.0
        recipe.prepared.cache_clear()
        assert data.task() != before


def test_splits_are_apart_and_folds_cover_all(houses: dict[str, list[Any]]) -> None:
    parts = recipe.Ames().parts(100)
    assert sorted(i for index in parts.values() for i in index.tolist()) == list(range(100))
    folds = [recipe.Ames(fold=k).parts(100) for k in range(5)]
    assert sorted(i for f in folds for i in f["test"].tolist()) == list(range(100))
    assert all(not set(f["test"].tolist()) & set(f["train"].tolist()) for f in folds)
    with pytest.raises(ValueError, match="fold is 5"):
        recipe.Ames(fold=5)


def test_codes_are_categories(houses: dict[str, list[Any]]) -> None:
    kinds = {c["name"]: c["kind"] for c in recipe.Ames().task().columns}
    assert kinds == {
        "Gr Liv Area": "numeric", "Overall Qual": "numeric", "Mo Sold": "category", "Alley": "category"
    }  # fmt: skip


@pytest.mark.slow
def test_cross_validation_compares_on_the_same_rows(
    houses: dict[str, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        recipe, "opponents", lambda seed: {"mean": recipe.mean, "gradient boosting": recipe.ridge}
    )
    short = dataclasses.replace(recipe.house_prices(), steps=40)
    monkeypatch.setattr(recipe, "house_prices", lambda: short)
    found = recipe.check_house_prices(0)
    table = {row["method"]: row for row in found["cross-validation"]}
    assert set(table) == {"this network", "mean", "gradient boosting"}
    assert found["cv/rmse_ratio"] == pytest.approx(found["cv/rmse"] / table["gradient boosting"]["rmse"])
    low, high = table["mean"]["ratio_interval"]
    assert low < table["mean"]["ratio"] < high < 1
    assert recipe.rows_of(found)[-1]["method"] == "mean"
    assert found == recipe.check_house_prices(0)


@pytest.mark.slow
def test_the_real_sales() -> None:
    """Read from the data set: five homes are left out, identifiers and the price are no columns."""
    try:
        cells, prices = recipe.sales()
    except InputError as error:
        pytest.skip(f"the Ames sales are not at hand: {error}")
    assert len(prices) == 2930 - 5 and not {"Order", "PID", "SalePrice"} & set(cells)
    experiment = recipe.house_prices()
    data = experiment.data.load()
    assert (len(data.train), len(data.valid), len(data.test)) == (1755, 585, 585)  # type: ignore[arg-type]
    score = experiment.task.evaluate(Boundary(experiment.task, experiment.build()), data.valid)
    assert abs(score.metrics["r2"]) < 0.2  # the first prediction is about the mean
    assert experiment.expect[0].metric == "cv/rmse_ratio"
