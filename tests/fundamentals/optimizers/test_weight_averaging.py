"""EMA and SWA against torch's and timm's, with buffers, and the mean of a restless walk."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from fathom.fundamentals.optimizers.weight_averaging import (
    WeightAverage,
    equal,
    equal_by_hand,
    exponential,
    exponential_by_hand,
    refit_normalization,
)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 2)).double()


def walk(model: nn.Module, dice: torch.Generator) -> None:
    """One restless step: weights are shaken, and statistics of normalisation move on."""
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn(p.shape, dtype=p.dtype, generator=dice))
        model(torch.randn(8, 4, dtype=torch.float64, generator=dice))


def same(ours: nn.Module, theirs: nn.Module) -> bool:
    a, b = ours.state_dict(), theirs.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)


def test_a_thousand_equal_shares_are_those_of_torch() -> None:
    model, dice = network(), torch.Generator().manual_seed(0)
    ours = WeightAverage(model, equal, average_buffers=False)
    theirs = AveragedModel(model)
    for step in range(1000):
        walk(model, dice)
        ours.update(model, step)
        theirs.update_parameters(model)
    for (name, a), b in zip(
        ours.model.state_dict().items(), theirs.module.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12, msg=name)


def test_a_thousand_exponential_steps_are_those_of_torch_to_the_last_bit() -> None:
    """Torch's average begins as the first weights that it is shown; ours as those that it is made from."""
    model, dice = network(), torch.Generator().manual_seed(0)
    ours = WeightAverage(model, exponential(0.95), average_buffers=False)
    theirs = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.95))
    theirs.update_parameters(model)
    for step in range(1000):
        walk(model, dice)
        ours.update(model, step)
        theirs.update_parameters(model)
    assert same(ours.model, theirs.module)


@pytest.mark.slow
def test_a_thousand_exponential_steps_are_those_of_timm_to_the_last_bit() -> None:
    from timm.utils import ModelEmaV3

    model, dice = network(), torch.Generator().manual_seed(0)
    ours, theirs = WeightAverage(model, exponential(0.95)), ModelEmaV3(model, decay=0.95)
    for step in range(1000):
        walk(model, dice)
        ours.update(model, step)
        theirs.update(model)
    assert same(ours.model, theirs.module)


def test_the_engine_keeps_one() -> None:
    """Weights, running statistics and counters of a run, beside the formula written out tensor by tensor."""
    from fathom.training import SGD, CrossEntropy, GradientDescent, Parallel

    model, dice = network(), torch.Generator().manual_seed(0)
    how = GradientDescent(objective=CrossEntropy(), optimizer=SGD(learning_rate=0.1), average=0.5)
    learner = how.learner(model, 40, Parallel())
    kept = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for step in range(40):
        inputs = torch.randn(8, 4, dtype=torch.float64, generator=dice)
        learner.update((inputs, torch.randint(2, (8,), generator=dice)), step)
        decay = min(0.5, (1 + step) / (10 + step))
        for name, tensor in model.state_dict().items():
            moves = tensor.is_floating_point()
            kept[name] = kept[name].lerp(tensor, 1 - decay) if moves else tensor.clone()
    found = learner.model.state_dict()
    assert learner.model is not model and found.keys() == kept.keys()
    assert all(torch.equal(found[name], kept[name]) for name in kept)
    assert any(not torch.equal(kept[name], tensor) for name, tensor in model.state_dict().items())


def test_a_mean_of_equal_shares_and_a_weighted_one() -> None:
    values = torch.randn(40, 3, dtype=torch.float64)
    torch.testing.assert_close(equal_by_hand(values)[-1], values.mean(0))
    weights = 0.9 ** torch.arange(39, -1, -1, dtype=torch.float64) * 0.1
    weights[0] = 0.9**39  # the first value is also where the average began
    expected = (weights[:, None] * values).sum(0)
    torch.testing.assert_close(exponential_by_hand(values, 0.9)[-1], expected, rtol=1e-12, atol=1e-14)


def test_the_mean_of_a_walk_is_nearer_to_the_minimum_than_its_end() -> None:
    """On a noisy bowl at a constant rate, over twenty walks."""
    nearer = 0
    for seed in range(20):
        dice, weight, seen = torch.Generator().manual_seed(seed), torch.zeros(5), []
        for _ in range(300):
            weight = weight - 0.2 * (weight + torch.randn(5, generator=dice))
            seen.append(weight)
        nearer += float(torch.stack(seen[100:]).mean(0).norm()) < float(weight.norm())
    assert nearer >= 19


def test_statistics_are_counted_anew() -> None:
    """A model whose weights were replaced normalises by statistics that no longer fit."""
    model = network()
    batches = [torch.randn(16, 4, dtype=torch.float64) for _ in range(5)]
    with torch.no_grad():
        model[0].bias.add_(7.0)  # type: ignore[index, operator]
    refit_normalization(model, batches)
    mean = torch.stack([model[0](b).mean(0) for b in batches]).mean(0)  # type: ignore[index, operator]
    torch.testing.assert_close(model[1].running_mean, mean.detach())  # type: ignore[index]
    with pytest.raises(ValueError, match="batches is empty; give at least one"):
        refit_normalization(model, iter([]))
    torch.testing.assert_close(model[1].running_mean, mean.detach())  # type: ignore[index]


def test_counters_are_copied_and_the_model_is_left_alone() -> None:
    model, dice = network(), torch.Generator().manual_seed(0)
    average = WeightAverage(model, exponential(0.5))
    walk(model, dice)
    before = copy.deepcopy(model.state_dict())
    average.update(model, 0)
    assert int(average.model.state_dict()["1.num_batches_tracked"]) == 1
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())
    assert not average.model.training and not any(p.requires_grad for p in average.model.parameters())


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_and_large_values(kind: torch.dtype) -> None:
    for value in (0.0, 1e4, -1e4):
        model = nn.Linear(2, 1).to(kind)
        average = WeightAverage(model, exponential(0.5))
        with torch.no_grad():
            model.weight.fill_(value)
        for step in range(30):
            average.update(model, step)
        weight: Tensor = average.model.weight  # type: ignore[assignment]
        torch.testing.assert_close(weight, model.weight.detach(), rtol=0.01, atol=0.01)


def test_a_model_without_parameters_is_followed() -> None:
    WeightAverage(nn.ReLU(), equal).update(nn.ReLU(), 0)


@pytest.mark.parametrize("decay", [0.0, 1.0, -0.1, float("nan")])
def test_decays_out_of_range_are_refused(decay: float) -> None:
    with pytest.raises(ValueError, match=rf"decay is {decay}; it must be in \(0, 1\)"):
        exponential(decay)


def test_other_models_and_steps_are_refused() -> None:
    average: Any = WeightAverage(nn.Linear(2, 2), equal)
    with pytest.raises(ValueError, match="other names or shapes"):
        average.update(nn.Linear(2, 3), 0)
    with pytest.raises(ValueError, match="step is -1; it must be 0 or more"):
        average.update(nn.Linear(2, 2), -1)
