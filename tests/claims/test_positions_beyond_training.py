"""All kinds see the same windows and are asked about the same characters."""

import pytest
import torch
import torch.nn.functional as F

from fathom.claims import positions_beyond_training as claim


@pytest.mark.parametrize("kind", claim.KINDS)
def test_no_character_sees_what_follows_it_and_all_hear_what_went_before(kind: str) -> None:
    torch.manual_seed(0)
    parts = claim.decoder(kind, 7)
    token = torch.randint(7, (1, 12))
    changed = token.clone()
    changed[0, 5] = (token[0, 5] + 1) % 7
    one, other = (claim.scores(parts, kind, each) for each in (token, changed))
    assert torch.allclose(one[:, :5], other[:, :5], atol=1e-6)
    assert (one[:, 5:] - other[:, 5:]).abs().amax(dim=(0, 2)).gt(1e-6).all()


@pytest.mark.parametrize("kind", claim.KINDS)
def test_order_matters(kind: str) -> None:
    """Two characters before the last change places: without positions one layer would not notice."""
    torch.manual_seed(0)
    parts = claim.decoder(kind, 7)
    one, other = torch.tensor([[0, 1, 2, 3]]), torch.tensor([[1, 0, 2, 3]])
    apart = claim.scores(parts, kind, one)[0, -1] - claim.scores(parts, kind, other)[0, -1]
    assert apart.abs().max() > 1e-5


def test_every_length_is_scored_on_the_same_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def noted(parts: torch.nn.ModuleDict, kind: str, token: torch.Tensor) -> torch.Tensor:
        asked.append(token)
        return F.one_hot(token, 7).float()

    monkeypatch.setattr(claim, "scores", noted)
    text = torch.randint(7, (3000,), generator=torch.Generator().manual_seed(0))
    losses = [claim.scored(torch.nn.ModuleDict(), "rotary", text, length) for length in claim.ASKED]
    assert (
        losses[0] == losses[1] == losses[2]
    )  # the score looks one character back, so length is nothing to it
    assert {token.shape[1] for token in asked} == set(claim.ASKED)
    assert torch.equal(asked[0][:, -31:], asked[-8][:, -31:])


def test_all_kinds_see_the_same_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    real, seen = claim.scores, []

    def noted(parts: torch.nn.ModuleDict, kind: str, token: torch.Tensor) -> torch.Tensor:
        seen.append(token)
        return real(parts, kind, token)

    monkeypatch.setattr(claim, "scores", noted)
    monkeypatch.setattr(claim, "STEPS", 2)
    text = torch.randint(7, (3000,), generator=torch.Generator().manual_seed(0))
    for kind in ("learned", "alibi"):
        claim.learned(kind, text, 7, seed=4)
    assert torch.equal(seen[0], seen[2]) and torch.equal(seen[1], seen[3]) and not torch.equal(*seen[:2])
    assert seen[0].shape == (claim.BATCH, claim.TRAINED)
