"""Recipes for VGG."""

from dataclasses import replace

from fathom.architectures.convolutional import vgg as system
from fathom.recipes.plain_cnn import cifar10_floor, sgd
from fathom.training import Experiment

SMALL = system.Config(
    depths=(1, 1, 2, 2), width=16, norm=True, hidden=64, grid=1, dropout=0.0, classes=10, image_size=32
)


def cifar10_vgg(model: system.Config = SMALL) -> Experiment:
    """Six convolutions of 3x3 with batch normalisation, as long and as large as the floor."""
    return replace(cifar10_floor(), model=model, learning=sgd(0.05), steps=6300)
