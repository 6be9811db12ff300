"""Recipes for fully connected networks: a shallow one that is good, and a deep one to experiment on."""

from dataclasses import replace

from fathom.architectures.dense import deep_mlp as system
from fathom.data.digits import DEVIATION, LABELS, MEAN, Digits
from fathom.data.transforms import Shift
from fathom.tasks.image_classification import ImageClassification
from fathom.training import SGD, AdamW, CrossEntropy, Expect, Experiment, GradientDescent, OneCycle

DIGITS = ImageClassification(
    labels=LABELS, channels=1, height=28, width=28, mean=(MEAN,), deviation=(DEVIATION,), ink="light"
)


def mlp_mnist() -> Experiment:
    """A network 784-256-10 on MNIST: eight epochs of AdamW with one-cycle learning rate and small shifts."""
    return Experiment(
        model=system.Config(width=256, depth=1),
        data=Digits(),
        task=DIGITS,
        learning=GradientDescent(
            objective=CrossEntropy(),
            optimizer=AdamW(learning_rate=3e-3, weight_decay=0.01),
            schedule=OneCycle(),
        ),
        augment=(Shift(pixels=1),),
        batch_size=128,
        steps=3432,
        expect=(Expect(metric="test/accuracy", at_least=0.975, seeds=3, minutes=2),),
    )


def mlp_by_heart() -> Experiment:
    """Two layers of 512 on a thousand digits for 1,500 steps, which learn each by heart: to try cures on."""
    wide, few = system.Config(width=512, depth=2), Digits(valid=59_000)
    return replace(mlp_mnist(), model=wide, data=few, augment=(), steps=1500, expect=())


def deep_mlp(model: system.Config = system.Config()) -> Experiment:  # noqa: B008
    """Twenty hidden layers of 64 on MNIST for 600 steps, to turn one switch of: plain SGD hides nothing."""
    # Adam divides gradients by their own size, and so conceals most of what vanishes on the way down.
    return Experiment(
        model=model,
        data=Digits(),
        task=DIGITS,
        learning=GradientDescent(
            objective=CrossEntropy(), optimizer=SGD(learning_rate=0.01), schedule=OneCycle()
        ),
        batch_size=128,
        steps=600,
    )
