"""CTC against torch on 200 random lattices, and against every path one by one up to five frames."""

import math
from itertools import groupby, pairwise, product

import pytest
import torch
from torch import Tensor, nn

from fathom.fundamentals.losses.ctc import ctc_gradient, ctc_gradient_by_hand, ctc_loss, ctc_loss_by_hand


def lattice(dice: torch.Generator, blank: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A random batch whose labels fit, with repeats and padding."""
    batch, classes, longest = (int(torch.randint(n, n + 3, (1,), generator=dice)) for n in (1, 2, 2))
    label = torch.randint(classes - 1, (batch, longest), generator=dice)
    label = label + (label >= blank)  # any class but the blank
    sizes = torch.randint(0, longest + 1, (batch,), generator=dice)
    labels = [y[:n] for y, n in zip(label.tolist(), sizes.tolist(), strict=True)]
    need = [len(y) + sum(a == b for a, b in pairwise(y)) for y in labels]
    times = torch.tensor(need).clamp(min=1) + torch.randint(0, 3, (batch,), generator=dice)
    logits = 2 * torch.randn(int(times.max()) + 1, batch, classes, dtype=torch.float64, generator=dice)
    return logits, label, times, sizes


def test_200_lattices_equal_torch_in_value_and_gradient() -> None:
    """Value and gradient of ours, of the alpha recursion and of forward-backward."""
    dice = torch.Generator().manual_seed(0)
    for case in range(200):
        blank = case % 2
        logits, label, times, sizes = lattice(dice, blank)
        theirs_in = logits.clone().requires_grad_()
        for reduction in ("mean", "sum", "none"):
            theirs = nn.CTCLoss(blank, reduction)(theirs_in.log_softmax(-1), label, times, sizes)
            ours = ctc_loss(logits, label, times, sizes, blank=blank, reduction=reduction)
            torch.testing.assert_close(ours, theirs.detach(), rtol=1e-12, atol=1e-12)
            if reduction == "mean":
                by_hand = ctc_loss_by_hand(logits, label, times, sizes, blank=blank)
                torch.testing.assert_close(by_hand, theirs.detach(), rtol=1e-12, atol=1e-12)
            if reduction == "sum":
                (expected,) = torch.autograd.grad(theirs, theirs_in)
                for gradient in (ctc_gradient, ctc_gradient_by_hand):
                    found = gradient(logits, label, times, sizes, blank=blank)
                    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-12)


def test_brute_force_over_all_paths() -> None:
    """The probability of a label is the sum over the paths that spell it: merge repeats, then drop blanks."""
    dice = torch.Generator().manual_seed(0)
    for frames in range(1, 6):
        classes = 3
        logits = 2 * torch.randn(frames, 1, classes, dtype=torch.float64, generator=dice)
        p = logits[:, 0].softmax(-1).tolist()
        spelled: dict[tuple[int, ...], float] = {}
        for path in product(range(classes), repeat=frames):
            label = tuple(symbol for symbol, _ in groupby(path) if symbol != 0)
            spelled[label] = spelled.get(label, 0.0) + math.prod(p[t][k] for t, k in enumerate(path))
        assert sum(spelled.values()) == pytest.approx(1, abs=1e-12)
        for label, probability in spelled.items():
            batch = torch.tensor([[*label]]).reshape(1, -1).long()
            lengths = torch.tensor([frames]), torch.tensor([len(label)])
            found = ctc_loss(logits, batch, *lengths, reduction="sum").item()
            assert found == pytest.approx(-math.log(probability), rel=1e-12, abs=1e-12)
            by_hand = ctc_loss_by_hand(logits, batch, *lengths).item() * max(1, len(label))
            assert by_hand == pytest.approx(found, rel=1e-12, abs=1e-12)


def test_a_label_too_long_for_its_frames() -> None:
    logits = torch.randn(3, 2, 4, requires_grad=True)
    label, times, sizes = torch.tensor([[1, 2], [1, 1]]), torch.tensor([2, 2]), torch.tensor([2, 2])
    with pytest.raises(ValueError, match="input_lengths is 2 for sample 1, whose label needs 3 frames"):
        ctc_loss(logits, label, times, sizes)
    losses = ctc_loss(logits, label, times, sizes, reduction="none", zero_infinity=True)
    assert losses[0] > 0 and losses[1] == 0
    gradient = torch.autograd.grad(losses.sum(), logits)[0]
    assert gradient[:, 1].count_nonzero() == 0 and gradient[:2, 0].count_nonzero() == 8


def test_extremes() -> None:
    logits = torch.full((5, 1, 3), -1e4)
    for t, symbol in enumerate([1, 0, 1, 2, 2]):
        logits[t, 0, symbol] = 1e4
    times = torch.tensor([5])
    logits.requires_grad_()
    right = ctc_loss(logits, torch.tensor([[1, 1, 2]]), times, torch.tensor([3]), reduction="sum")
    wrong = ctc_loss(logits, torch.tensor([[2, 2, 2]]), times, torch.tensor([3]), reduction="sum")
    assert right == 0 and wrong == 6e4  # three frames wrong, each by 2e4
    for loss in (right, wrong):
        assert torch.autograd.grad(loss, logits)[0].isfinite().all()
    long = torch.zeros(1000, 1, 3, dtype=torch.float64)  # every path has probability 3 ^ -1000
    found = ctc_loss(long, torch.zeros(1, 0, dtype=torch.long), torch.tensor([1000]), torch.tensor([0]))
    assert found.item() == pytest.approx(1000 * math.log(3))


def test_an_empty_batch_is_zero() -> None:
    logits, none = torch.zeros(4, 0, 3, requires_grad=True), torch.zeros(0, dtype=torch.long)
    loss = ctc_loss(logits, none.reshape(0, 2), none, none)
    assert loss == 0
    assert torch.autograd.grad(loss, logits)[0].shape == (4, 0, 3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype) -> None:
    logits, label, times, sizes = lattice(torch.Generator().manual_seed(3))
    half = logits.to(dtype).requires_grad_()
    loss = ctc_loss(half, label, times, sizes)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, ctc_loss(half.float(), label, times, sizes))
    assert torch.autograd.grad(loss, half)[0].dtype == dtype


def test_padding_is_not_read() -> None:
    logits, times, sizes = torch.randn(4, 1, 3), torch.tensor([4]), torch.tensor([1])
    expected = ctc_loss(logits, torch.tensor([[2, 1]]), times, sizes)
    for padding in (0, -1, 99):
        assert ctc_loss(logits, torch.tensor([[2, padding]]), times, sizes) == expected


def test_bad_input_is_refused() -> None:
    logits, label = torch.zeros(6, 2, 4), torch.tensor([[1, 2], [3, 1]])
    times, sizes = torch.tensor([6, 5]), torch.tensor([2, 1])
    for stray in (4, 0, -1):
        bad = label.clone()
        bad[0, 1] = stray
        with pytest.raises(ValueError, match=f"target holds {stray}; allowed are the classes 0 to 3 without"):
            ctc_loss(logits, bad, times, sizes)
    with pytest.raises(ValueError, match="input_lengths holds 7; a length is 1 to 6 here"):
        ctc_loss(logits, label, times + 1, sizes)
    with pytest.raises(ValueError, match="input_lengths holds 0"):
        ctc_loss(logits, label, times - 5, sizes)
    with pytest.raises(ValueError, match="target_lengths holds 3; a length is 0 to 2 here"):
        ctc_loss(logits, label, times, sizes + 1)
    with pytest.raises(ValueError, match=r"input_lengths.shape is \(1,\); it must be \(2,\)"):
        ctc_loss(logits, label, times[:1], sizes)
    with pytest.raises(ValueError, match=r"target_lengths.dtype is torch.float32"):
        ctc_loss(logits, label, times, sizes.float())
    with pytest.raises(ValueError, match=r"target.shape is \(1, 2\); it must be \(2, n\)"):
        ctc_loss(logits, label[:1], times, sizes)
    with pytest.raises(ValueError, match=r"logits.shape is \(6, 4\); it must be \(frames, batch, classes\)"):
        ctc_loss(logits[:, 0], label, times, sizes)
    with pytest.raises(ValueError, match="blank is 4; it must be a class, 0 to 3"):
        ctc_loss(logits, label, times, sizes, blank=4)
    with pytest.raises(ValueError, match=r"logits.dtype is torch.int64"):
        ctc_loss(logits.long(), label, times, sizes)
    with pytest.raises(ValueError, match="reduction is 'avg'"):
        ctc_loss(logits, label, times, sizes, reduction="avg")
