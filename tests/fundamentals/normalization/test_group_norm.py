"""Group normalisation against torch's, and against batch normalisation with two pictures at a time."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fathom.data.digits import Digits
from fathom.fundamentals.normalization.batch_norm import BatchNorm
from fathom.fundamentals.normalization.group_norm import GroupNorm, group_norm, group_norm_by_hand


def test_output_and_gradients_are_torchs() -> None:
    for size in ((), (7,), (3, 4), (2, 3, 2)):
        for groups in (1, 2, 3, 6):
            if not size and groups == 6:
                continue
            ours, theirs = GroupNorm(groups, 6).double(), nn.GroupNorm(groups, 6).double()
            with torch.no_grad():
                for parameter in ours.parameters():
                    parameter.normal_()
            theirs.load_state_dict(ours.state_dict())
            x = torch.randn(3, 6, *size, dtype=torch.float64) * 5 + 2
            a, b, g = x.clone().requires_grad_(), x.clone().requires_grad_(), torch.randn_like(x)
            one, two = ours(a), theirs(b)
            one.backward(g)
            two.backward(g)
            torch.testing.assert_close(one, two, rtol=0, atol=1e-12)
            torch.testing.assert_close(a.grad, b.grad, rtol=0, atol=1e-12)
            for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
                torch.testing.assert_close(p.grad, q.grad, rtol=0, atol=1e-12)


def test_two_pictures_get_what_they_would_get_in_a_large_batch() -> None:
    """The figure in the paper: group normalisation's statistics stay, batch normalisation's are noise."""
    pictures = torch.randn(256, 8, 4, 4, dtype=torch.float64) * (torch.rand(256, 1, 1, 1).double() + 0.5)
    by_group, by_batch = GroupNorm(2, 8).double(), BatchNorm(8, smallest=2).double()

    @torch.no_grad()
    def error(norm: nn.Module) -> float:
        whole = norm(pictures)
        pairs = torch.cat([norm(pair) for pair in pictures.split(2)])
        return float((pairs - whole).abs().mean())

    assert error(by_group) < 1e-14
    assert error(by_batch) > 0.1


def test_of_two_dense_samples_batch_normalisation_leaves_a_sign() -> None:
    """Half the distance of two numbers is their deviation: each feature becomes +1 or -1, however large."""
    x = torch.randn(2, 8, dtype=torch.float64) * 10
    normal = BatchNorm(8, epsilon=1e-12, affine=False, smallest=2).double()(x)
    torch.testing.assert_close(normal, (x - x.flip(0)).sign(), rtol=0, atol=1e-6)
    assert group_norm(x, 2).abs().std() > 0.1


def learned(norm: type[nn.Module], seed: int) -> float:
    """Share of unseen digits that a dense network names after 400 batches of two."""
    data = Digits().load()
    images, labels = data.train.columns
    torch.manual_seed(seed)
    make = (lambda: GroupNorm(4, 64)) if norm is GroupNorm else (lambda: BatchNorm(64, smallest=2))
    net = nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 64),
        make(),
        nn.ReLU(),
        nn.Linear(64, 64),
        make(),
        nn.ReLU(),
        nn.Linear(64, 10),
    )
    optimizer = torch.optim.SGD(net.parameters(), lr=0.003, momentum=0.9)
    for pair in torch.randperm(len(images))[:800].view(-1, 2):
        optimizer.zero_grad()
        F.cross_entropy(net(images[pair].float() / 255), labels[pair]).backward()
        optimizer.step()
    assert data.valid is not None
    images, labels = data.valid.rows(torch.arange(1000))
    with torch.no_grad():
        return float((net.eval()(images.float() / 255).argmax(1) == labels).float().mean())


@pytest.mark.slow
def test_with_two_samples_at_a_time_a_dense_network_learns_better_than_with_batch_normalisation() -> None:
    """So it is at every rate from 0.001 to 0.03. Under convolutions, whose many positions batch normalisation
    can average over, this small a network learned as well with either.
    """
    for seed in range(3):
        assert learned(GroupNorm, seed) > learned(BatchNorm, seed) + 0.15


def test_extremes() -> None:
    assert group_norm(torch.randn(2, 4, 9) * 1e4 + 1e4, 2).abs().max() < 5
    assert torch.equal(group_norm(torch.full((2, 4, 3), 1e4), 2), torch.zeros(2, 4, 3))
    assert group_norm(torch.zeros(0, 4, 3), 2).shape == (0, 4, 3)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision(kind: torch.dtype) -> None:
    x, weight, bias = torch.randn(2, 4, 8).to(kind), torch.randn(4).to(kind), torch.randn(4).to(kind)
    expected = group_norm_by_hand(x.float(), 2, weight.float(), bias.float())
    torch.testing.assert_close(group_norm(x, 2, weight, bias).float(), expected, rtol=0.02, atol=0.02)


def test_bad_input_is_refused() -> None:
    x = torch.randn(2, 6, 3)
    for wrong, words in (
        (lambda: group_norm(torch.randn(6), 2), r"x has shape \(6,\)"),
        (lambda: group_norm(x.long(), 2), "dtype torch.int64"),
        (lambda: group_norm(x, 4), "groups is 4; it must divide the 6 channels"),
        (lambda: group_norm(x, 0), "groups is 0"),
        (lambda: group_norm(torch.randn(2, 6), 6), "one value to a group"),
        (lambda: group_norm(x, 2, torch.ones(2)), r"weight has shape \(2,\)"),
        (lambda: group_norm(x, 2, epsilon=0.0), "epsilon is 0.0"),
        (lambda: GroupNorm(2, 0), "features is 0"),
        (lambda: GroupNorm(2, 4)(x), "x has 6 channels; this layer has features=4"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
