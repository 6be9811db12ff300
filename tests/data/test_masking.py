"""Masks over words: how many, which, and what becomes of them."""

import math

import pytest
import torch

from fathom.data.masking import MaskTokens
from fathom.training.objectives import IGNORE
from fathom.training.randomness import uniform

MASKS = MaskTokens(mask=4, vocabulary=50, length=200, special=(0, 2, 3, 4))


def drawn(masks: MaskTokens = MASKS, rows: int = 200) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    token = torch.randint(5, 50, (rows, masks.length))
    token[:, 0], token[:, -9:] = 2, 0  # a frame and padding
    numbers = uniform(0, 0, torch.arange(rows), masks.draws)
    seen, target = masks((token, token), numbers)
    return token, seen, target


def test_shares_are_those_of_the_paper() -> None:
    token, seen, target = drawn()
    chosen = target != IGNORE
    count = 200 * 190
    four = 4 * math.sqrt(0.15 * 0.85 / count)  # deviations
    assert abs(int(chosen.sum()) / count - 0.15) < four
    assert not chosen[:, 0].any() and not chosen[:, -9:].any()
    assert torch.equal(target[chosen], token[chosen]) and torch.equal(seen[~chosen], token[~chosen])
    found = seen[chosen]
    masked = float((found == 4).float().mean())
    kept = float((found == token[chosen]).float().mean())
    few = 4 * math.sqrt(0.1 * 0.9 / int(chosen.sum()))
    assert abs(masked - (0.8 + 0.1 / 50)) < few and abs(kept - (0.1 + 0.1 / 50)) < few
    others = found[(found != 4) & (found != token[chosen])]
    assert len(others.unique()) > 40  # any token of the vocabulary


def test_settings_are_meant() -> None:
    token, seen, target = drawn(
        MaskTokens(mask=4, vocabulary=50, length=30, special=(0, 2, 4), share=1.0, kept=1.0, exchanged=0.0)
    )
    assert torch.equal(seen, token) and (target != IGNORE).sum() == 200 * 20
    _, seen, target = drawn(
        MaskTokens(mask=4, vocabulary=50, length=30, special=(0, 2, 4), share=1.0, kept=0.0, exchanged=0.0)
    )
    assert (seen[:, 1:-9] == 4).all()
    token, seen, target = drawn(MaskTokens(mask=4, vocabulary=50, length=30, special=(), share=0.0))
    assert torch.equal(seen, token) and (target == IGNORE).all()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"share": 1.5}, "share is 1.5"),
        ({"kept": -0.1}, "kept is -0.1"),
        ({"kept": 0.6, "exchanged": 0.6}, "exchanged and kept together is 1.2"),
        ({"mask": 50}, "mask is 50, vocabulary 50"),
        ({"length": 0}, "length 0"),
    ],
)
def test_nonsense_is_refused(changed: dict, words: str) -> None:
    given = {"mask": 4, "vocabulary": 50, "length": 30, "special": (0,)} | changed
    with pytest.raises(ValueError, match=words):
        MaskTokens(**given)
