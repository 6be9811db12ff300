"""Recipes for the residual network for large pictures, here with the stem for small ones."""

from dataclasses import replace

from fathom.architectures.convolutional import resnet as system
from fathom.recipes.plain_cnn import cifar10_floor, sgd
from fathom.training import Expect, Experiment

EIGHT = system.Config(depths=(1, 1, 1), width=16, stem="3x3", classes=10, image_size=32)


def cifar10_resnet(model: system.Config = replace(EIGHT, depths=(1, 1, 1, 1))) -> Experiment:  # noqa: B008
    """Ten layers in four stages, as long and as large as the floor."""
    return replace(cifar10_floor(), model=model, learning=sgd(0.1), steps=3500)


def cifar10_resnet8(model: system.Config = EIGHT) -> Experiment:
    """Eight layers, 16 to 64 channels wide: a quarter of the floor's parameters."""
    return replace(
        cifar10_resnet(model), steps=4000,
        expect=(Expect(metric="test/accuracy", at_least=0.72, seeds=3, minutes=5),),
    )  # fmt: skip
