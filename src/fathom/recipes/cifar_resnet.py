"""Recipes for the residual network on CIFAR-10."""

from dataclasses import replace

from fathom.architectures.convolutional import cifar_resnet as system
from fathom.data.mixing import CutMix, Mixup
from fathom.data.photographs import DEVIATION, LABELS, MEAN, Photographs
from fathom.data.transforms import Flip, PadCrop
from fathom.tasks.image_classification import ImageClassification
from fathom.training import SGD, CrossEntropy, Expect, Experiment, GradientDescent, OneCycle

SMALL = system.Config(depth=8, width=16, image_size=16)
DEEP = system.Config(depth=56, width=8, image_size=16)


def photographs(size: int) -> ImageClassification:
    """The task for square pictures of ``size`` pixels."""
    return ImageClassification(
        labels=LABELS, channels=3, height=size, width=size, mean=MEAN, deviation=DEVIATION
    )


def sgd(learning_rate: float, weight_decay: float) -> GradientDescent:
    """The learning of every recipe here: SGD with momentum, its rate rising and falling once."""
    return GradientDescent(
        objective=CrossEntropy(),
        optimizer=SGD(learning_rate=learning_rate, weight_decay=weight_decay),
        schedule=OneCycle(),
    )


def cifar10_small(model: system.Config = SMALL) -> Experiment:
    """Eight layers on halved photographs, four epochs: small enough to try one change after the other."""
    return Experiment(
        model=model,
        data=Photographs(size=16),
        task=photographs(16),
        learning=sgd(learning_rate=0.2, weight_decay=5e-4),
        augment=(Flip(), PadCrop(padding=2)),
        batch_size=128,
        steps=1404,
        expect=(Expect(metric="test/accuracy", at_least=0.65, seeds=3, minutes=4),),
    )


def cifar10_resnet20(model: system.Config = system.Config()) -> Experiment:  # noqa: B008
    """The paper's net of 20 layers on whole photographs, as far as it gets in ten minutes."""
    return Experiment(
        model=model,
        data=Photographs(),
        task=photographs(32),
        learning=sgd(learning_rate=0.1, weight_decay=5e-4),
        augment=(Flip(), PadCrop(padding=4)),
        batch_size=64,
        steps=1758,
    )


def cifar10_residual56(model: system.Config = DEEP) -> Experiment:
    """56 narrow layers on halved photographs: with shortcuts they learn, in about a minute."""
    learning = sgd(learning_rate=0.05, weight_decay=1e-4)
    return replace(cifar10_small(model), learning=learning, batch_size=64, steps=600, expect=())


def cifar10_few(model: system.Config = SMALL) -> Experiment:
    """Five hundred photographs of each class, twenty times over: enough to be learned by heart."""
    return replace(cifar10_small(model), data=Photographs(size=16, train=500), steps=780, expect=())


def cifar10_few_mixup() -> Experiment:
    """The same, each picture mixed with another."""
    few = cifar10_few()
    return replace(few, augment=(*few.augment, Mixup(classes=10, alpha=0.2)))


def cifar10_few_cutmix() -> Experiment:
    """The same without flips and crops: in each picture a rectangle of another, and its label by area."""
    return replace(cifar10_few(), augment=(CutMix(classes=10),))
