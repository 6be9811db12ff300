"""Data drawn on the spot, the same on every machine: what ``tiny()`` runs learn from."""

import torch

from fathom.data.split import Data, InMemory, Tensors
from fathom.training.randomness import generator


def bars(
    *, size: int, train: int, valid: int, channels: int = 1, noise: float = 0.1, seed: int = 0
) -> InMemory:
    """uint8 images of bars: class 0 lying, 1 upright, 2 and 3 the two diagonals."""
    splits = []
    for name, count in (("train", train), ("valid", valid)):
        dice = generator(seed, "bars", name)
        label = torch.randint(4, (count,), generator=dice)
        shift = torch.randint(size, (count, 1, 1), generator=dice)
        row, column = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
        phase = torch.stack([row, column, row + column, row - column])[label]  # the axis the bars follow
        image = ((phase + shift) % 8 < 4).float() * 0.8 + 0.1
        image = image + noise * torch.randn(image.shape, generator=dice)
        pixels = (image.clamp(0, 1) * 255).round().to(torch.uint8)
        splits.append(Tensors((pixels[:, None].repeat(1, channels, 1, 1), label)))
    return InMemory(Data(train=splits[0], valid=splits[1], test=splits[1], facts={"source": "drawn bars"}))
