"""Recipes for LeNet-5."""

from fathom.architectures.convolutional import lenet as system
from fathom.data.digits import DEVIATION, LABELS, MEAN, Digits
from fathom.data.transforms import Shift
from fathom.tasks.image_classification import ImageClassification
from fathom.training import AdamW, CrossEntropy, Expect, Experiment, GradientDescent, OneCycle

DIGITS = ImageClassification(
    labels=LABELS, channels=1, height=28, width=28, mean=(MEAN,), deviation=(DEVIATION,), ink="light"
)


def lenet(model: system.Config = system.Config()) -> Experiment:  # noqa: B008
    """LeNet-5 on MNIST: eight epochs of AdamW with one-cycle learning rate and small shifts."""
    return Experiment(
        model=model,
        data=Digits(),
        task=DIGITS,
        learning=GradientDescent(
            objective=CrossEntropy(),
            optimizer=AdamW(learning_rate=4e-3, weight_decay=0.01),
            schedule=OneCycle(),
        ),
        augment=(Shift(pixels=2),),
        batch_size=128,
        steps=3432,
        expect=(Expect(metric="test/accuracy", at_least=0.990, seeds=3),),
    )


def lenet_sparse() -> Experiment:
    """LeNet-5 with the paper's Table I: each map of C3 sees only some of those below it."""
    return lenet(system.Config(sparse=True))
