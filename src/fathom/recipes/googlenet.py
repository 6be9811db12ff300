"""Recipes for GoogLeNet."""

from dataclasses import replace

from fathom.architectures.convolutional import googlenet as system
from fathom.recipes.plain_cnn import cifar10_floor, sgd
from fathom.training import Experiment

# Most blocks where the map is small: a branch of 8 channels at 32 pixels takes as long as one of 48 at 8.
SMALL = system.Config(
    stem_widths=(8, 16),
    blocks=(
        ((8, 8, 8, 8, 8, 8),),
        ((32, 24, 64, 8, 16, 16),),
        ((80, 56, 112, 16, 40, 32), (80, 64, 144, 16, 48, 48)),
    ),
    auxiliary=(),  # four blocks need no help on the way
    stem="3x3",
    dropout=0.0,
    classes=10,
    image_size=32,
)


def cifar10_googlenet(model: system.Config = SMALL) -> Experiment:
    """Four blocks of parallel windows, as long and as large as the floor."""
    return replace(cifar10_floor(), model=model, learning=sgd(0.1), steps=1650)
