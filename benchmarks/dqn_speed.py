"""Deep Q-learning on CartPole: environment steps per second, beside stable-baselines3's DQN.

Both learn with the same network, batch size, replay memory, learning rate and half a gradient update
for each environment step, in one process and with the same number of threads, in turns (A B A B ...).
Neither is evaluated or saved while the clock runs.

    python benchmarks/dqn_speed.py --pairs 5 --threads 1 --out dqn_speed.json
"""

import argparse
import dataclasses
import json
import platform
import statistics
import sys
import time
from pathlib import Path
from typing import Any


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


def measure(pairs: int, steps: int, threads: int) -> dict[str, Any]:
    """All pairs, their ratios, and what they were measured on."""
    import stable_baselines3
    import torch

    torch.set_num_threads(threads)
    for run in (ours, theirs):
        run(1500, 0)  # imports, first calls and fresh memory are nobody's merit
    a, b = [], []
    for seed in range(1, pairs + 1):
        a.append(ours(steps, seed))
        b.append(theirs(steps, seed))
        print(f"pair {seed}: {a[-1]:.0f} and {b[-1]:.0f} steps per second", file=sys.stderr, flush=True)
    ratios = [x / y for x, y in zip(a, b, strict=True)]
    return {
        "benchmark": "dqn_speed",
        "unit": "environment steps per second",
        "steps": steps,
        "threads": threads,
        "fathom": summary(a),
        "stable_baselines3": summary(b),
        "ratio": summary(ratios),
        "target": {"ratio": 2.0, "met": statistics.median(ratios) >= 2.0},
        "versions": {"torch": torch.__version__, "stable_baselines3": stable_baselines3.__version__},
        "machine": {"system": platform.platform(terse=True), "processor": platform.machine()},
    }


def summary(values: list[float]) -> dict[str, Any]:
    return {
        "median": statistics.median(values),
        "lowest": min(values),
        "highest": max(values),
        "all": values,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--pairs", type=int, default=5, help="runs of each, in turns; 3 or more")
    parser.add_argument("--steps", type=int, default=8000, help="environment steps of each run")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="write the JSON here, not to stdout")
    given = parser.parse_args()
    if given.pairs < 3 or given.steps < 2000 or given.threads < 1:
        parser.error("give --pairs 3 or more, --steps 2000 or more, --threads 1 or more")
    text = json.dumps(measure(given.pairs, given.steps, given.threads), indent=1)
    if given.out is None:
        print(text)
    else:
        given.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
