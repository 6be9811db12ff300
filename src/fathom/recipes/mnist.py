"""Recipes for the fast network for digits."""

from dataclasses import replace

from fathom.architectures.convolutional import mnist as system
from fathom.data.digits import LABELS, Digits
from fathom.data.transforms import Affine
from fathom.tasks.image_classification import ImageClassification
from fathom.training import SGD, CrossEntropy, Expect, Experiment, GradientDescent, Triangle

# Ground stays zero, as the padding of the first convolution and what an affine map moves in are.
DIGITS = ImageClassification(
    labels=LABELS, channels=1, height=28, width=28, mean=(0.0,), deviation=(1.0,), ink="light"
)


def mnist(model: system.Config = system.Config()) -> Experiment:  # noqa: B008
    """MNIST in well under a minute: one cycle of SGD, slightly turned, scaled and shifted digits."""
    return Experiment(
        model=model,
        data=Digits(),
        task=DIGITS,
        learning=GradientDescent(
            objective=CrossEntropy(label_smoothing=0.1),
            optimizer=SGD(learning_rate=0.2, weight_decay=5e-4),
            schedule=Triangle(peak=0.2, start=0.05),
        ),
        augment=(Affine(degrees=10.0, scale=0.1, shear=6.0, shift=2.0),),
        batch_size=128,
        steps=1716,  # four epochs
        expect=(Expect(metric="test/accuracy", at_least=0.994, seeds=5),),
    )


def mnist_quick() -> Experiment:
    """The same net and settings for a third of the time."""
    return replace(mnist(), steps=600, expect=(Expect(metric="test/accuracy", at_least=0.992, seeds=5),))
