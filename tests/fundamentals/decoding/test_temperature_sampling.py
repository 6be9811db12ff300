"""Temperature against transformers' warper; draws against its seeded draws and against probabilities."""

import math

import pytest
import torch
from tests.fundamentals.decoding.warpers import NOTHING, logits, theirs

from fathom.fundamentals.decoding.temperature_sampling import draw, draw_by_hand, tempered, tempered_by_hand


@pytest.mark.parametrize("temperature", [0.1, 0.7, 1.0, 2.5])
def test_equals_transformers(temperature: float) -> None:
    given = logits()
    found = tempered(given, temperature)
    torch.testing.assert_close(found, theirs("TemperatureLogitsWarper", temperature)(NOTHING, given))
    again = tempered_by_hand(given.double() / 4, temperature).softmax(dim=-1)
    torch.testing.assert_close(tempered(given.double() / 4, temperature).softmax(dim=-1), again)


def test_ratios_are_raised_to_a_power() -> None:
    shares = torch.tensor([0.6, 0.3, 0.1])
    found = tempered(shares.log(), 0.5).softmax(dim=-1)
    torch.testing.assert_close(found[0] / found[2], (shares[0] / shares[2]) ** 2)


def test_the_same_dice_draw_what_transformers_draws() -> None:
    """Its generate draws by torch.multinomial from the probabilities; so do we, row by row or together."""
    given = logits()
    for seed in range(5):
        ours = draw(given, torch.Generator().manual_seed(seed))
        other = torch.multinomial(given.softmax(-1), 1, generator=torch.Generator().manual_seed(seed))
        assert torch.equal(ours, other[:, 0])
    assert draw(given.reshape(8, 8, 50)).shape == (8, 8) and draw(given[0]).shape == ()


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    shares = torch.tensor([0.5, 0.3, 0.2, 0.0])
    many, dice = shares.log().expand(20_000, 4), torch.Generator().manual_seed(3)
    for found in (draw(many, dice), draw_by_hand(many, dice)):
        counts = found.bincount(minlength=4) / 20_000
        assert counts[3] == 0
        assert (counts - shares).abs().max() < 4 * math.sqrt(0.25 / 20_000)  # four deviations


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf])
def test_temperatures_without_meaning_are_refused(temperature: float) -> None:
    with pytest.raises(ValueError, match=r"temperature is .*positive and finite.*use greedy decoding"):
        tempered(torch.zeros(2), temperature)


def test_what_cannot_be_drawn_from_is_refused() -> None:
    for wrong in (tempered, lambda x, _: draw(x)):
        with pytest.raises(ValueError, match="logits holds nan"):
            wrong(torch.tensor([math.nan, 1.0]), 0.5)
