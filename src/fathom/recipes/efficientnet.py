"""Recipes for EfficientNet."""

from dataclasses import replace

from fathom.architectures.convolutional import efficientnet as system
from fathom.recipes.plain_cnn import cifar10_floor, sgd
from fathom.training import Experiment

# Lite, made for processors: without the squeeze, and with ReLU6. A run this short needs no dropping.
SMALL = system.Config(
    kernels=(3, 3, 3, 3), strides=(1, 1, 2, 2), expansions=(1, 4, 4, 4), widths=(16, 24, 48, 104),
    depths=(1, 2, 2, 3), stem_width=24, top_width=256, lite=True, dropout=0.0, drop_path=0.0,
    classes=10, image_size=32,
)  # fmt: skip


def cifar10_efficientnet(model: system.Config = SMALL) -> Experiment:
    """Eight inverted bottlenecks of the Lite kind, as long and as large as the floor."""
    return replace(cifar10_floor(), model=model, learning=sgd(0.1), steps=3400)
