"""In each stage exactly the named parameters change, by their hashes; and the engine agrees on which."""

import hashlib
from typing import Any

import pytest
import torch
from torch import nn

from fathom.architectures.convolutional import resnet
from fathom.fundamentals.transfer.gradual_unfreezing import freeze, moving
from fathom.training.unfreezing import Unfreezing

LAST = ("body.stage_1", "body.stem.convolution.weight")
STAGES = ((0.0, ("head",)), (0.25, ("body.stage_2",)), (0.75, LAST))
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def network() -> nn.Module:
    return resnet.Config(depths=(1, 1), width=8, stem="3x3", classes=3, image_size=8).build()


def hashes(model: nn.Module) -> dict[str, str]:
    state = model.state_dict()
    return {name: hashlib.sha256(t.detach().numpy().tobytes()).hexdigest() for name, t in state.items()}


@pytest.mark.parametrize("share", [0.0, 0.24, 0.25, 0.5, 0.75, 0.99])
def test_exactly_what_is_named_changes(share: float) -> None:
    model = network()
    model.train()
    moved = freeze(model, STAGES, share)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
    before = hashes(model)
    nn.functional.cross_entropy(model(torch.randn(8, 3, 8, 8)), torch.arange(8) % 3).backward()
    optimizer.step()
    after = hashes(model)
    changed = {name for name in after if before[name] != after[name]}
    parts = tuple(part for at, names in STAGES if at <= share for part in names)
    below = tuple(f"{part}." for part in parts)
    expected = {n for n, _ in model.named_parameters() if n.startswith(below) or n in parts}
    statistics = {n for n in changed if n.rpartition(".")[2] in STATISTICS}
    assert set(moved) == expected == changed - statistics
    assert statistics == {n for n, _ in model.named_buffers() if n.startswith(below)}


@pytest.mark.parametrize("share", [0.0, 0.3, 0.8])
def test_the_engine_moves_the_same(share: float) -> None:
    model = network()
    names = [name for name, _ in model.named_parameters()]
    frozen = Unfreezing(stages=STAGES).of(model)
    now = frozen.reached(share)
    assert moving(names, STAGES, share) == [name for name in names if frozen.first(name) <= now]


@pytest.mark.parametrize(
    ("stages", "share", "said"),
    [
        (STAGES, 1.0, "share is 1.0"),
        (STAGES, -0.1, "share is -0.1"),
        ((), 0.0, r"stages begin at \[\]"),
        (((0.1, ("head",)),), 0.5, r"stages begin at \[0.1\]"),
        (((0.0, ("head",)), (0.0, ("body",))), 0.5, "rise"),
        (((0.0, ("heads",)),), 0.5, "part is 'heads'"),
    ],
)
def test_what_is_refused(stages: Any, share: float, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        freeze(network(), stages, share)
