"""Environments: what an agent acts in. Each is found by name, so that a task can keep it as a setting."""

from typing import Protocol, runtime_checkable

import numpy as np

from fathom.errors import InputError, missing_extra, unknown


@runtime_checkable
class Environment(Protocol):
    """Something to act in. It keeps no randomness beyond the seed of the episode."""

    horizon: int  # most transitions of an episode; one that is cut off there has not ended
    observation: int  # numbers in an observation
    actions: int
    names: tuple[str, ...]  # of the numbers in an observation, with units

    def reset(self, seed: int) -> np.ndarray:
        """Begin an episode; return the first observation, float32 (o,)."""
        ...

    def step(self, action: int) -> tuple[np.ndarray, float, bool]:
        """The next observation, the reward, and whether the episode has ended (not: was cut off)."""
        ...

    def rule(self, observations: np.ndarray) -> np.ndarray:
        """What a person would do without learning: actions (b,) for observations (b, o)."""
        ...


class CartPole:
    """gymnasium's CartPole-v1 (Barto, Sutton and Anderson 1983): push a cart so that its pole stays up."""

    actions = 2
    observation = 4
    names: tuple[str, ...] = (
        "cart position (m)",
        "cart velocity (m/s)",
        "pole angle (rad)",
        "pole velocity (rad/s)",
    )

    def __init__(self) -> None:
        try:
            import gymnasium
        except ImportError:
            raise missing_extra("rl", "gymnasium") from None
        made = gymnasium.make("CartPole-v1")
        if made.spec is None or made.spec.max_episode_steps is None:
            raise InputError("this gymnasium sets CartPole-v1 no time limit; install gymnasium 1.0 or later")
        self.horizon = made.spec.max_episode_steps
        self.world = made.unwrapped  # the wrappers check calls that are right here, at some cost

    def reset(self, seed: int) -> np.ndarray:
        return self.world.reset(seed=seed)[0]

    def step(self, action: int) -> tuple[np.ndarray, float, bool]:
        observation, reward, ended, _, _ = self.world.step(action)
        return observation, float(reward), bool(ended)

    def rule(self, observations: np.ndarray) -> np.ndarray:
        """Push towards the side the pole leans to."""
        return (observations[:, 2] > 0).astype(np.int64)


class Corridor:
    """Eight cells in a row; a step to the right comes nearer to the goal, and each step costs a little."""

    horizon = 24
    actions = 2
    cells = 8
    observation = 2
    names: tuple[str, ...] = ("place (0 to 1)", "ground (constant)")

    def __init__(self) -> None:
        self.place = 0

    def reset(self, seed: int) -> np.ndarray:
        self.place = seed % (self.cells // 2)
        return self.look()

    def look(self) -> np.ndarray:
        return np.array([self.place / (self.cells - 1), 1.0], dtype=np.float32)

    def step(self, action: int) -> tuple[np.ndarray, float, bool]:
        self.place = max(0, self.place + (1 if action else -1))
        arrived = self.place == self.cells - 1
        return self.look(), 1.0 if arrived else -0.1, arrived

    def rule(self, observations: np.ndarray) -> np.ndarray:
        return np.ones(len(observations), dtype=np.int64)


ENVIRONMENTS: dict[str, type[CartPole] | type[Corridor]] = {"CartPole-v1": CartPole, "corridor": Corridor}


def environment(name: str) -> CartPole | Corridor:
    """A fresh environment. An unknown name raises ``InputError`` with the nearest ones."""
    if name not in ENVIRONMENTS:
        raise unknown("environment", name, ENVIRONMENTS)
    return ENVIRONMENTS[name]()
