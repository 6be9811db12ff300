"""Two processes against one: the same batches, the same gradients, the same weights within rounding."""

import dataclasses
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from fathom.architectures.convolutional import lenet
from fathom.architectures.recurrent import char_lstm
from fathom.errors import InputError
from fathom.training import SAM, SGD, Experiment, GradientDescent, train
from fathom.training.parallel import choose_device, join, leave

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def together(work: Callable[[int], Any], world: int = 2) -> list[int]:
    """Run ``work(rank)`` in forked processes that form a group; return their exit codes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    children: list[int] = []
    for rank in range(world):
        child = os.fork()
        if not child:
            code = 1
            try:
                os.environ.update(
                    RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(world), MASTER_ADDR="127.0.0.1",
                    MASTER_PORT=port,
                )  # fmt: skip
                work(rank)
                code = 0
            except BaseException:
                traceback.print_exc(file=sys.stderr)
            finally:
                os._exit(code)
        children.append(child)
    return [os.waitstatus_to_exitcode(os.waitpid(c, 0)[1]) for c in children]


def final_weights(experiment: Experiment, steps: int = 6) -> dict[str, torch.Tensor]:
    parallel = join("cpu")
    learner = experiment.learner(parallel)
    losses: list[float] = []
    train(
        learner, experiment.source(experiment.data.load(), parallel), steps=steps, seed=experiment.seed,
        rank=parallel.rank, observers=[lambda event: losses.append(float(event.metrics["loss"]))],
    )  # fmt: skip
    leave()
    weights = {n: t.detach().clone().contiguous() for n, t in learner.model.state_dict().items()}
    return weights | {"losses": torch.tensor(losses)}


def plain(experiment: Experiment, **how: Any) -> Experiment:
    """Without dropout, whose numbers belong to each process."""
    assert isinstance(experiment.learning, GradientDescent)
    model = experiment.model
    names = {f.name for f in dataclasses.fields(model)}  # type: ignore[arg-type]
    if "dropout" in names:
        model = dataclasses.replace(model, dropout=0.0)  # type: ignore[type-var]
    return dataclasses.replace(
        experiment, model=model, learning=dataclasses.replace(experiment.learning, **how)
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("lenet", {}),
        ("lenet", {"accumulate": 2, "clip_norm": 0.5, "average": 0.9}),
        ("lenet", {"optimizer": SAM(inner=SGD(learning_rate=0.05)), "accumulate": 2}),
        ("char_lstm", {}),
    ],
)
def test_two_processes_equal_one(name: str, how: dict[str, Any], tmp_path: Path) -> None:
    module = {"lenet": lenet, "char_lstm": char_lstm}[name]
    experiment = plain(module.tiny(), **how)
    alone = final_weights(experiment)
    work = lambda rank: save_file(final_weights(experiment), tmp_path / f"{rank}.safetensors")  # noqa: E731
    assert together(work) == [0, 0]
    first, second = (load_file(tmp_path / f"{r}.safetensors") for r in (0, 1))
    for key, value in alone.items():
        assert torch.equal(first[key], second[key]), f"{key} differs between the processes"
        torch.testing.assert_close(first[key], value, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_killed_process_ends_its_fellow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not hang: the survivor fails in the next exchange, with an error that says so."""
    experiment = dataclasses.replace(lenet.tiny(), steps=5000)

    def work(rank: int) -> None:
        parallel = join("cpu")

        def die(event: Any) -> None:
            if rank == 1 and event.steps == 3:
                os.kill(os.getpid(), signal.SIGKILL)

        train(
            experiment.learner(parallel), experiment.source(experiment.data.load(), parallel), steps=5000,
            rank=rank, observers=[die],
        )  # fmt: skip

    codes = together(work)
    assert codes[1] == -signal.SIGKILL
    assert codes[0] == 1


def test_batches_must_divide_and_devices_must_exist() -> None:
    from fathom.data.drawn import bars
    from fathom.data.loading import Shuffled

    with pytest.raises(InputError, match="cannot be divided among 3"):
        Shuffled(split=bars(size=16, train=40, valid=4).load().train, batch_size=32, world=3)
    with pytest.raises(InputError, match="this machine has cpu"):
        choose_device("tpu")
    assert choose_device("cpu") == torch.device("cpu")
