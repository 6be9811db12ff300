"""Recipes for VGG."""

from dataclasses import replace

from fathom.architectures.convolutional import vgg as system
from fathom.data.transforms import Flip, PadCrop
from fathom.recipes.plain_cnn import cifar10_floor, sgd
from fathom.training import Expect, Experiment

SMALL = system.Config(
    depths=(1, 1, 2, 2), width=16, norm=True, hidden=64, grid=1, dropout=0.0, classes=10, image_size=32
)
LONG = replace(SMALL, depths=(1, 2, 2), width=48, hidden=192)  # 0.7 million parameters


def cifar10_vgg(model: system.Config = SMALL) -> Experiment:
    """Six convolutions of 3x3 with batch normalisation, as long and as large as the floor."""
    return replace(cifar10_floor(), model=model, learning=sgd(0.05), steps=6300)


def cifar10_best(model: system.Config = LONG) -> Experiment:
    """As good as it gets in half an hour on two threads: five wide convolutions, seventeen epochs.

    Of the families VGG asks a processor for what it does fastest, 3x3 convolutions of many channels on small
    maps: in a second 1.4 times the arithmetic of a residual net of eight layers as wide.
    """
    return replace(
        cifar10_vgg(model), learning=sgd(0.2), augment=(Flip(), PadCrop(padding=2)), batch_size=128,
        steps=6000, expect=(Expect(metric="test/accuracy", at_least=0.88, minutes=30),),
    )  # fmt: skip
