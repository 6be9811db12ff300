"""What padding may not change in a network that reads (source, previous) and scores the target."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fathom.tasks.sequence_to_sequence import PADDING
from fathom.training.objectives import IGNORE, NextToken


def equals_its_rows(model: nn.Module, apart: float) -> None:
    """A padded batch gives each row what it gives alone, to within ``apart``."""
    rows = [[4, 9, 2], [7, 7, 10, 5, 6, 8, 2], [2]]
    source = torch.tensor([row + [PADDING] * (9 - len(row)) for row in rows])
    previous = torch.randint(3, 13, (3, 4))
    together = model(source, previous)
    for i, row in enumerate(rows):
        alone = model(torch.tensor([row]), previous[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone, atol=apart, rtol=1e-5)


def costs_nothing(plain: nn.Module, apart: float) -> None:
    """Loss and gradients of a batch are those of the same batch with more padding on both sides."""
    padded = copy.deepcopy(plain)
    source, previous = torch.randint(3, 11, (2, 5)), torch.randint(3, 13, (2, 4))
    target = torch.randint(3, 13, (2, 4))
    wider = (F.pad(source, (0, 3)), F.pad(previous, (0, 2)), F.pad(target, (0, 2), value=IGNORE))
    losses = []
    for model, given in ((plain, (source, previous, target)), (padded, wider)):
        loss, _ = NextToken()(model, given)
        loss.backward()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    for a, b in zip(plain.parameters(), padded.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, atol=apart, rtol=1e-5)
