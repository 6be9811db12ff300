"""Recipes for the label finder."""

from fathom.applications.recognition import label_finder as system
from fathom.data.composed import ComposedDigits
from fathom.data.digits import LABELS
from fathom.tasks.multi_label import MultiLabel
from fathom.training import Adam, Expect, Experiment, GradientDescent, OneCycle

# Ground stays zero, which is what a convolution pads with.
CANVAS = MultiLabel(labels=LABELS, channels=1, height=56, width=56, mean=(0.0,), deviation=(1.0,))


def composed_digits(model: system.Config = system.Config()) -> Experiment:  # noqa: B008
    """Which of the ten digits are among the two or three on a canvas? Each label by itself."""
    return Experiment(
        model=model,
        data=ComposedDigits(),
        task=CANVAS,
        learning=GradientDescent(
            objective=system.EachLabel(), optimizer=Adam(learning_rate=4e-3), schedule=OneCycle()
        ),
        batch_size=64,
        steps=1248,  # four epochs
        expect=(Expect(metric="test/mean_average_precision", at_least=0.95, seeds=3, minutes=5),),
    )
