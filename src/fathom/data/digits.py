"""MNIST as training, validation and test tensors: 28x28 grey digits, uint8."""

from dataclasses import dataclass

import torch

from fathom.data.split import Data, Tensors

LABELS = tuple("0123456789")
MEAN, DEVIATION = 0.1307, 0.3081  # of the training pixels, in [0, 1]


@dataclass(frozen=True, kw_only=True)
class Digits:
    """The last ``valid`` training images are held out to choose settings on; the test set stays apart."""

    valid: int = 5000

    def __post_init__(self) -> None:
        if not 0 <= self.valid < 60_000:
            raise ValueError(
                f"valid is {self.valid}; of 60,000 training images between 0 and 59,999 can be held out"
            )

    def load(self) -> Data:
        from fathom.data.sets import mnist

        images = mnist.read()
        x, y = torch.from_numpy(images.train_images)[:, None], torch.from_numpy(images.train_labels).long()
        cut = len(x) - self.valid
        test = torch.from_numpy(images.test_images)[:, None], torch.from_numpy(images.test_labels).long()
        return Data(
            train=Tensors((x[:cut], y[:cut])),
            valid=Tensors((x[cut:], y[cut:])) if self.valid else None,
            test=Tensors(test),
            facts={"source": "mnist", "train": cut, "valid": self.valid, "test": len(test[0])},
        )
