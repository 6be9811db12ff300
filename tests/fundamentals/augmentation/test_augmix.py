"""AugMix against torchvision with the same draws."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fathom.fundamentals.augmentation.augmix import AUGMIX, augmix


@pytest.mark.slow
def test_ladders_are_torchvisions(same_ladders: Callable[..., None]) -> None:
    from torchvision.transforms import v2

    same_ladders(AUGMIX, v2.AugMix)


@pytest.mark.slow
def test_augmix_is_torchvisions_with_the_same_draws(
    pictures: Callable[..., Tensor],
    drawn: Callable[[list[int], list[float]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from torchvision.transforms import v2

    count, names = 12, list(AUGMIX)
    x, dice = pictures(count), torch.Generator().manual_seed(1)
    choice = torch.randint(13, (count, 3, 3), generator=dice)
    step = torch.randint(3, (count, 3, 3), generator=dice)
    sign = torch.rand(count, 3, 3, generator=dice)
    depth = torch.randint(1, 4, (count, 3), generator=dice)
    weight = torch.rand(count, 3, generator=dice)
    weight, kept = weight / weight.sum(1, keepdim=True), torch.rand(count, generator=dice)
    ours = augmix(x, choice, step, sign <= 0.5, depth, weight, kept)
    reference = v2.AugMix()
    for i in range(count):
        whole, uniform = [], []
        for k in range(3):
            whole.append(int(depth[i, k]))
            for n in range(int(depth[i, k])):
                ends = AUGMIX[names[int(choice[i, k, n])]]
                whole += [int(choice[i, k, n])] + ([int(step[i, k, n])] if ends else [])
                uniform += [float(sign[i, k, n])] if ends and ends[3] else []
        shares = iter([torch.stack([kept[i], 1 - kept[i]])[None], weight[i : i + 1]])
        monkeypatch.setattr(reference, "_sample_dirichlet", lambda _, shares=shares: next(shares))
        drawn(whole, uniform)
        theirs = reference(x[i])
        monkeypatch.undo()
        gap = (ours[i].int() - theirs.int()).abs()  # sums of shares may round to the other side of a level
        assert gap.max() <= 1 and (gap > 0).float().mean() < 1e-3


def test_the_whole_picture_is_kept_where_m_is_one(pictures: Callable[..., Tensor]) -> None:
    x, nothing = pictures(3), torch.zeros(3, 1, 1).long()
    kept = augmix(x, nothing, nothing, nothing > 0, nothing[:, :, 0], torch.ones(3, 1), torch.ones(3))
    assert torch.equal(kept, x)


def test_bad_input_is_refused(pictures: Callable[..., Tensor]) -> None:
    x, some = pictures(1), torch.ones(1, 1, 1).long()
    for wrong, words in (
        (
            lambda: augmix(x, some, some, some > 0, some[0], torch.full((1, 1), 0.5), torch.zeros(1)),
            "sum to 1",
        ),
        (
            lambda: augmix(x, some, some, some > 0, some[0], torch.ones(1, 1), torch.full((1,), 1.5)),
            "kept holds",
        ),
        (
            lambda: augmix(x, some + 12, some, some > 0, some[0], torch.ones(1, 1), torch.zeros(1)),
            "choice goes from 13 to 13",
        ),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
