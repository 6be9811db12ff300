"""SpecAugment against torchaudio's rule, derived anew in NumPy's float32, and its statistics."""

import numpy as np
import pytest
import torch

from fathom.fundamentals.augmentation.spectrogram_masking import mask_axis, mask_bounds, spec_augment


def torchaudio_rule(u: float, v: float, size: int, parameter: int, p: float) -> tuple[int, int]:
    """``mask_along_axis_iid`` of one spectrogram: its parameter, value and min_value, cut to whole ones."""
    most = parameter if p == 1 else min(parameter, int(size * p))
    if most < 1:
        return 0, 0
    value = np.float32(u) * np.float32(most)
    min_value = np.float32(v) * (np.float32(size) - value)
    return int(min_value), int(min_value) + int(value)


def test_masks_are_torchaudios_for_the_same_draws() -> None:
    numbers = torch.rand(2000, 2)
    for size, longest, share in ((80, 27, 1.0), (100, 100, 0.2), (33, 10, 0.5), (7, 7, 1.0), (9, 3, 0.1)):
        first, end = mask_bounds(numbers, size, longest, share=share)
        expected = [torchaudio_rule(u, v, size, longest, share) for u, v in numbers.tolist()]
        lengths = [b - a for a, b in expected]
        assert (end - first).tolist() == lengths
        assert all(a == x for a, (x, y) in zip(first.tolist(), expected, strict=True) if y > x)
        assert (end <= size).all() and max(lengths) < max(1, min(longest, size * share))


def test_lines_between_the_bounds_are_hidden_and_no_others() -> None:
    x = torch.rand(3, 2, 6, 9) + 1
    first, end = torch.tensor([[0, 2], [5, 1], [3, 3]]), torch.tensor([[2, 4], [6, 1], [6, 4]])
    y = mask_axis(x, first, end, axis="frequency")
    for b in range(3):
        for c in range(2):
            hidden = [f for f in range(6) if first[b, c] <= f < end[b, c]]
            assert (y[b, c, hidden] == 0).all()
            shown = [f for f in range(6) if f not in hidden]
            assert torch.equal(y[b, c, shown], x[b, c, shown])
    same = mask_axis(x, torch.tensor([1, 0, 2]), torch.tensor([3, 0, 9]), axis="time", value=7.0)
    assert (same[0, :, :, 1:3] == 7).all() and torch.equal(same[1], x[1])


def test_spec_augment_hides_what_its_masks_hide() -> None:
    x = torch.rand(5, 1, 20, 50) + 1
    numbers = torch.rand(5, 4, 2)
    y = spec_augment(x, numbers, time_masks=2, longest_time=12, frequency_masks=2, longest_frequency=6)
    hidden = torch.zeros(5, 20, 50, dtype=torch.bool)
    for b in range(5):
        for i in range(4):
            size, longest = (50, 12) if i < 2 else (20, 6)
            a, z = torchaudio_rule(*numbers[b, i].tolist(), size, longest, 1.0)
            if i < 2:
                hidden[b, :, a:z] = True
            else:
                hidden[b, a:z] = True
    assert torch.equal(y[:, 0] == 0, hidden)
    assert torch.equal(y[:, 0][~hidden], x[:, 0][~hidden])
    mean = spec_augment(x, numbers, longest_time=12, longest_frequency=6, zeros=False)
    torch.testing.assert_close(mean[:, 0][hidden], x.mean((1, 2, 3))[:, None, None].expand(5, 20, 50)[hidden])
    whole = spec_augment(x, numbers)  # masks longer than the axis are no longer than it
    assert whole.shape == x.shape


def test_lengths_and_places_are_spread_evenly() -> None:
    first, end = mask_bounds(torch.rand(40_000, 2), 50, 10)
    counts = torch.bincount(end - first, minlength=10)
    assert counts.shape == (10,) and ((counts - 4000).abs() < 300).all()
    assert first.min() == 0 and end.max() == 49  # both cut down: the last line only falls to a full length


def test_a_label_survives() -> None:
    """At most the share that is allowed is ever hidden, so most of what is said stays."""
    x = torch.ones(200, 20, 50)
    y = spec_augment(
        x, torch.rand(200, 2, 2), time_masks=1, frequency_masks=1, longest_frequency=5, share=0.2
    )
    assert (y == 0).float().mean((1, 2)).max() < 1 - 0.8 * 0.75


def test_extremes_and_half_precision() -> None:
    assert spec_augment(torch.zeros(0, 4, 5), torch.zeros(0, 4, 2)).shape == (0, 4, 5)
    one = torch.full((1, 1, 1), 1e4)
    assert torch.equal(spec_augment(one, torch.full((1, 4, 2), 1 - 2.0**-24)), one)  # 1 line: floor(u) = 0
    for kind in (torch.float16, torch.bfloat16):
        y = spec_augment(torch.ones(2, 8, 9, dtype=kind), torch.rand(2, 4, 2))
        assert y.dtype == kind


def test_bad_input_is_refused() -> None:
    x, at = torch.rand(2, 4, 5), torch.tensor([0, 1])
    for wrong, words in (
        (lambda: mask_bounds(torch.ones(2, 2), 5, 2), r"numbers holds one outside \[0, 1\)"),
        (lambda: mask_bounds(torch.zeros(2, 3), 5, 2), r"numbers is torch.float32 of shape \(2, 3\)"),
        (lambda: mask_bounds(torch.zeros(2, 2), 5, -1), "longest is -1"),
        (lambda: mask_bounds(torch.zeros(2, 2), 5, 2, share=1.5), "share is 1.5"),
        (lambda: mask_axis(x[0], at, at, axis="time"), r"spectrogram is torch.float32 of shape \(4, 5\)"),
        (lambda: mask_axis(x.long(), at, at, axis="time"), "spectrogram is torch.int64"),
        (lambda: mask_axis(x, at, at, axis="channel"), "axis is 'channel'"),
        (lambda: mask_axis(x, at[:1], at, axis="time"), r"first is torch.int64 of shape \(1,\)"),
        (lambda: mask_axis(x, at, at.float(), axis="time"), "end is torch.float32"),
        (lambda: spec_augment(x, torch.zeros(2, 3, 2)), r"numbers has shape \(2, 3, 2\)"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
