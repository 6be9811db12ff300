"""A few hundred lines of NumPy learn to read digits: an MLP and a small CNN, with no torch in the process.

Everything that training needs is in the engine of ``autograd.py``: gradients by the chain rule over a graph
that is recorded as it runs (Rumelhart, Hinton and Williams 1986), dense and convolutional layers, Adam. An
MLP with one hidden layer is known to reach 98 % on MNIST and a LeNet 99 % (LeCun et al. 1998, figure 9).

Each network is trained in a process of its own, on one thread, which fails if torch, jax or tensorflow was
imported by the end. 55,000 digits to learn from; settings were chosen on the other 5,000 of the training set.

``test/accuracy``: on the 10,000 test digits, scored once. ``held_out``: on those 5,000. ``seconds``: of
training, wall clock.
"""

import json
import os
import subprocess
import sys

from fathom.claim import Claim

CLAIM = Claim(
    sentence="An MLP and a small CNN learn to read digits in minutes on our NumPy engine, with no torch.",
    rows=("MA04", "NF04"),
    expect=(
        "test/accuracy: mlp >= 0.975",
        "test/accuracy: cnn >= 0.985",
        "seconds: mlp <= 120",
        "seconds: cnn <= 300",
    ),
    source="LeCun et al. 1998, Gradient-Based Learning Applied to Document Recognition, figure 9",
    builds_on=("autograd", "autograd_functions", "autograd_networks", "autograd_training"),
    seeds=1,
    differs=("One seed, since a run takes minutes; the margins are several times what seeds change.",),
)


def measure(seed: int) -> dict[str, dict[str, float]]:
    return {kind: alone(kind, seed) for kind in ("mlp", "cnn")}


def alone(kind: str, seed: int, test: bool = True) -> dict[str, float]:
    """What ``learn`` prints in a process of its own, of one thread."""
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    call = f"from {__name__} import learn; learn({kind!r}, {seed}, {test})"
    done = subprocess.run([sys.executable, "-c", call], capture_output=True, text=True, env=os.environ | one)
    if done.returncode:
        raise RuntimeError(f"training the {kind} alone failed:\n{done.stderr}")
    return json.loads(done.stdout)


def learn(kind: str, seed: int, test: bool = True) -> None:
    """Train and print the scores; fails where a framework was imported on the way."""
    from fathom.fundamentals.autograd_training import train_digits

    result = train_digits(kind, seed, test=test)
    frameworks = {"torch", "jax", "tensorflow"} & set(sys.modules)
    assert not frameworks, f"imported: {', '.join(frameworks)}"
    scores = {"test/accuracy": result.test} if result.test is not None else {}
    print(json.dumps(scores | {"held_out": result.held_out, "seconds": result.seconds}))
