"""Ensembles and test-time augmentation equal averages made by hand; depth rates equal timm's."""

import pytest
import torch
from torch import nn

from fathom.fundamentals.regularization.ensembling import (
    Ensemble,
    average_over_views,
    average_predictions,
    stochastic_depth_rates,
)


def members(count: int = 4) -> list[nn.Module]:
    torch.manual_seed(0)
    return [nn.Sequential(nn.Linear(6, 9), nn.Tanh(), nn.Linear(9, 3)).double() for _ in range(count)]


def test_an_ensemble_equals_the_average_made_by_hand() -> None:
    x, networks = torch.randn(7, 6, dtype=torch.float64), members()
    manual = sum((network(x).softmax(dim=1) for network in networks), torch.zeros(7, 3).double()) / 4
    torch.testing.assert_close(Ensemble(networks)(x), manual, rtol=1e-13, atol=1e-15)
    logits = sum((network(x) for network in networks), torch.zeros(7, 3).double()) / 4
    torch.testing.assert_close(Ensemble(networks, "logit")(x), logits.softmax(dim=1), rtol=1e-13, atol=1e-15)
    assert len(list(Ensemble(networks).parameters())) == 16  # all are found, saved and moved


def test_the_mean_of_probabilities_scores_at_least_as_well_as_the_members_do() -> None:
    x, label = torch.randn(50, 6, dtype=torch.float64), torch.randint(3, (50,))
    logits = [network(x) for network in members()]
    scores = [nn.functional.cross_entropy(z, label) for z in logits]
    together = nn.functional.nll_loss(average_predictions(logits).log(), label)
    assert together <= torch.stack(scores).mean()
    torch.testing.assert_close(average_predictions(logits[:1]), logits[0].softmax(dim=1))


def test_views_average_to_the_mean_made_by_hand() -> None:
    torch.manual_seed(1)
    network = nn.Conv2d(3, 2, 3, padding=1).eval()
    x = torch.randn(2, 3, 8, 6)
    views = [lambda v: v, lambda v: v.flip(-1), lambda v: v.roll(1, -1)]
    undo = [lambda v: v, lambda v: v.flip(-1), lambda v: v.roll(-1, -1)]

    def classify(images: torch.Tensor) -> torch.Tensor:
        return network(images).mean(dim=(2, 3)).softmax(dim=1)

    whole = average_over_views(classify, x, views)
    torch.testing.assert_close(whole, (classify(x) + classify(x.flip(-1)) + classify(x.roll(1, -1))) / 3)
    dense = average_over_views(network, x, views, undo)
    manual = (network(x) + network(x.flip(-1)).flip(-1) + network(x.roll(1, -1)).roll(-1, -1)) / 3
    torch.testing.assert_close(dense, manual)
    # Half of the answers to an image are those to its mirror image, turned: the average does not mind.
    mirrored = average_over_views(network, x.flip(-1), views[:2], undo[:2]).flip(-1)
    torch.testing.assert_close(mirrored, average_over_views(network, x, views[:2], undo[:2]))


@pytest.mark.slow
def test_rates_of_stochastic_depth_equal_timm() -> None:
    from timm.layers.drop import calculate_drop_path_rates

    for rate in (0.0, 0.1, 0.5):
        for branches in (1, 2, 12, 24):
            theirs = calculate_drop_path_rates(rate, branches)  # in float32
            assert stochastic_depth_rates(rate, branches) == pytest.approx(theirs, abs=1e-7)


def test_extremes_and_half_precision() -> None:
    far = [torch.tensor([[1e4, -1e4]]), torch.tensor([[-1e4, 1e4]])]
    assert average_predictions(far).tolist() == average_predictions(far, "logit").tolist() == [[0.5, 0.5]]
    assert average_predictions([torch.zeros(0, 3)]).shape == (0, 3)
    for dtype in (torch.float16, torch.bfloat16):
        made = average_predictions([torch.tensor([[1.0, 2.0]], dtype=dtype)] * 3)
        torch.testing.assert_close(made.float(), torch.tensor([[1.0, 2.0]]).softmax(1), rtol=0, atol=1e-2)
    assert stochastic_depth_rates(0.3, 0) == [] and stochastic_depth_rates(0.3, 1) == [0.0]


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="logits is empty; give those of at least one member"):
        average_predictions([])
    with pytest.raises(ValueError, match=r"logits have shapes \[\(2, 3\), \(4, 3\)\]; all members"):
        average_predictions([torch.zeros(2, 3), torch.zeros(4, 3)])
    for call in (
        lambda: average_predictions([torch.zeros(2, 3)], "vote"),
        lambda: Ensemble(members(), "vote"),
    ):
        with pytest.raises(ValueError, match="kind is 'vote'; it must be one of probability, logit"):
            call()
    with pytest.raises(ValueError, match="members is empty; give at least one network"):
        Ensemble([])
    with pytest.raises(ValueError, match="views is empty; give at least one"):
        average_over_views(torch.sin, torch.zeros(2), [])
    with pytest.raises(ValueError, match="undo holds 1 functions for 2 views; give one each"):
        average_over_views(torch.sin, torch.zeros(2), [torch.cos, torch.cos], [torch.cos])
    with pytest.raises(ValueError, match=r"rate is 1.0; it must be in \[0, 1\)"):
        stochastic_depth_rates(1.0, 3)
    with pytest.raises(ValueError, match="branches is -1; it must be 0 or more"):
        stochastic_depth_rates(0.1, -1)
