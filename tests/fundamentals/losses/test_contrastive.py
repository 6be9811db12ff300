"""Contrastive losses against pytorch_metric_learning, at extremes, and with bad input."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fathom.fundamentals.losses.contrastive import (
    TripletMarginLoss,
    contrastive_loss,
    info_nce_loss,
    nt_xent_loss,
    triplet_margin_loss,
)

LABELLED = (contrastive_loss, triplet_margin_loss)
PAIRED = (nt_xent_loss, info_nce_loss)


def same(ours: Tensor, theirs: Tensor, *leaves: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
    for leaf in leaves:
        a, b = (torch.autograd.grad(x, leaf, retain_graph=True)[0] for x in (ours, theirs))
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)


@pytest.mark.slow
def test_equals_pytorch_metric_learning() -> None:
    from pytorch_metric_learning import distances, losses, miners

    dice = torch.Generator().manual_seed(0)
    for case in range(20):
        x, y = torch.randn(2, 12, 5, dtype=torch.float64, generator=dice).requires_grad_()
        label = torch.randint(2 + case % 4, (12,), generator=dice)
        for normalize in (True, False):
            space = distances.LpDistance(normalize_embeddings=normalize)
            for low, high in ((0.0, 1.0), (0.3, 2.5)):
                theirs = losses.ContrastiveLoss(pos_margin=low, neg_margin=high, distance=space)(x, label)
                ours = contrastive_loss(x, label, margin=high, positive_margin=low, normalize=normalize)
                same(ours, theirs, x)
            for margin in (0.05, 0.5):
                peer = losses.TripletMarginLoss(margin=margin, distance=space)
                ours = triplet_margin_loss(x, label, margin=margin, normalize=normalize)
                same(ours, peer(x, label), x)
                hard = miners.BatchHardMiner(distance=space)(x, label)
                ours = triplet_margin_loss(x, label, margin=margin, mining="hard", normalize=normalize)
                same(ours, peer(x, label, hard), x)
        for temperature in (0.07, 0.5):
            peer = losses.NTXentLoss(temperature=temperature)
            theirs = losses.SelfSupervisedLoss(peer)(x, y)
            same(nt_xent_loss(x, y, temperature=temperature), theirs, x, y)
            theirs = losses.SelfSupervisedLoss(peer, symmetric=False)(x, y)
            same(info_nce_loss(x, y, temperature=temperature), theirs, x, y)


def test_squared_pairs_equal_the_paper_but_for_the_half() -> None:
    dice = torch.Generator().manual_seed(0)
    x, label = torch.randn(6, 3, dtype=torch.float64, generator=dice), torch.tensor([0, 1, 0, 1, 2, 0])
    friends, strangers = [], []
    for i in range(6):
        for j in range(6):
            d = math.dist(x[i].tolist(), x[j].tolist())
            if i != j and label[i] == label[j]:
                friends.append(d**2)
            elif i != j and d < 2:
                strangers.append((2 - d) ** 2)
    expected = sum(friends) / len(friends) + sum(strangers) / len(strangers)
    found = contrastive_loss(x, label, margin=2.0, squared=True, normalize=False)
    assert found.item() == pytest.approx(expected, rel=1e-12)


def test_info_nce_with_a_queue_of_negatives() -> None:
    dice = torch.Generator().manual_seed(0)
    q, k, queue = (torch.randn(n, 3, dtype=torch.float64, generator=dice) for n in (4, 4, 7))

    def similarity(a: Tensor, b: Tensor) -> float:
        return float(a @ b / (a.norm() * b.norm()))

    expected = 0.0
    for i in range(4):
        scores = [similarity(q[i], k[i]) / 0.2, *(similarity(q[i], n) / 0.2 for n in queue)]
        expected += (math.log(sum(math.exp(s) for s in scores)) - scores[0]) / 4
    found = info_nce_loss(q, k, negatives=queue, temperature=0.2)
    assert found.item() == pytest.approx(expected, rel=1e-12)
    assert info_nce_loss(q, k, negatives=queue[:0]) == 0  # one candidate is no question


def test_known_values() -> None:
    """Views that agree, of samples that are at right angles."""
    x = torch.eye(4, dtype=torch.float64)
    expected = math.log(math.exp(2) + 6) - 2
    assert nt_xent_loss(x, x, temperature=0.5).item() == pytest.approx(expected, rel=1e-12)
    expected = math.log(math.exp(2) + 3) - 2
    assert info_nce_loss(x, x, temperature=0.5).item() == pytest.approx(expected, rel=1e-12)
    torch.testing.assert_close(nt_xent_loss(x, 7 * x.flip(1)), nt_xent_loss(3 * x.flip(1), x))


def test_hard_mining_is_never_easier() -> None:
    dice = torch.Generator().manual_seed(0)
    for _ in range(10):
        x, label = torch.randn(10, 4, generator=dice), torch.randint(3, (10,), generator=dice)
        assert triplet_margin_loss(x, label, mining="hard") >= triplet_margin_loss(x, label)
    loss = TripletMarginLoss(margin=0.4, mining="hard")
    assert loss(x, label) == triplet_margin_loss(x, label, margin=0.4, mining="hard")


def test_nothing_to_compare_is_zero() -> None:
    """An empty batch, one sample, one class, all classes different, nothing violated."""
    for loss in (*LABELLED, TripletMarginLoss(mining="hard")):
        cases = [
            (torch.zeros(0, 3), torch.zeros(0, dtype=torch.long)),
            (torch.randn(1, 3), torch.tensor([0])),
            (torch.tensor([[1.0, 0], [1, 0], [-1, 0]]), torch.tensor([0, 0, 1])),
        ]
        if loss is not contrastive_loss:
            cases += [(torch.randn(3, 3), torch.zeros(3).long()), (torch.randn(3, 3), torch.arange(3))]
        for x, label in cases:
            x.requires_grad_()
            found = loss(x, label)
            assert found == 0
            assert torch.autograd.grad(found, x)[0].count_nonzero() == 0
    for loss in PAIRED:
        x = torch.zeros(0, 3, requires_grad=True)
        assert loss(x, x) == 0
        assert loss(torch.randn(1, 3), torch.randn(1, 3)) == 0


def test_extremes_are_finite() -> None:
    for scale in (1e4, 1e-4, 0.0):
        x = (scale * torch.randn(6, 3)).requires_grad_()
        y = scale * torch.randn(6, 3)
        label = torch.tensor([0, 0, 1, 1, 2, 2])
        found = [loss(x, label, normalize=n) for loss in LABELLED for n in (True, False)]
        found += [triplet_margin_loss(x, label, mining="hard"), *(loss(x, y) for loss in PAIRED)]
        for value in found:
            assert value.isfinite()
            assert torch.autograd.grad(value, x)[0].isfinite().all()
    double = torch.ones(4, 2, requires_grad=True)  # distances of 0 have no direction
    for loss in LABELLED:
        value = loss(double, torch.tensor([0, 0, 1, 1]))
        assert torch.autograd.grad(value, double)[0].isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype) -> None:
    x, y = torch.randn(2, 6, 4).to(dtype)
    label = torch.tensor([0, 1, 0, 1, 2, 2])
    for loss, second in (*((f, label) for f in LABELLED), *((f, y) for f in PAIRED)):
        found = loss(x, second)
        assert found.dtype == torch.float32
        full = second.float() if second.is_floating_point() else second
        torch.testing.assert_close(found, loss(x.float(), full))


def refused(
    loss: Callable[..., Tensor], message: str, *inputs: Tensor, **settings: float | str | Tensor
) -> None:
    with pytest.raises(ValueError, match=message):
        loss(*inputs, **settings)


def test_bad_input_is_refused() -> None:
    x, label = torch.zeros(4, 3), torch.arange(4)
    for loss in LABELLED:
        refused(loss, "margin is -0.1; it must be 0 or more", x, label, margin=-0.1)
        refused(loss, r"label.shape is \(3,\); it must be \(4,\)", x, label[:3])
        refused(loss, "label.dtype is torch.float32; it must be an integer type", x, label.float())
        refused(loss, r"embeddings.shape is \(12,\); it must be \(batch, width\)", x.flatten(), label)
        refused(loss, "embeddings.dtype is torch.int64", x.long(), label)
    refused(contrastive_loss, "positive_margin is -1.0", x, label, positive_margin=-1.0)
    refused(triplet_margin_loss, "mining is 'soft'; it must be 'all' or 'hard'", x, label, mining="soft")
    with pytest.raises(ValueError, match="mining is 'soft'"):
        TripletMarginLoss(mining="soft")
    for loss in PAIRED:
        for bad in (0.0, -1.0, math.nan):
            refused(loss, "temperature is .*; it must be positive and finite", x, x, temperature=bad)
        refused(loss, r"shape is \(3, 3\); it must be that of \w+, \(4, 3\)", x, x[:3])
        refused(loss, r"shape is \(4,\); it must be \(batch, width\)", x[:, 0], x[:, 0])
    refused(info_nce_loss, r"negatives.shape is \(4, 2\); it must be \(k, 3\)", x, x, negatives=x[:, :2])
