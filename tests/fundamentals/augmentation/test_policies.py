"""Policies against torchvision with the same draws, and their tables against its and timm's."""

from typing import Any

import pytest
import torch
from torch import Tensor

from fathom.fundamentals.augmentation.policies import (
    AUGMIX,
    AUTOAUGMENT,
    CIFAR10,
    IMAGENET,
    MOVING,
    RANDAUGMENT,
    SPACES,
    SVHN,
    TRIVIALAUGMENT,
    apply_operations,
    augmix,
    autoaugment,
    ladder,
    random_operations,
    strengths,
)


def pictures(count: int, size: tuple[int, int] = (32, 32)) -> Tensor:
    made = torch.randint(256, (count, 3, *size), dtype=torch.uint8)
    made[1::3] = made[1::3] // 3 + 40
    return made


@pytest.mark.slow
def test_tables_are_torchvisions() -> None:
    from torchvision.transforms import v2

    theirs = {
        "RandAugment": v2.RandAugment, "TrivialAugment": v2.TrivialAugmentWide, "AutoAugment": v2.AutoAugment,
        "AugMix": v2.AugMix,
    }  # fmt: skip
    for name, kind in theirs.items():
        assert set(SPACES[name]) == set(kind._AUGMENTATION_SPACE)
        for operation, (magnitudes, signed) in kind._AUGMENTATION_SPACE.items():
            ends = SPACES[name][operation]
            assert signed == bool(ends and ends[3])
            for steps, size in ((31, (32, 32)), (10, (224, 160)), (2, (7, 9))):
                expected = magnitudes(steps, *size)
                found = ladder(name, operation, steps, size)
                assert torch.equal(found, torch.zeros(steps) if expected is None else expected.float()), (
                    operation
                )
    for policy, ours in (("imagenet", IMAGENET), ("cifar10", CIFAR10), ("svhn", SVHN)):
        pairs = v2.AutoAugment(v2.AutoAugmentPolicy(policy))._policies
        assert [[(n, p, m or 0) for n, p, m in pair] for pair in pairs] == [list(pair) for pair in ours]


@pytest.mark.slow
def test_the_imagenet_policy_is_timms_of_the_paper() -> None:
    """It gives steps to operations that have none, and numbers steps from 0 to 10 as the paper does."""
    from timm.data.auto_augment import auto_augment_policy_original

    for ours, theirs in zip(IMAGENET, auto_augment_policy_original({}), strict=True):
        for (name, probability, step), operation in zip(ours, theirs, strict=True):
            assert operation.name.removesuffix("Original") == name and operation.prob == probability
            if AUTOAUGMENT[name] is not None:
                assert operation.magnitude == step


@pytest.mark.slow
def test_every_operation_is_torchvisions_at_every_strength() -> None:
    """uint8, bit for bit: each operation at each of 31 steps, both signs, square and not, filled."""
    from torchvision.transforms import v2

    for size, fill in (((32, 32), None), ((17, 24), 99.0)):
        for space in ("RandAugment", "TrivialAugment"):
            reference: Any = v2.RandAugment()
            for number, name in enumerate(SPACES[space]):
                x = pictures(62, size)
                choice, step = torch.full((62,), number), torch.arange(62) % 31
                strength = strengths(space, choice, step, torch.arange(62) > 30, steps=31, size=size)
                if size != (32, 32) and name in MOVING:
                    strength = strength * 0.983  # no pixel is equally near to two: there float32 decides
                ours = apply_operations(x, list(SPACES[space]), choice, strength, fill=fill or 0.0)
                fills = {torch.Tensor: fill, "others": fill}
                for i in range(62):
                    theirs = reference._apply_image_or_video_transform(
                        x[i], name, float(strength[i]), v2.InterpolationMode.NEAREST, fills
                    )
                    assert torch.equal(ours[i], theirs), (space, name, float(strength[i]))


class Draws:
    """torch's random functions, replaced by given numbers: what a transform would have drawn."""

    def __init__(self, whole: list[int], uniform: list[float]) -> None:
        self.whole, self.uniform = iter(whole), iter(uniform)

    def randint(self, *args: Any, **kwargs: Any) -> Tensor:
        return torch.tensor([next(self.whole)]) if "size" in kwargs else torch.tensor(next(self.whole))

    def rand(self, *args: Any) -> Tensor:
        return torch.tensor(next(self.uniform))


