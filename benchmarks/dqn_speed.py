"""Deep Q-learning on CartPole: environment steps per second, beside stable-baselines3's DQN.

Both learn with the same network, batch size, replay memory, learning rate and half a gradient update
for each environment step, in one process and with the same number of threads, in turns (A B A B ...).
Neither is evaluated or saved while the clock runs.

    python benchmarks/dqn_speed.py --pairs 5 --threads 1
"""

import argparse
import dataclasses
import importlib.metadata
import time
from typing import Any

from pairs import keep, paired, shown, spread


def ours(steps: int, seed: int) -> float:
    """Environment steps per second of the recipe, through the engine's own loop."""
    from fathom.recipes.dqn_cartpole import dqn_cartpole
    from fathom.training import train

    experiment = dataclasses.replace(dqn_cartpole(), seed=seed)
    learner: Any = experiment.learner()
    source = experiment.source(experiment.data.load())

    def enough(event: Any) -> None:
        if learner.transitions >= steps:
            event.stop = "enough"

    began = time.perf_counter()
    train(learner, source, steps=steps, seed=seed, observers=[enough])
    return learner.transitions / (time.perf_counter() - began)


def theirs(steps: int, seed: int) -> float:
    """Environment steps per second of stable-baselines3 with the same settings."""
    from stable_baselines3 import DQN

    from fathom.recipes.dqn_cartpole import dqn_cartpole

    experiment = dqn_cartpole()
    how: Any = experiment.learning
    sizes: Any = experiment.model
    model = DQN(
        "MlpPolicy", "CartPole-v1", learning_rate=how.learning_rate, buffer_size=how.capacity,
        learning_starts=how.learning_starts, batch_size=how.batch_size, gamma=how.discount,
        train_freq=256, gradient_steps=round(256 * how.ratio),
        target_update_interval=round(how.target_every / how.ratio),
        exploration_fraction=min(1.0, how.explore_for / steps), exploration_final_eps=how.epsilon,
        policy_kwargs={"net_arch": [sizes.width] * sizes.depth}, seed=seed, device="cpu",
    )  # fmt: skip
    began = time.perf_counter()
    model.learn(steps, log_interval=10**9)
    return model.num_timesteps / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--pairs", type=int, default=5, help="runs of each, in turns; 3 or more")
    parser.add_argument("--steps", type=int, default=8000, help="environment steps of each run")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", help="the result as JSON (default: benchmarks/results/dqn_speed.json)")
    given = parser.parse_args()
    if given.pairs < 3 or given.steps < 2000 or given.threads < 1:
        parser.error("give --pairs 3 or more, --steps 2000 or more, --threads 1 or more")
    import torch

    torch.set_num_threads(given.threads)
    for run in (ours, theirs):
        run(1500, 0)  # imports, first calls and fresh memory are nobody's merit
    seeds = iter(range(10_000))  # a pair has two neighbouring seeds: episodes differ in length, not in cost
    found = paired(
        lambda: ours(given.steps, next(seeds)), lambda: theirs(given.steps, next(seeds)), given.pairs
    )
    row = {
        "what": "DQN on CartPole: environment steps per second",
        "ours": spread(found["ours"], ".0f"),
        "other": f"stable-baselines3 {importlib.metadata.version('stable-baselines3')}"
        f" {spread(found['other'], '.0f')}",
        "ratio": shown(found),
        "goal": "ratio >= 2",
    }
    keep("dqn_speed", [row], found | {"steps": given.steps, "threads": given.threads}, given.out)


if __name__ == "__main__":
    main()
