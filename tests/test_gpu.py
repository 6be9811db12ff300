"""What holds on a processor holds on the accelerator: contract, resume and precision (``make gpu``)."""

import dataclasses
from pathlib import Path

import pytest
import torch

from fathom import catalog
from fathom.training import GradientDescent, Parallel, Precision, train
from fathom.verbs.train import resume
from fathom.verbs.train import train as run_recipe

ACCELERATOR = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(ACCELERATOR is None, reason="this machine has no accelerator"),
]
EVERY = pytest.mark.parametrize("name", list(catalog.systems()))


@EVERY
def test_losses_follow_those_of_the_processor(name: str) -> None:
    assert ACCELERATOR is not None
    experiment = catalog.system(name).load().tiny()
    curves: list[list[float]] = []
    for device in (torch.device("cpu"), ACCELERATOR):
        parallel = Parallel(device=device)
        losses: list[float] = []
        train(
            experiment.learner(parallel),
            experiment.source(experiment.data.load(), parallel),
            steps=3,
            seed=experiment.seed,
            observers=[lambda event, kept=losses: kept.append(float(event.metrics["loss"]))],
        )
        curves.append(losses)
    assert curves[1][0] == pytest.approx(curves[0][0], rel=0.2, abs=1e-3)


@pytest.mark.parametrize("name", ["lenet", "char_lstm"])
def test_resumes_exactly_in_deterministic_mode(name: str, tmp_path: Path) -> None:
    experiment = dataclasses.replace(catalog.system(name).load().tiny(), deterministic=True, steps=20)
    device = str(ACCELERATOR)
    twin = run_recipe(experiment, out=tmp_path / "twin", device=device, export=False)

    def stop(event: object) -> None:
        if event.steps == 9:  # type: ignore[attr-defined]
            event.stop = "interrupted"  # type: ignore[attr-defined]

    run_recipe(experiment, out=tmp_path / "cut", device=device, export=False, observers=[stop])
    again = resume(tmp_path / "cut", experiment=experiment, device=device, export=False)
    assert again.digest == twin.digest


@pytest.mark.parametrize("compute", ["bf16", "fp16"])
def test_low_precision_learns(compute: str) -> None:
    assert ACCELERATOR is not None
    experiment = catalog.system("lenet").load().tiny()
    how = experiment.learning
    assert isinstance(how, GradientDescent)
    how = dataclasses.replace(how, precision=Precision(compute=compute))  # type: ignore[arg-type]
    parallel = Parallel(device=ACCELERATOR)
    losses: list[float] = []
    experiment = dataclasses.replace(experiment, learning=how)
    train(
        experiment.learner(parallel), experiment.source(experiment.data.load(), parallel),
        steps=experiment.steps, observers=[lambda event: losses.append(float(event.metrics["loss"]))],
    )  # fmt: skip
    assert losses[-1] < 0.5 * losses[0]
