"""A recipe of one's own, as a user would write it in a module beside the work."""

from fathom.architectures.convolutional import lenet
from fathom.training import Experiment


def recipe() -> Experiment:
    """Tiny LeNet, twenty steps."""
    import dataclasses

    return dataclasses.replace(lenet.tiny(), steps=20)
