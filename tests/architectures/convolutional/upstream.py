"""A network of ours against the same one of a library: weights both ways, outputs, gradients, training."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fathom.training.weight_map import inverse, translate
from fathom.training.weights import load_weights, upstream_state


def randomized(model: nn.Module) -> nn.Module:
    """``model`` with statistics and scales away from zeros and ones, where mistakes hide."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]
                module.running_var.uniform_(0.8, 1.25)  # type: ignore[union-attr]
                module.weight.uniform_(0.8, 1.25)
                module.bias.normal_(0, 0.1)
    return model


def parameters(build: Callable[[], nn.Module]) -> int:
    """How many there are, without memory for them."""
    with torch.device("meta"):
        return sum(p.numel() for p in build().parameters())


def close(ours: Tensor, theirs: Tensor, tolerance: float) -> None:
    """Within ``tolerance`` of the largest entry of ``theirs``."""
    size = float(theirs.detach().abs().max())
    assert size > 0 and torch.isfinite(theirs).all()
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance * size)


def assert_equal(
    ours: nn.Module,
    theirs: nn.Module,
    table: Mapping[str, str],
    size: int,
    *,
    batch: int = 2,
    classes: int = 1000,
) -> None:
    """Their weights here: logits within 1e-5; and ours there, strictly; then three steps of training.

    Both lie in memory alike: the order of sums is one then, and what training makes of rounding is small.
    """
    randomized(theirs)
    theirs.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    load_weights(ours, theirs.state_dict(), head=(), upstreams={"theirs": table})
    ours.eval(), theirs.eval()
    image = torch.randn(batch, 3, size, size)
    with torch.no_grad():
        close(ours(image), logits(theirs(image)), 1e-5)
    assert_trains_alike(ours, theirs, table, image, classes)
    assert_taken_strictly(ours, theirs, table)


def assert_taken_strictly(ours: nn.Module, theirs: nn.Module, table: Mapping[str, str]) -> None:
    """Our weights fill their model, with nothing missing and nothing left over."""
    state = upstream_state(ours, table)
    theirs.load_state_dict(state, strict=True)
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(tensor, state[name])


def assert_trains_alike(
    ours: nn.Module, theirs: nn.Module, table: Mapping[str, str], image: Tensor, classes: int
) -> None:
    """Three steps: gradients within 1e-4, statistics of batch normalisation within 1e-5."""
    names = translate(dict(theirs.named_parameters()), table)
    ours.train(), theirs.train()
    own = dict(ours.named_parameters())
    optimizers = [torch.optim.SGD(net.parameters(), lr=1e-3) for net in (ours, theirs)]
    for step in range(3):
        target = torch.arange(len(image)) * 7 % classes
        for net, optimizer in zip((ours, theirs), optimizers, strict=True):
            optimizer.zero_grad()
            torch.manual_seed(step)  # for dropout, which both draw in one order
            F.cross_entropy(logits(net(image)), target).backward()
        for name, parameter in theirs.named_parameters():
            if parameter.grad is not None and parameter.grad.abs().max() > 1e-7:
                close(own[names[name]].grad, parameter.grad, 1e-4)  # type: ignore[arg-type]
        for optimizer in optimizers:
            optimizer.step()
    buffers = dict(ours.named_buffers())
    for name, buffer in translated(dict(theirs.named_buffers()), table).items():
        torch.testing.assert_close(buffers[name], buffer, rtol=1e-5, atol=1e-5)


def translated(state: Mapping[str, Tensor], table: Mapping[str, str]) -> dict[str, Tensor]:
    names = translate(state, table)
    assert set(names) == set(state)
    return {names[name]: tensor for name, tensor in state.items()}


def logits(outputs: Any) -> Tensor:
    """The first of what a network with auxiliary heads returns in training."""
    return outputs if isinstance(outputs, Tensor) else outputs[0]


def assert_bijection(model: nn.Module, table: Mapping[str, str], theirs: Sequence[str]) -> None:
    """Every tensor of the library has one name here and comes back as itself."""
    there = translate(theirs, table)
    assert set(there) == set(theirs) and set(there.values()) == set(model.state_dict())
    back = translate(there.values(), inverse(table))
    assert all(back[here] == name for name, here in there.items())
