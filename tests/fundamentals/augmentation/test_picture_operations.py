"""Each operation at each strength, bit for bit torchvision's."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from fathom.fundamentals.augmentation.picture_operations import MOVING, apply_operations, ladder, strengths
from fathom.fundamentals.augmentation.randaugment import RANDAUGMENT, TRIVIALAUGMENT


@pytest.mark.slow
def test_every_operation_is_torchvisions_at_every_strength(pictures: Callable[..., Tensor]) -> None:
    """uint8, bit for bit: each operation at each of 31 steps, both signs, square and not, filled."""
    from torchvision.transforms import v2

    for size, fill in (((32, 32), None), ((17, 24), 99.0)):
        for space in (RANDAUGMENT, TRIVIALAUGMENT):
            reference: Any = v2.RandAugment()
            for number, name in enumerate(space):
                x = pictures(62, size)
                choice, step = torch.full((62,), number), torch.arange(62) % 31
                strength = strengths(space, choice, step, torch.arange(62) > 30, steps=31, size=size)
                if size != (32, 32) and name in MOVING:
                    strength = strength * 0.983  # no pixel is equally near to two: there float32 decides
                ours = apply_operations(x, list(space), choice, strength, fill=fill or 0.0)
                fills = {torch.Tensor: fill, "others": fill}
                for i in range(62):
                    theirs = reference._apply_image_or_video_transform(
                        x[i], name, float(strength[i]), v2.InterpolationMode.NEAREST, fills
                    )
                    assert torch.equal(ours[i], theirs), (name, float(strength[i]))


def test_a_picture_does_not_depend_on_the_batch_it_stands_in(pictures: Callable[..., Tensor]) -> None:
    x = pictures(14)
    choice, strength = torch.arange(14), torch.full((14,), 0.3)
    strength[list(RANDAUGMENT).index("Posterize")] = 5
    whole = apply_operations(x, list(RANDAUGMENT), choice, strength)
    for i in range(14):
        alone = apply_operations(x[i : i + 1], list(RANDAUGMENT), choice[i : i + 1], strength[i : i + 1])
        assert torch.equal(whole[i : i + 1], alone)


def test_identity_and_extremes(pictures: Callable[..., Tensor]) -> None:
    x = pictures(3)
    assert torch.equal(apply_operations(x, ["Identity"], torch.zeros(3).long(), torch.zeros(3)), x)
    empty = torch.zeros(0, 3, 8, 8, dtype=torch.uint8)
    assert (
        apply_operations(empty, list(RANDAUGMENT), torch.zeros(0).long(), torch.zeros(0)).shape == empty.shape
    )
    half = (x.float() / 255).half()
    moved = apply_operations(
        half, ["Rotate", "Color", "Equalize"], torch.arange(3), torch.tensor([20.0, 0.5, 0.0])
    )
    assert moved.dtype == torch.float16 and moved.isfinite().all()


def test_bad_input_is_refused(pictures: Callable[..., Tensor]) -> None:
    x, one = pictures(1), torch.zeros(1).long()
    for wrong, words in (
        (lambda: ladder(RANDAUGMENT, "Blur", 31, (8, 8)), "name is 'Blur'; it must be one of Identity"),
        (lambda: ladder(RANDAUGMENT, "Rotate", 1, (8, 8)), "steps is 1"),
        (
            lambda: strengths(RANDAUGMENT, one + 14, one, one > 0, steps=10, size=(8, 8)),
            "choice goes from 14 to 14",
        ),
        (lambda: strengths(RANDAUGMENT, one, one + 10, one > 0, steps=10, size=(8, 8)), "step goes from 10"),
        (lambda: apply_operations(x, ["Blur"], one, one.float()), "names holds 'Blur'"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
