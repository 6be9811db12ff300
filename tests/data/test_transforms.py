"""Augmentations of the engine: a change belongs to its sample, and old ones have not moved by a bit."""

import dataclasses
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fathom.architectures.convolutional import lenet
from fathom.data.loading import Augment, Shuffled
from fathom.data.mixing import CutMix, Mixup
from fathom.data.policies import AugMix, AutoAugment, RandAugment, TrivialAugment
from fathom.data.split import Tensors
from fathom.data.transforms import (
    Affine,
    ColourJitter,
    Cutout,
    Flip,
    PadCrop,
    RandomAffine,
    RandomErasing,
    Shift,
)
from fathom.fundamentals.augmentation import colour
from fathom.task import Boundary
from fathom.training import train
from fathom.training.randomness import permutation, uniform

ALL = (
    Flip(), Shift(pixels=3), Shift(pixels=2, fill=9.0), PadCrop(padding=3), PadCrop(padding=3, mode="edge"),
    Affine(),
    RandomAffine(shift=2.0, scale=(0.8, 1.2), shear=10.0, fill=30.0), ColourJitter(hue=0.1), Cutout(size=5),
    RandomErasing(), RandAugment(), RandAugment(operations=3, magnitude=20, interpolation="bilinear"),
    TrivialAugment(), AutoAugment(), AutoAugment(policy="imagenet"), AutoAugment(policy="svhn"), AugMix(),
)  # fmt: skip
MIXING = (Mixup(classes=4), CutMix(classes=4))


def batch(count: int = 40, size: tuple[int, int] = (16, 13)) -> tuple[Tensor, Tensor]:
    return torch.randint(256, (count, 3, *size), dtype=torch.uint8), torch.arange(count) % 4


@pytest.mark.parametrize("augment", ALL, ids=repr)
def test_a_sample_is_changed_alike_in_whatever_batch(augment: Augment) -> None:
    """In uint8 bit for bit, the whole batch, a shuffled part and one alone; the input stays as it was."""
    (images, labels), index = batch(), torch.arange(40)
    before = images.clone()
    assert isinstance(augment, Augment)
    whole, kept = augment((images, labels), uniform(3, 1, index, augment.draws))
    assert torch.equal(images, before) and torch.equal(kept, labels)
    assert whole.dtype == torch.uint8 and whole.shape == images.shape
    assert (whole != images).flatten(1).any(1).float().mean() > 0.25
    for part in (torch.tensor([7, 31, 2, 2, 18]), torch.tensor([5])):
        alone, _ = augment((images[part], labels[part]), uniform(3, 1, part, augment.draws))
        assert torch.equal(alone, whole[part])
    again, _ = augment((images, labels), uniform(3, 1, index, augment.draws))
    other, _ = augment((images, labels), uniform(3, 2, index, augment.draws))
    assert torch.equal(again, whole) and not torch.equal(other, whole)


@pytest.mark.parametrize("augment", ALL, ids=repr)
def test_floating_and_empty_batches(augment: Augment) -> None:
    images, labels = batch(5)
    made, _ = augment((images.float() / 255, labels), uniform(0, 0, torch.arange(5), augment.draws))
    assert made.dtype == torch.float32 and made.isfinite().all()
    if not isinstance(augment, Affine):  # it asks torch for a grid, which refuses to make none
        none, _ = augment((images[:0], labels[:0]), torch.zeros(0, augment.draws))
        assert none.shape == (0, 3, 16, 13)


def old_shift(images: Tensor, numbers: Tensor, pixels: int, fill: float) -> Tensor:
    """Shift as it was when the first records were made."""
    b, c, h, w = images.shape
    padded = F.pad(images, (pixels,) * 4, value=fill)
    moves = (numbers * (2 * pixels + 1)).long()
    rows, columns = moves[:, 0, None] + torch.arange(h), moves[:, 1, None] + torch.arange(w)
    place = (rows[:, :, None] * (w + 2 * pixels) + columns[:, None, :]).reshape(b, 1, h * w)
    return padded.flatten(2).gather(2, place.expand(b, c, h * w)).reshape(b, c, h, w)


def old_cutout(images: Tensor, numbers: Tensor, size: int, fill: float) -> Tensor:
    """Cutout as it was when the first records were made."""
    h, w = images.shape[-2:]
    centre, half = (numbers * torch.tensor([h, w])).long(), size // 2
    rows = (torch.arange(h) - centre[:, :1] + half)[:, :, None]
    columns = (torch.arange(w) - centre[:, 1:] + half)[:, None, :]
    inside = (rows >= 0) & (rows < size) & (columns >= 0) & (columns < size)
    return images.masked_fill(inside[:, None], fill)


