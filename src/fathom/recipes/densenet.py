"""Recipes for DenseNet."""

from dataclasses import replace

from fathom.architectures.convolutional import densenet as system
from fathom.recipes.plain_cnn import cifar10_floor, sgd
from fathom.training import Experiment

SMALL = system.Config(
    depths=(1, 3, 9, 9), growth=16, stem_width=16, bottleneck=3, stem="3x3", classes=10, image_size=32
)


def cifar10_densenet(model: system.Config = SMALL) -> Experiment:
    """Four blocks, most layers where the map is small, as long and as large as the floor."""
    return replace(cifar10_floor(), model=model, learning=sgd(0.1), steps=1250)
