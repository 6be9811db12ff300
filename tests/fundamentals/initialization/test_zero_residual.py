"""Zero-initialised residual branches: identities at first, and learning from the second step on."""

import pytest
import torch
from torch import Tensor, nn

from fathom.fundamentals.initialization.zero_residual import zero_residual_, zero_residual_by_hand


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(nn.Linear(width, 2 * width), nn.Tanh(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x)


def conv(norm: bool) -> nn.Sequential:
    """A branch of a ResNet's block, with batch norms or without."""
    norms = [nn.BatchNorm2d(4), nn.BatchNorm2d(4)] if norm else [nn.Identity(), nn.Dropout()]
    return nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), norms[0], nn.ReLU(), nn.Conv2d(4, 4, 1), norms[1])


@pytest.mark.parametrize(
    ("branch", "shape", "last"),
    [
        (nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 4, bias=False)), (3, 4), "2"),
        (conv(norm=False), (2, 4, 5, 5), "3"),
        (conv(norm=True), (2, 4, 5, 5), "4"),
        (nn.Linear(4, 4), (0, 4), ""),
    ],
)
def test_a_block_is_the_identity(branch: nn.Module, shape: tuple[int, ...], last: str) -> None:
    before = {n: t.clone() for n, t in branch.state_dict().items()}
    assert zero_residual_(branch) == last
    x = torch.randn(shape)
    assert torch.equal(x + branch.eval()(x), x)  # in training mode, running averages would change too
    beginning = f"{last}." if last else ""
    changed = {n for n, t in branch.state_dict().items() if not torch.equal(t, before[n])}
    assert all(n.startswith(beginning) for n in changed) and f"{beginning}weight" in changed


def test_a_named_layer_is_the_one() -> None:
    block = Block(3)
    assert zero_residual_(block, last="branch.0") == "branch.0"
    assert not bool(block.branch[0].weight.any()) and bool(block.branch[2].weight.all())


def test_gradients_are_those_by_hand_and_of_finite_differences() -> None:
    x = torch.randn(6, 3, dtype=torch.float64)
    block = Block(3).double()
    block.branch[0].bias.data.zero_()
    zero_residual_(block.branch)
    (block(x) ** 2 / 2).sum().backward()
    y, to_v, to_u = zero_residual_by_hand(x, block.branch[0].weight.detach())
    assert torch.equal(y, x)
    assert torch.allclose(block.branch[2].weight.grad, to_v, rtol=0, atol=1e-12)
    assert torch.equal(block.branch[0].weight.grad, to_u) and not bool(to_u.any()) and bool(to_v.all())


def test_a_deep_network_begins_as_the_identity_and_all_of_it_learns() -> None:
    model = nn.Sequential(*[Block(4) for _ in range(30)])
    for block in model:
        zero_residual_(block.branch)  # type: ignore[union-attr]
    x, wanted = torch.randn(16, 4), torch.randn(16, 4)
    assert torch.equal(model(x), x)
    begun = [p.detach().clone() for p in model.parameters()]
    losses = []
    for _ in range(20):
        loss = (model(x) - wanted).square().mean()
        losses.append(loss.item())
        for parameter, slope in zip(
            model.parameters(), torch.autograd.grad(loss, list(model.parameters())), strict=True
        ):
            parameter.data -= 0.02 * slope
    assert losses[-1] < 0.7 * losses[0]
    assert not any(torch.equal(p, b) for p, b in zip(model.parameters(), begun, strict=True))


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="branch has no module with a weight"):
        zero_residual_(nn.Sequential(nn.ReLU(), nn.Dropout()))
    with pytest.raises(ValueError, match="last is '7'; it must be one of '0', '2'"):
        zero_residual_(Block(3).branch, last="7")
    with pytest.raises(ValueError, match="last is '1'"):
        zero_residual_(Block(3).branch, last="1")  # a tanh has nothing to set


@pytest.mark.slow
def test_timm_and_torchvision_zero_the_same_tensors() -> None:
    import timm
    import torchvision

    def zeros(model: nn.Module) -> set[str]:
        return {n for n, p in model.named_parameters() if n.endswith("weight") and not bool(p.any())}

    theirs = torchvision.models.resnet18(zero_init_residual=True)
    ours = torchvision.models.resnet18()
    of_timm = timm.create_model("resnet18", pretrained=False, zero_init_last=True)
    for stage in (ours.layer1, ours.layer2, ours.layer3, ours.layer4):
        for block in stage:
            assert zero_residual_(block, last="bn2") == "bn2"  # the shortcut's layers are registered later
    assert zeros(ours) == zeros(theirs) == zeros(of_timm) and len(zeros(ours)) == 8
