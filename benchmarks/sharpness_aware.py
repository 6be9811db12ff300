"""What SAM costs: a step of the engine with SAM around SGD against the same step with SGD alone.

A small residual network, random pictures, the engine's own update on both sides: forward, loss, backward,
norm, step. SAM takes two gradients, so about twice the time is expected; what is above 2 goes to the way up
and back. ASAM measures its ball in units of each weight, a few passes over the parameters more. First the
losses of both sides must agree: SAM reports the loss where the weights are, not where it looks.
"""

import time
from typing import Any

import torch
from pairs import arguments, keep, paired, shown

from fathom.architectures.convolutional import cifar_resnet
from fathom.training import SAM, SGD, CrossEntropy, GradientDescent, Parallel

DEPTH, WIDTH, BATCH, STEPS = 20, 16, 64, 5
PLAIN = SGD(learning_rate=0.01, momentum=0.9)
SIDES = {"SAM": SAM(inner=PLAIN), "ASAM": SAM(inner=PLAIN, radius=0.5, adaptive=True)}


class Side:
    """One way to step, with a network of its own; every side begins with the same weights."""

    def __init__(self, optimizer: Any, depth: int, width: int) -> None:
        torch.manual_seed(0)
        model = cifar_resnet.Config(depth=depth, width=width).build()
        how = GradientDescent(objective=CrossEntropy(), optimizer=optimizer)
        self.learner, self.made = how.learner(model, 10**9, Parallel()), 0

    def step(self, batch: Any) -> float:
        metrics = self.learner.update(batch, self.made)
        self.made += 1
        return float(metrics["loss"])

    def seconds(self, batch: Any, steps: int) -> float:
        """Of one step, as the mean of ``steps``."""
        began = time.perf_counter()
        for _ in range(steps):
            self.step(batch)
        return (time.perf_counter() - began) / steps


def measure(
    optimizer: Any, pairs: int, depth: int = DEPTH, width: int = WIDTH, rows: int = BATCH, steps: int = STEPS
) -> dict[str, Any]:
    """The paired times of ``optimizer`` and of plain SGD, in seconds a step."""
    dice = torch.Generator().manual_seed(1)
    batch = torch.randn(rows, 3, 32, 32, generator=dice), torch.randint(10, (rows,), generator=dice)
    ours, plain = Side(optimizer, depth, width), Side(PLAIN, depth, width)
    first = ours.step(batch), plain.step(batch)  # this warms both, too
    if first[0] != first[1]:
        raise SystemExit(f"the first losses are {first}: the two sides do not do the same")
    return paired(lambda: ours.seconds(batch, steps), lambda: plain.seconds(batch, steps), pairs)


def main() -> None:
    args = arguments(__doc__)
    torch.set_num_threads(args.threads)
    found: dict[str, Any] = {name: measure(optimizer, args.pairs) for name, optimizer in SIDES.items()}
    rows = [
        {
            "what": f"{name} around SGD, ResNet-{DEPTH} for CIFAR, batch {BATCH}: milliseconds a step",
            "ours": f"{1e3 * times['ours_median']:.1f}",
            "other": f"SGD alone {1e3 * times['other_median']:.1f}",
            "ratio": shown(times),
            "goal": "none (two gradients: about 2)",
        }
        for name, times in found.items()
    ]
    keep("sharpness_aware", rows, found | {"threads": args.threads}, args.out)


if __name__ == "__main__":
    main()
