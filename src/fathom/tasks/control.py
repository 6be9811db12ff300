"""Control: observations of an environment in, the value of each action out; the best one is taken.

A split of this task holds no rows of data but the seeds of episodes, one each: to evaluate a network
is to let it play them, always taking the action it values most.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from fathom.data.environments import ENVIRONMENTS, environment
from fathom.data.split import Data
from fathom.errors import InputError, unknown
from fathom.report.blocks import BarChart, LineChart, Table
from fathom.report.page import Section
from fathom.task import Arrays, Evaluation, Network, Options, Port, Sighting, Task, one_shot
from fathom.training.randomness import key

if TYPE_CHECKING:
    from fathom.training.experiment import Experiment


def play(name: str, network: Network, seeds: Sequence[int]) -> list[dict[str, np.ndarray]]:
    """One greedy episode for each seed, all in lock step so that the network sees whole batches.

    Returns each episode's observations (t, o), action values (t, a) and rewards (t,).
    """
    worlds = [environment(name) for _ in seeds]
    now = [world.reset(seed) for world, seed in zip(worlds, seeds, strict=True)]
    traces: list[dict[str, list[Any]]] = [{"observation": [], "values": [], "reward": []} for _ in seeds]
    alive = list(range(len(seeds)))
    for _ in range(worlds[0].horizon if worlds else 0):
        values = network({"observation": np.stack([now[i] for i in alive])})["values"]
        still = []
        for i, row, action in zip(alive, values, values.argmax(axis=1).tolist(), strict=True):
            seen, (now[i], reward, ended) = now[i], worlds[i].step(action)
            for part, value in zip(("observation", "values", "reward"), (seen, row, reward), strict=True):
                traces[i][part].append(value)
            if not ended:
                still.append(i)
        alive = still
        if not alive:
            break
    return [{name: np.asarray(part) for name, part in trace.items()} for trace in traces]


@dataclass(frozen=True, kw_only=True)
class Control:
    """Acting in one environment, with ``observation`` numbers seen and ``actions`` to choose from."""

    environment: str = "CartPole-v1"
    observation: int = 4
    actions: int = 2

    def __post_init__(self) -> None:
        if self.environment not in ENVIRONMENTS:
            raise unknown("environment", self.environment, ENVIRONMENTS)
        kind = ENVIRONMENTS[self.environment]
        for name in ("observation", "actions"):
            if getattr(self, name) != getattr(kind, name):
                raise ValueError(
                    f"{name} is {getattr(self, name)}; {self.environment} has {getattr(kind, name)}"
                )

    # -- its own data ---------------------------------------------------------------------------
    @staticmethod
    def recognise(path: Path, options: Options) -> Sighting | None:
        """Nothing: games are played, not read."""
        return None

    @classmethod
    def read(cls, path: Path, options: Options) -> tuple[Task, Data]:
        """Refuses: games are played, not read."""
        raise InputError(f"{path}: control learns by playing, not from files; run fathom train dqn_cartpole")

    def read_labelled(self, path: Path, options: Options) -> Data:
        """Refuses: games are played, not read."""
        raise InputError(
            f"{path}: control is scored by playing, not on files; run fathom verify dqn_cartpole"
        )

    def experiment(self, data: Data, seed: int) -> "Experiment":
        """Deep Q-learning with the recipe's settings."""
        from fathom.data.split import InMemory
        from fathom.reinforcement import dqn_cartpole
        from fathom.training.experiment import Experiment

        return Experiment(
            model=dqn_cartpole.Config(observation=self.observation, actions=self.actions),
            data=InMemory(data),
            task=self,
            learning=dqn_cartpole.DeepQLearning(),
            steps=700,
            evaluate_every=10 if data.valid is not None else None,
            keep="best" if data.valid is not None else "last",
            seed=seed,
        )

    # -- the network's boundary -------------------------------------------------------------------
    def inputs(self) -> tuple[Port, ...]:
        return (Port("observation", "float32", ("batch", self.observation)),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("values", "float32", ("batch", self.actions)),)

    def preprocessing(self) -> list[dict[str, Any]]:
        shape = [self.observation]
        return [{"operation": "array", "input": "observation", "shape": shape, "dtype": "float32"}]

    def prepare(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return inputs

    def finish(self, output: Tensor) -> tuple[Tensor, ...]:
        return (output.float(),)

    # -- answers -------------------------------------------------------------------------------------
    def respond(self, network: Network, items: Sequence[Arrays]) -> list[dict[str, Any]]:
        return one_shot(network, items, self.answer)

    def answer(self, outputs: Arrays) -> dict[str, Any]:
        """The action of the highest value, and the value of each."""
        values = outputs["values"]
        return {"action": int(values.argmax()), "values": [float(v) for v in values]}

    def examples(self) -> list[Any]:
        lean = [[0.0] * self.observation, [0.05] * self.observation, [-0.05] * self.observation]
        return [*lean, [(-1.0) ** i for i in range(self.observation)]]

    def page(self) -> str:
        return "<json-input></json-input><json-output></json-output>"

    # -- how good ------------------------------------------------------------------------------------
    def evaluate(self, network: Network, split: Any) -> Evaluation:
        """The sum of rewards of each episode of ``split``, played greedily."""
        (seeds,) = split.rows(torch.arange(len(split)))
        episodes = play(self.environment, network, seeds.tolist())
        returns = np.array([episode["reward"].sum() for episode in episodes])
        lengths = np.array([len(episode["reward"]) for episode in episodes], dtype=np.float64)
        worst = int(returns.argmin())
        return Evaluation(
            metrics={
                "return": float(returns.mean()),
                "length": float(lengths.mean()),
                "worst": float(returns[worst]),
            },
            headline="return",
            items={"return": returns, "length": lengths},
            detail={"seeds": seeds.tolist(), "worst": worst, "episode": episodes[worst]},
        )

    def baselines(self, data: Data) -> dict[str, Evaluation]:
        """Random actions, and the environment's rule of thumb, on the validation episodes."""
        if data.valid is None:
            return {}
        dice, world = (
            np.random.Generator(np.random.PCG64(key("random policy"))),
            environment(self.environment),
        )

        def random(arrays: Arrays) -> Arrays:
            return {"values": dice.random((len(arrays["observation"]), self.actions))}

        def rule(arrays: Arrays) -> Arrays:
            return {"values": np.eye(self.actions)[world.rule(arrays["observation"])]}

        return {
            "random actions": self.evaluate(random, data.valid),
            "rule of thumb": self.evaluate(rule, data.valid),
        }

    def sections(self, evaluation: Evaluation, split: Any) -> list[Section]:
        """The returns of all episodes, and what happened in the worst one."""
        returns, detail = evaluation.items["return"], evaluation.detail
        counts, edges = np.histogram(returns, bins=min(10, max(1, len(np.unique(returns)))))
        names = [f"{low:.4g} to {high:.4g}" for low, high in itertools.pairwise(edges)]
        quantiles = [
            [f"{share:.0%}", float(np.quantile(returns, share))] for share in (0, 0.25, 0.5, 0.75, 1)
        ]
        worst, episode = detail["worst"], detail["episode"]
        steps = range(len(episode["reward"]))
        seen = {
            name: list(zip(steps, episode["observation"][:, i].tolist(), strict=True))
            for i, name in enumerate(ENVIRONMENTS[self.environment].names)
        }
        values = {
            f"action {i}": list(zip(steps, episode["values"][:, i].tolist(), strict=True))
            for i in range(self.actions)
        }
        title = f"Episode {worst}, the one with the lowest return ({returns[worst]:.4g})"
        return [
            Section(
                "Returns",
                [
                    BarChart(names, counts.tolist(), caption="Episodes by their return"),
                    Table(["share of episodes", "return at most"], quantiles, "Quantiles of the return"),
                ],
                f"{len(returns)} episodes of {self.environment}, played greedily, each from its own start.",
            ),
            Section(
                title,
                [
                    LineChart(seen, x="step", y="observation", caption="What the agent saw"),
                    LineChart(values, x="step", y="value", caption="What it thought each action was worth"),
                ],
            ),
        ]


TASK = Control