@pytest.mark.slow
def test_whole_policies_are_torchvisions_with_the_same_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.transforms import v2

    count = 30
    x, dice = pictures(count), torch.Generator().manual_seed(0)
    sign = torch.rand(count, 2, generator=dice)
    signed = [bool(ends and ends[3]) for ends in RANDAUGMENT.values()]

    def drawn(whole: list[int], uniform: list[float]) -> None:
        draws = Draws(whole, uniform)
        monkeypatch.setattr(torch, "randint", draws.randint)
        monkeypatch.setattr(torch, "rand", draws.rand)

    choice = torch.randint(14, (count, 2), generator=dice)
    step = torch.randint(31, (count, 2), generator=dice)
    pair = torch.randint(25, (count,), generator=dice)
    applied = torch.rand(count, 2, generator=dice)
    ours = random_operations(x, "RandAugment", choice, torch.full((count, 2), 9), sign <= 0.5)
    wide = random_operations(x, "TrivialAugment", choice[:, :1], step[:, :1], sign[:, :1] <= 0.5)
    searched = autoaugment(x, "cifar10", pair, applied, sign <= 0.5)
    for i in range(count):
        flips = [float(sign[i, k]) for k in (0, 1) if signed[int(choice[i, k])]]
        drawn(choice[i].tolist(), flips)
        assert torch.equal(ours[i], v2.RandAugment()(x[i]))
        ends = TRIVIALAUGMENT[list(TRIVIALAUGMENT)[int(choice[i, 0])]]
        drawn([int(choice[i, 0]), int(step[i, 0])], [float(sign[i, 0])] if ends and ends[3] else [])
        if ends is None:
            drawn([int(choice[i, 0])], [])
        assert torch.equal(wide[i], v2.TrivialAugmentWide()(x[i]))
        uniform: list[float] = []
        for k, (name, probability, _) in enumerate(CIFAR10[int(pair[i])]):
            uniform.append(float(applied[i, k]))
            ladder_ends = AUTOAUGMENT[name]
            if applied[i, k] <= probability and ladder_ends and ladder_ends[3]:
                uniform.append(float(sign[i, k]))
        drawn([int(pair[i])], uniform)
        assert torch.equal(searched[i], v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10)(x[i]))


@pytest.mark.slow
def test_augmix_is_torchvisions_with_the_same_draws(monkeypatch: pytest.MonkeyPatch) -> None:
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
        draws = Draws(whole, uniform)
        shares = iter([torch.stack([kept[i], 1 - kept[i]])[None], weight[i : i + 1]])
        monkeypatch.setattr(reference, "_sample_dirichlet", lambda _, shares=shares: next(shares))
        monkeypatch.setattr(torch, "randint", draws.randint)
        monkeypatch.setattr(torch, "rand", draws.rand)
        theirs = reference(x[i])
        monkeypatch.undo()
        gap = (ours[i].int() - theirs.int()).abs()  # sums of shares may round to the other side of a level
        assert gap.max() <= 1 and (gap > 0).float().mean() < 1e-3


def test_a_picture_does_not_depend_on_the_batch_it_stands_in() -> None:
    x = pictures(14)
    choice, strength = torch.arange(14), torch.full((14,), 0.3)
    strength[list(RANDAUGMENT).index("Posterize")] = 5
    whole = apply_operations(x, list(RANDAUGMENT), choice, strength)
    for i in range(14):
        alone = apply_operations(x[i : i + 1], list(RANDAUGMENT), choice[i : i + 1], strength[i : i + 1])
        assert torch.equal(whole[i : i + 1], alone)


def test_identity_and_extremes() -> None:
    x = pictures(3)
    assert torch.equal(apply_operations(x, ["Identity"], torch.zeros(3).long(), torch.zeros(3)), x)
    empty = torch.zeros(0, 3, 8, 8, dtype=torch.uint8)
    assert (
        apply_operations(empty, list(RANDAUGMENT), torch.zeros(0).long(), torch.zeros(0)).shape == empty.shape
    )
    nothing = torch.zeros(3, 1, 1).long()
    kept = augmix(x, nothing, nothing, nothing > 0, nothing[:, :, 0], torch.ones(3, 1), torch.ones(3))
    assert torch.equal(kept, x)  # m = 1: the picture itself
    half = (x.float() / 255).half()
    moved = apply_operations(
        half, ["Rotate", "Color", "Equalize"], torch.arange(3), torch.tensor([20.0, 0.5, 0.0])
    )
    assert moved.dtype == torch.float16 and moved.isfinite().all()


def test_bad_input_is_refused() -> None:
    x, one = pictures(1), torch.zeros(1).long()
    some = torch.ones(1, 1, 1).long()
    for wrong, words in (
        (lambda: ladder("RandAugment", "Blur", 31, (8, 8)), "'Blur' of 'RandAugment' is not known"),
        (lambda: ladder("Magic", "Rotate", 31, (8, 8)), "there are: RandAugment"),
        (lambda: ladder("RandAugment", "Rotate", 1, (8, 8)), "steps is 1"),
        (
            lambda: strengths("AugMix", one + 13, one, one > 0, steps=10, size=(8, 8)),
            "choice goes from 13 to 13",
        ),
        (lambda: strengths("AugMix", one, one + 10, one > 0, steps=10, size=(8, 8)), "step goes from 10"),
        (lambda: apply_operations(x, ["Blur"], one, one.float()), "names holds 'Blur'"),
        (lambda: autoaugment(x, "mnist", one, torch.zeros(1, 2), torch.zeros(1, 2) > 0), "policy is 'mnist'"),
        (
            lambda: augmix(x, some, some, some > 0, some[0], torch.full((1, 1), 0.5), torch.zeros(1)),
            "sum to 1",
        ),
        (
            lambda: augmix(x, some, some, some > 0, some[0], torch.ones(1, 1), torch.full((1,), 1.5)),
            "kept holds",
        ),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
