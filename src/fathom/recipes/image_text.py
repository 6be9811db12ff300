"""Recipes for image-text matching."""

from fathom.data.captions import CANDIDATES, LENGTH, WORDS, CaptionedDigits
from fathom.multimodal import image_text as system
from fathom.tasks.image_text_matching import ImageTextMatching
from fathom.training import Adam, Experiment, GradientDescent, OneCycle

DIGITS = system.Config(size=28, channels=1, vocabulary=len(WORDS))


def image_text(model: system.Config = DIGITS) -> Experiment:
    """Two towers on MNIST digits and captions made by rule: which caption fits, and does this one?"""
    return Experiment(
        model=model,
        data=CaptionedDigits(),
        task=ImageTextMatching(
            candidates=CANDIDATES,
            vocabulary=WORDS,
            length=LENGTH,
            channels=1,
            height=28,
            width=28,
            ink="light",
        ),
        learning=GradientDescent(
            objective=system.EveryPair(), optimizer=Adam(learning_rate=4e-3), schedule=OneCycle()
        ),
        batch_size=128,
        steps=1200,
    )
