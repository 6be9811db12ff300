"""Deep Q-learning on CartPole-v1."""

from dataclasses import dataclass

import torch

from fathom.data.environments import environment
from fathom.data.split import Data, Tensors
from fathom.reinforcement import dqn_cartpole as dqn
from fathom.tasks.control import Control
from fathom.training import Expect, Experiment
from fathom.training.randomness import key


@dataclass(frozen=True, kw_only=True)
class Games:
    """Episodes to play: training without end, and a fixed set of seeds each for validation and test."""

    environment: str = "CartPole-v1"
    valid: int = 100
    test: int = 100

    def __post_init__(self) -> None:
        for name in ("valid", "test"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more episodes")

    def load(self) -> Data:
        return Data(
            train=dqn.Episodes(environment(self.environment)),
            valid=episode_seeds("valid", count=self.valid),
            test=episode_seeds("test", count=self.test),
            facts={"source": self.environment, "valid": self.valid, "test": self.test},
        )


def episode_seeds(*parts: str, count: int) -> Tensors:
    """Seeds of ``count`` episodes; different parts give different episodes."""
    return Tensors((torch.tensor([key(*parts, i) for i in range(count)]),))


def dqn_cartpole(model: dqn.Config = dqn.Config()) -> Experiment:  # noqa: B008
    """Balances a pole on a cart by deep Q-learning: two hidden layers of 256, played until it never falls.

    Settings follow stable-baselines3's zoo. Validation episodes choose the weights that are kept; the
    100 test episodes have seeds of their own and are played once.
    """
    return Experiment(
        model=model,
        data=Games(),
        task=Control(),
        learning=dqn.DeepQLearning(),
        steps=700,
        evaluate_every=10,
        keep="best",
        expect=(Expect(metric="test/return", at_least=475, seeds=5, passing=4),),
    )
