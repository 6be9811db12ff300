"""Recipes for AlexNet."""

from dataclasses import replace

from fathom.architectures.convolutional import alexnet as system
from fathom.recipes.plain_cnn import cifar10_floor, sgd
from fathom.training import Expect, Experiment

SMALL = system.Config(
    widths=(32, 64, 96, 64, 64), hidden=128, grid=3, dropout=0.1, stem="3x3", classes=10, image_size=32
)


def cifar10_alexnet(model: system.Config = SMALL) -> Experiment:
    """Five convolutions and three dense layers, as long and as large as the floor."""
    return replace(
        cifar10_floor(), model=model, learning=sgd(0.02), steps=3950,
        expect=(Expect(metric="test/accuracy", at_least=0.60, minutes=6),),
    )  # fmt: skip
