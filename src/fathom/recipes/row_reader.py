"""Recipes for the row reader."""

from fathom.architectures.recurrent import row_reader as system
from fathom.data.digits import DEVIATION, LABELS, MEAN, Digits
from fathom.data.transforms import Shift
from fathom.tasks.image_classification import ImageClassification
from fathom.training import AdamW, CrossEntropy, Expect, Experiment, GradientDescent, OneCycle

DIGITS = ImageClassification(
    labels=LABELS, channels=1, height=28, width=28, mean=(MEAN,), deviation=(DEVIATION,), ink="light"
)


def row_reader(model: system.Config = system.Config()) -> Experiment:  # noqa: B008
    """An LSTM of 64 reads MNIST row by row: four epochs of AdamW with one-cycle rate and small shifts."""
    return Experiment(
        model=model,
        data=Digits(),
        task=DIGITS,
        learning=GradientDescent(
            objective=CrossEntropy(),
            optimizer=AdamW(learning_rate=1e-2, weight_decay=0.01),
            schedule=OneCycle(),
            clip_norm=1.0,
        ),
        augment=(Shift(pixels=1),),
        batch_size=128,
        steps=1716,
        expect=(Expect(metric="test/accuracy", at_least=0.983, seeds=3, minutes=2),),
    )
