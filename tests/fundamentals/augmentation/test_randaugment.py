"""RandAugment and TrivialAugment against torchvision with the same draws."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fathom.fundamentals.augmentation.randaugment import RANDAUGMENT, TRIVIALAUGMENT, random_operations


@pytest.mark.slow
def test_ladders_are_torchvisions(same_ladders: Callable[..., None]) -> None:
    from torchvision.transforms import v2

    same_ladders(RANDAUGMENT, v2.RandAugment)
    same_ladders(TRIVIALAUGMENT, v2.TrivialAugmentWide)


@pytest.mark.slow
def test_both_are_torchvisions_with_the_same_draws(
    pictures: Callable[..., Tensor], drawn: Callable[[list[int], list[float]], None]
) -> None:
    from torchvision.transforms import v2

    count = 30
    x, dice = pictures(count), torch.Generator().manual_seed(0)
    sign = torch.rand(count, 2, generator=dice)
    signed = [bool(ends and ends[3]) for ends in RANDAUGMENT.values()]
    choice = torch.randint(14, (count, 2), generator=dice)
    step = torch.randint(31, (count, 2), generator=dice)
    ours = random_operations(x, RANDAUGMENT, choice, torch.full((count, 2), 9), sign <= 0.5)
    wide = random_operations(x, TRIVIALAUGMENT, choice[:, :1], step[:, :1], sign[:, :1] <= 0.5)
    for i in range(count):
        flips = [float(sign[i, k]) for k in (0, 1) if signed[int(choice[i, k])]]
        drawn(choice[i].tolist(), flips)
        assert torch.equal(ours[i], v2.RandAugment()(x[i]))
        ends = TRIVIALAUGMENT[list(TRIVIALAUGMENT)[int(choice[i, 0])]]
        drawn([int(choice[i, 0]), int(step[i, 0])], [float(sign[i, 0])] if ends and ends[3] else [])
        if ends is None:
            drawn([int(choice[i, 0])], [])
        assert torch.equal(wide[i], v2.TrivialAugmentWide()(x[i]))


def test_no_operation_and_what_a_batch_has_no_part_in(pictures: Callable[..., Tensor]) -> None:
    x, nothing = pictures(6), torch.zeros(6, 0).long()
    assert torch.equal(random_operations(x, RANDAUGMENT, nothing, nothing, nothing > 0), x)
    choice, step = torch.arange(12).reshape(6, 2), torch.full((6, 2), 20)
    whole = random_operations(x, TRIVIALAUGMENT, choice, step, step > 30)
    for i in range(6):
        rows = slice(i, i + 1)
        alone = random_operations(x[rows], TRIVIALAUGMENT, choice[rows], step[rows], step[rows] > 30)
        assert torch.equal(whole[rows], alone)


def test_choices_outside_the_tables_are_refused(pictures: Callable[..., Tensor]) -> None:
    x, one = pictures(1), torch.zeros(1, 1).long()
    with pytest.raises(ValueError, match="choice goes from 14 to 14"):
        random_operations(x, RANDAUGMENT, one + 14, one, one > 0)
    with pytest.raises(ValueError, match="step goes from 31 to 31"):
        random_operations(x, TRIVIALAUGMENT, one, one + 31, one > 0)
