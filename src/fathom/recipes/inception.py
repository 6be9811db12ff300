"""Recipes for Inception v3."""

from dataclasses import replace

from fathom.architectures.convolutional import inception as system
from fathom.recipes.plain_cnn import cifar10_floor, sgd
from fathom.training import Experiment

SMALL = system.Config(
    stem_widths=(64, 64, 64, 64, 64),
    pooled_widths=(64,),
    seven_widths=(128,),
    width_factor=1 / 8,
    stem="plain",
    auxiliary=False,
    dropout=0.0,
    classes=10,
    image_size=32,
)


def cifar10_inception(model: system.Config = SMALL) -> Experiment:
    """A block of each kind and both halvings, an eighth as wide, as long and as large as the floor."""
    return replace(cifar10_floor(), model=model, learning=sgd(0.1), steps=1040)