def test_what_records_were_made_with_has_not_changed_by_a_bit() -> None:
    for size in ((28, 28), (15, 22)):
        uints, labels = batch(200, size)
        for images in (uints, uints.float() / 255):
            numbers = uniform(1, 2, torch.arange(200), 2)
            for pixels, fill in ((2, 0.0), (3, 0.5 if images.is_floating_point() else 7.0), (0, 0.0)):
                made, _ = Shift(pixels=pixels, fill=fill)((images, labels), numbers)
                assert torch.equal(made, old_shift(images, numbers, pixels, fill))
            for edge, fill in ((8, 0.0), (5, 1.0), (40, 0.0)):
                made, _ = Cutout(size=edge, fill=fill)((images, labels), numbers)
                assert torch.equal(made, old_cutout(images, numbers, edge, fill))
            flipped, _ = Flip(probability=0.3)((images, labels), numbers[:, :1])
            chosen = (numbers[:, 0] < 0.3)[:, None, None, None]
            assert torch.equal(flipped, torch.where(chosen, images.flip(-1), images))


def test_draws_are_spread_as_they_say() -> None:
    images, index = torch.zeros(4000, 1, 9, 9, dtype=torch.uint8), torch.arange(4000)
    images[:, 0, 4, 4] = 255
    (moved,) = PadCrop(padding=2, mode="constant")((images,), uniform(0, 0, index, 2))
    places = moved.flatten(1).argmax(1).bincount(minlength=81).reshape(9, 9)[2:7, 2:7]
    assert places.sum() == 4000 and ((places - 160).abs() < 60).all()
    white = torch.full((4000, 3, 12, 12), 255, dtype=torch.uint8)
    (erased,) = RandomErasing()((white,), uniform(0, 0, index, 23))
    share = (erased[:, 0] == 0).float().mean((1, 2))
    assert (share > 0).float().mean().item() == pytest.approx(0.5, abs=0.03)
    assert share.max() < 0.4 and share[share > 0].mean().item() == pytest.approx(0.17, abs=0.02)
    (lit,) = ColourJitter(brightness=0.5, contrast=0.0, saturation=0.0)(
        (white // 2,), uniform(0, 0, index, 5)
    )
    factor = lit[:, 0, 0, 0].float() / 127
    assert factor.min() < 0.52 and factor.max() > 1.48 and factor.mean().item() == pytest.approx(1, abs=0.02)


def test_colours_change_in_the_order_that_is_drawn() -> None:
    images, labels = batch(24)
    numbers = torch.full((24, 5), 0.75)
    numbers[:, 4] = (torch.arange(24) + 0.5) / 24
    made, _ = ColourJitter(brightness=0.4, contrast=0.6, saturation=0.8, hue=0.2)((images, labels), numbers)
    first, last = images[:1], images[23:]
    for change, factor in (
        (colour.brightness, 1.2),
        (colour.contrast, 1.3),
        (colour.saturation, 1.4),
        (colour.hue, 0.1),
    ):
        first = change(first, factor)
    for change, factor in (
        (colour.hue, 0.1),
        (colour.saturation, 1.4),
        (colour.contrast, 1.3),
        (colour.brightness, 1.2),
    ):
        last = change(last, factor)
    assert torch.equal(made[:1], first) and torch.equal(made[23:], last)


@pytest.mark.parametrize("augment", MIXING, ids=repr)
def test_mixing_takes_its_partners_from_the_whole_split(augment: Any) -> None:
    """A row's partner, its weight and its target are the row's own, whatever batch it stands in."""
    images, labels = batch(60)
    index = torch.arange(60)

    def mixed(rows: Tensor) -> tuple[Tensor, Tensor]:
        numbers = uniform(0, 4, rows, augment.draws)
        partner = augment.partners(numbers, 60)
        return augment((images[rows], labels[rows]), numbers, (images[partner], labels[partner]))

    made, targets = mixed(index)
    assert made.dtype == torch.uint8 and targets.shape == (60, 4)
    torch.testing.assert_close(targets.sum(1), torch.ones(60))
    for part in (torch.tensor([9, 55, 3]), torch.tensor([17])):
        some, their = mixed(part)
        assert torch.equal(some, made[part]) and torch.equal(their, targets[part])
    partner = augment.partners(uniform(0, 4, index, augment.draws), 60)
    assert partner.min() >= 0 and partner.max() < 60 and len(partner.unique()) > 25
    assert (targets > 0).sum(1).max() == 2


@pytest.mark.parametrize("augment", MIXING, ids=repr)
def test_the_engine_reads_the_partners(augment: Any) -> None:
    """They have gone through the changes before; processes and workers see the same rows."""
    images, labels = batch(24)
    flip = Flip()

    def stream(start: int = 0, **changes: Any) -> Any:
        split = Tensors((images, labels))
        source = Shuffled(split=split, batch_size=6, seed=2, augment=(flip, augment), **changes)
        return source.stream(None, start)

    whole = [next(made) for made in [stream()] for _ in range(6)]
    for step, (made, targets) in enumerate(whole):
        epoch, place = divmod(step, 4)
        index = permutation(24, 2, epoch)[place * 6 : place * 6 + 6]
        numbers = uniform(2, epoch, index, 1 + augment.draws)
        partner = augment.partners(numbers[:, 1:], 24)
        (own,) = flip((images[index],), numbers[:, :1])
        (other,) = flip((images[partner],), uniform(2, epoch, partner, 1 + augment.draws)[:, :1])
        wanted = augment((own, labels[index]), numbers[:, 1:], (other, labels[partner]))
        assert torch.equal(made, wanted[0]) and torch.equal(targets, wanted[1])
    late, shares = stream(5), [stream(rank=r, world=2) for r in (0, 1)]
    assert all(torch.equal(a, b) for a, b in zip(next(late), whole[5], strict=True))
    halves = [next(share) for share in shares]
    assert all(torch.equal(torch.cat(parts), b) for parts, b in zip(zip(*halves), whole[0], strict=True))  # noqa: B905
    split_up = next(stream(workers=1))
    assert all(torch.equal(a, b) for a, b in zip(split_up, whole[0], strict=True))


def test_a_network_learns_from_mixed_rows() -> None:
    """Targets are probabilities then; a run with mixup learns what it learned without."""
    experiment = lenet.tiny()
    mixed = dataclasses.replace(experiment, augment=(Mixup(classes=4, alpha=0.4),))
    learner, losses = mixed.learner(), list[float]()
    train(
        learner, mixed.source(mixed.data.load()), steps=mixed.steps,
        observers=[lambda event: losses.append(float(event.metrics["loss"]))],
    )  # fmt: skip
    data = mixed.data.load()
    assert data.valid is not None
    assert mixed.task.evaluate(Boundary(mixed.task, learner.model), data.valid).metrics["accuracy"] > 0.9
    assert losses[-1] > 0.05  # mixed labels cannot be named with certainty


def test_the_engine_streams_them() -> None:
    images, labels = batch(20)
    source = Shuffled(
        split=Tensors((images, labels)), batch_size=5, seed=1,
        augment=(PadCrop(), Flip(), ColourJitter(hue=0.05), RandAugment(), RandomErasing()),
    )  # fmt: skip
    stream, late = source.stream(None, 0), source.stream(None, 6)
    whole = [next(stream) for _ in range(8)]
    for a, b in zip(whole[6:], late, strict=False):
        assert torch.equal(a[0], b[0]) and torch.equal(a[1], b[1])


def test_settings_out_of_range_are_refused() -> None:
    for wrong, words in (
        (lambda: Shift(pixels=-1), "pixels is -1"),
        (lambda: PadCrop(padding=-1), "padding is -1"),
        (lambda: PadCrop(mode="wrap"), "mode is 'wrap'; it must be one of constant, edge, reflect"),
        (lambda: RandomAffine(scale=(0.0, 1.0)), r"scale is \(0.0, 1.0\)"),
        (lambda: RandomAffine(interpolation="cubic"), "interpolation is 'cubic'"),
        (lambda: ColourJitter(contrast=-0.1), "contrast is -0.1"),
        (lambda: ColourJitter(hue=0.6), r"hue is 0.6; it must be in \[0, 0.5\]"),
        (lambda: RandomErasing(probability=1.5), "probability is 1.5"),
        (lambda: RandomErasing(area=(0.5, 0.2)), r"area is \(0.5, 0.2\)"),
        (lambda: RandomErasing(ratio=(0.0, 1.0)), r"ratio is \(0.0, 1.0\)"),
        (lambda: RandAugment(operations=-1), "operations is -1"),
        (lambda: RandAugment(magnitude=31), "magnitude is 31 of 31 steps"),
        (lambda: TrivialAugment(steps=1), "steps is 1"),
        (lambda: AutoAugment(policy="mnist"), "policy is 'mnist'"),
        (lambda: AugMix(severity=11), "severity is 11"),
        (lambda: AugMix(chains=0), "chains is 0"),
        (lambda: Mixup(classes=1), "classes is 1"),
        (lambda: CutMix(classes=10, alpha=0.0), "alpha is 0.0"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
