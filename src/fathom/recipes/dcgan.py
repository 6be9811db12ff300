"""DCGAN on MNIST."""

from dataclasses import dataclass

import torch

from fathom.data.digits import LABELS, Digits
from fathom.data.split import Data, Part
from fathom.generative.gans import dcgan as system
from fathom.tasks.image_generation import Beside, ImageGeneration
from fathom.training import Expect, Experiment


@dataclass(frozen=True, kw_only=True)
class JudgedDigits:
    """MNIST to learn from, with the digits that a judge compares samples with.

    Half of the held-out training digits is what validation compares with, the other half stands for
    unseen digits; in the test, the 10,000 test digits are what is compared with.
    """

    valid: int = 5000

    def __post_init__(self) -> None:
        if not 2000 <= self.valid < 60_000:
            raise ValueError(f"valid is {self.valid}; it must be from 2,000 to 59,999 held-out digits")

    def load(self) -> Data:
        digits = Digits(valid=self.valid).load()
        assert digits.valid is not None and digits.test is not None
        place = torch.arange(self.valid)
        held, compared = (Part(digits.valid, half) for half in place.chunk(2))
        return Data(
            train=digits.train,
            valid=Beside(compared, digits.train, held),
            test=Beside(digits.test, digits.train, held),
            facts=digits.facts,
        )


def dcgan(model: system.Config = system.Config(noise=32)) -> Experiment:  # noqa: B008
    """Draws digits: a DCGAN with 32, 64 and 128 maps, fourteen epochs of MNIST.

    One seed is verified, since a run and its judge take minutes.
    """
    return Experiment(
        model=model,
        data=JudgedDigits(),
        task=ImageGeneration(labels=LABELS, channels=1, height=28, width=28, noise=model.noise),
        learning=system.Adversarial(
            generator_rate=3e-3, discriminator_rate=2e-3, smoothing=0.1, average=0.998, decay=0.5
        ),
        batch_size=64,
        steps=12_000,
        expect=(
            Expect(metric="test/recognised", at_least=0.85, minutes=15),
            Expect(metric="test/smallest_share", at_least=0.02),
            Expect(metric="test/variance_ratio", at_least=0.6),
            Expect(metric="test/nearest_ratio", at_least=1.0),
        ),
    )
