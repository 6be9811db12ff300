"""Recipes for the plain convolutional network: the floor on CIFAR-10, and the terms it sets for the others.

The recipe of each family, ``cifar10_<family>``, takes this one and changes the model, its learning rate and
the number of steps: the same photographs, augmentation, schedule and batches, as many parameters to within
an eighth, and about four and a half minutes on two threads of a processor.
"""

from fathom.architectures.convolutional import plain_cnn as system
from fathom.data.photographs import DEVIATION, LABELS, MEAN, Photographs
from fathom.data.transforms import Flip, PadCrop
from fathom.tasks.image_classification import ImageClassification
from fathom.training import SGD, CrossEntropy, Experiment, GradientDescent, OneCycle

PHOTOGRAPHS = ImageClassification(
    labels=LABELS, channels=3, height=32, width=32, mean=MEAN, deviation=DEVIATION
)


def sgd(learning_rate: float) -> GradientDescent:
    """SGD with momentum, its rate rising and falling once, labels smoothed."""
    return GradientDescent(
        objective=CrossEntropy(label_smoothing=0.1),
        optimizer=SGD(learning_rate=learning_rate, weight_decay=5e-4),
        schedule=OneCycle(),
    )


def cifar10_floor(model: system.Config = system.Config()) -> Experiment:  # noqa: B008
    """Three convolutions and a linear layer on whole photographs: what the families are measured against."""
    return Experiment(
        model=model,
        data=Photographs(),
        task=PHOTOGRAPHS,
        learning=sgd(0.02),  # in 250 steps 0.05 was no better, and at 0.1 the loss was no number
        augment=(Flip(), PadCrop(padding=4)),
        batch_size=64,
        steps=3100,
    )
