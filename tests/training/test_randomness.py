"""Counted randomness: stable, uniform, independent of batching, workers and processes."""

import torch

from fathom.data.drawn import bars
from fathom.data.loading import Shuffled
from fathom.data.split import Tensors
from fathom.data.transforms import Affine, Cutout, Flip, Shift
from fathom.training.randomness import generator, key, permutation, seed_step, uniform


def test_keys_are_stable_for_ever() -> None:
    """These values are part of the format: a change would break every resumption and every record."""
    assert key(0, "order", 0) == 907303049817992436
    assert key(1, "a") != key("1", "a")
    assert 0 <= key("x") < 2**63


def test_permutations_differ_by_epoch_and_seed_and_hold_every_row() -> None:
    first = permutation(100, 0, 0)
    assert torch.equal(first, permutation(100, 0, 0))
    assert not torch.equal(first, permutation(100, 0, 1))
    assert not torch.equal(first, permutation(100, 1, 0))
    assert first.sort().values.tolist() == list(range(100))


def test_uniform_numbers_are_uniform_and_uncorrelated() -> None:
    numbers = uniform(0, 0, torch.arange(20_000), 4).double()
    assert numbers.min() >= 0 and numbers.max() < 1
    for column in numbers.T:
        counts = torch.histc(column, 20, 0, 1)
        chi_square = ((counts - 1000) ** 2 / 1000).sum()
        assert chi_square < 43.8  # the 0.1 % point of chi-square with 19 degrees of freedom
    correlation = torch.corrcoef(numbers.T) - torch.eye(4, dtype=torch.float64)
    assert correlation.abs().max() < 0.03
    neighbours = torch.corrcoef(torch.stack([numbers[:-1, 0], numbers[1:, 0]]))[0, 1]
    assert abs(neighbours) < 0.03


def test_uniform_numbers_belong_to_the_sample_not_to_the_batch() -> None:
    together = uniform(3, 2, torch.tensor([5, 9, 1]), 3)
    assert torch.equal(together[1:2], uniform(3, 2, torch.tensor([9]), 3))
    assert not torch.equal(together, uniform(3, 3, torch.tensor([5, 9, 1]), 3))


def test_seeding_a_step_equals_a_fresh_generator() -> None:
    seed_step(4, 17, 1)
    drawn = torch.randn(5)
    assert torch.equal(drawn, torch.randn(5, generator=generator(4, "step", 17, 1)))


def source(**changes: object) -> Shuffled:
    data = bars(size=16, train=50, valid=4).load()
    settings = {
        "split": data.train,
        "batch_size": 12,
        "seed": 5,
        "augment": (Shift(pixels=2), Flip()),
    } | changes
    return Shuffled(**settings)  # type: ignore[arg-type]


def take(stream: object, count: int) -> list[tuple[torch.Tensor, ...]]:
    return [next(stream) for _ in range(count)]  # type: ignore[call-overload]


def test_a_stream_may_begin_anywhere() -> None:
    whole = take(source().stream(None, 0), 13)  # over three epochs of four steps
    for start in (1, 4, 7, 12):
        for a, b in zip(whole[start:], take(source().stream(None, start), 13 - start), strict=True):
            assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_workers_change_nothing() -> None:
    alone = take(source().stream(None, 2), 6)
    for workers in (1, 2):
        for a, b in zip(alone, take(source(workers=workers).stream(None, 2), 6), strict=True):
            assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_processes_share_the_global_batch() -> None:
    whole = take(source().stream(None, 0), 5)
    halves = [take(source(rank=r, world=2).stream(None, 0), 5) for r in (0, 1)]
    for k in range(5):
        joined = [torch.cat([halves[0][k][i], halves[1][k][i]]) for i in (0, 1)]
        assert all(torch.equal(a, b) for a, b in zip(whole[k], joined, strict=True))


def test_every_row_is_seen_once_an_epoch() -> None:
    rows = Tensors((torch.arange(48), torch.arange(48)))
    seen = torch.cat([b[0] for b in take(Shuffled(split=rows, batch_size=12).stream(None, 0), 4)])
    assert seen.sort().values.tolist() == list(range(48))


def test_shift_moves_by_whole_pixels_and_fills() -> None:
    image = torch.arange(1, 26, dtype=torch.uint8).reshape(1, 1, 5, 5)
    still, _ = Shift(pixels=1)((image, torch.zeros(1)), torch.full((1, 2), 0.5))
    assert torch.equal(still, image)
    moved, _ = Shift(pixels=1)((image, torch.zeros(1)), torch.zeros(1, 2))
    assert torch.equal(moved[0, 0, 1:, 1:], image[0, 0, :4, :4])
    assert moved[0, 0, 0].sum() == 0 and moved[0, 0, :, 0].sum() == 0


def test_affine_without_change_is_the_identity() -> None:
    image = torch.rand(3, 2, 7, 9)
    same, _ = Affine(degrees=30.0, scale=0.2, shear=10.0, shift=2.0)(
        (image, torch.zeros(3)), torch.full((3, 5), 0.5)
    )
    torch.testing.assert_close(same, image, rtol=1e-4, atol=1e-4)
    turned, _ = Affine(degrees=180.0, scale=0.0)(
        (image, torch.zeros(3)), torch.tensor([[1.0, 0.5, 0.5, 0.5, 0.5]] * 3)
    )
    torch.testing.assert_close(turned, image.flip(-1, -2), rtol=1e-3, atol=1e-3)


def test_flip_and_cutout() -> None:
    image = torch.rand(2, 1, 6, 6)
    flipped, _ = Flip()((image, torch.zeros(2)), torch.tensor([[0.1], [0.9]]))
    assert torch.equal(flipped[0], image[0].flip(-1)) and torch.equal(flipped[1], image[1])
    cut, _ = Cutout(size=2)((image + 1, torch.zeros(2)), torch.full((2, 2), 0.5))
    assert (cut == 0).sum() == 2 * 4
