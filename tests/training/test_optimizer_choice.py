"""Optimizers chosen by name: what a setting can exchange, refuse and record; every choice resumes."""

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from fathom.architectures.convolutional import lenet
from fathom.cli.command import main
from fathom.errors import InputError
from fathom.fundamentals.optimizers import lion, muon, rmsprop
from fathom.recipes.lenet import lenet as recipe
from fathom.settings import diff, flatten, override, override_all
from fathom.training import (
    SAM,
    SGD,
    Adam,
    AdamW,
    CrossEntropy,
    Experiment,
    GradientDescent,
    Lion,
    Lookahead,
    Muon,
    OneCycle,
    Parallel,
    RMSprop,
    train,
)
from fathom.training.checkpoint import CheckpointFolder, digest
from fathom.training.checkpoint import flatten as pack
from fathom.training.nested import unflatten
from fathom.training.optim import choices
from fathom.training.randomness import scramble
from fathom.training.state import gather, scatter, unpack
from fathom.verbs.session import flat
from fathom.verbs.train import resume
from fathom.verbs.train import train as train_verb

NAMES = tuple(choices())


def tiny(**changes: Any) -> Experiment:
    """LeNet-tiny learning by Lion."""
    experiment = override(lenet.tiny(), "learning.optimizer", "Lion")
    return dataclasses.replace(override(experiment, "learning.optimizer.learning_rate", "1e-3"), **changes)


def weights(learner: Any) -> dict[str, torch.Tensor]:
    return {f"{m}.{n}": t.clone() for m, net in learner.modules.items() for n, t in net.state_dict().items()}


def run(experiment: Experiment, steps: int) -> Any:
    learner = experiment.learner()
    train(learner, experiment.source(experiment.data.load()), steps=steps, seed=experiment.seed)
    return learner


class Speller(nn.Module):
    """A table, a matrix, a kernel and vectors: every kind of tensor that a rule may treat apart."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.kernel = nn.Embedding(7, 6), nn.Conv1d(6, 8, 3, padding=1)
        self.norm, self.out = nn.LayerNorm(8), nn.Linear(8, 5)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.kernel(self.table(tokens).transpose(1, 2)).transpose(1, 2)
        return self.out(torch.tanh(self.norm(x)).mean(1))


def learner_of(optimizer: Any, model: nn.Module, steps: int = 60) -> Any:
    how = GradientDescent(objective=CrossEntropy(), optimizer=optimizer, schedule=OneCycle(), clip_norm=1.0)
    return how.learner(model, steps, Parallel())


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    dice = torch.Generator().manual_seed(0)
    return torch.randint(7, (40, 9), generator=dice), torch.randint(5, (40,), generator=dice)


@pytest.mark.parametrize("name", NAMES)
def test_every_choice_learns_and_resumes_to_the_last_bit(name: str) -> None:
    """Through tensors and JSON, under a schedule, with a table, kernels and vectors."""
    torch.manual_seed(0)
    model = Speller()
    straight = learner_of(choices()[name](), copy.deepcopy(model))
    losses = [float(straight.update(batch(), step)["loss"]) for step in range(23)]
    tensors, facts = pack(gather(straight, {"learner": straight}))
    tensors = {n: t.clone() for n, t in tensors.items()}
    losses += [float(straight.update(batch(), step)["loss"]) for step in range(23, 60)]
    assert losses[-1] < losses[0] - 0.005
    assert all(p.grad is not None for p in straight.raw.parameters())

    resumed = learner_of(choices()[name](), model)
    scatter(unflatten(tensors, json.loads(json.dumps(facts))), resumed, {"learner": resumed})
    for step in range(23, 60):
        assert float(resumed.update(batch(), step)["loss"]) == losses[step]
    assert digest(weights(resumed)) == digest(weights(straight))


def test_a_run_with_lion_resumes_exactly_twice(tmp_path: Path) -> None:
    experiment = tiny()
    straight = digest(weights(run(experiment, 9)))
    for start, end in ((0, 3), (3, 7), (7, 9)):
        learner = experiment.learner()
        assert isinstance(learner.optimizers["optimizer"], lion.Lion)
        source = experiment.source(experiment.data.load())
        keepers = {"learner": learner, "source": source}
        with CheckpointFolder(tmp_path / "checkpoints") as folder:
            loaded = folder.load()
            if loaded is not None:
                assert loaded.step == start
                scatter(unpack(loaded), learner, keepers)
            scramble(start)
            train(learner, source, steps=end, start=start, seed=experiment.seed)
            tensors, facts = pack(gather(learner, keepers))
            folder.save(end, tensors, {"state": facts})
    assert digest(weights(learner)) == straight


def test_a_recorded_run_resumes_with_the_optimizer_that_it_names(tmp_path: Path) -> None:
    """Interrupted at step 20 of 30; only run.json says that it is Lion around which Lookahead stands."""
    settings = [
        ("steps", "30"), ("evaluate_every", "10"), ("learning.optimizer", "Lookahead"),
        ("learning.optimizer.inner", "Lion"), ("learning.optimizer.inner.learning_rate", "1e-3"),
    ]  # fmt: skip
    straight = train_verb(lenet.tiny(), settings=settings, out=tmp_path / "straight", export=False)

    def stop(event: Any) -> None:
        if event.steps == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_verb(lenet.tiny(), settings=settings, out=tmp_path / "run", export=False, observers=[stop])
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["experiment"]["learning"]["optimizer"]["class"] == "Lookahead"
    assert record["experiment"]["learning"]["optimizer"]["inner"]["class"] == "Lion"
    done = resume(tmp_path / "run", experiment=lenet.tiny(), export=False)
    assert done.digest == straight.digest
    assert done.digest != train_verb(lenet.tiny(), out=tmp_path / "other", export=False).digest


def test_a_setting_puts_another_optimizer_there_with_its_own_defaults() -> None:
    experiment = override(recipe(), "learning.optimizer", "Lion")
    assert experiment.learning.optimizer == Lion()
    experiment = override(experiment, "learning.optimizer.learning_rate", "3e-4")
    assert experiment.learning.optimizer == Lion(learning_rate=3e-4)
    assert override(recipe(), "optimizer", "Lion").learning.optimizer == Lion()  # the last part is enough


def test_the_optimizer_that_is_there_already_stays_as_it_is() -> None:
    before = recipe()
    assert override(before, "learning.optimizer", "AdamW") == before


def test_optimizers_nest() -> None:
    experiment = override(recipe(), "learning.optimizer", "Lookahead")
    experiment = override(experiment, "learning.optimizer.inner", "RMSprop")
    experiment = override(experiment, "learning.optimizer.inner.epsilon_inside", "true")
    optimizer = experiment.learning.optimizer.build(nn.Linear(2, 2))
    assert isinstance(optimizer.inner, rmsprop.RMSpropTF)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Loin", "there is no optimizer 'Loin'; did you mean 'Lion'"),
        ("adamw", "did you mean 'AdamW'"),
        ("os.system", "there is no optimizer 'os.system'"),
        ("torch.optim.ASGD", "there is no optimizer 'torch.optim.ASGD'"),
        ("", "there is no optimizer ''; known: AdaMax"),
    ],
)
def test_another_name_is_refused_with_the_nearest(name: str, said: str) -> None:
    with pytest.raises(InputError, match=said.replace(".", r"\.").replace("?", r"\?")):
        override(recipe(), "learning.optimizer", name)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["learning.optimizer=Loin"], "there is no optimizer 'Loin'; did you mean 'Lion'"),
        (
            ["learning.optimizer=Lion", "learning.optimizer.momentum=0.9"],
            "no setting 'learning.optimizer.mom",
        ),
        (["learning.optimizer=Lion", "learning_rate=-1"], "learning_rate is -1.0; it must be positive"),
        (["learning.optimizer=Muon", "learning.optimizer.scale=huge"], "scale"),
        (["learning.optimizer=Lookahead", "learning.optimizer.every=0"], "every is 0; it must be 1 or more"),
    ],
)
def test_the_command_line_exits_with_two(
    settings: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    command = ["train", "lenet", *(part for s in settings for part in ("--set", s))]
    assert main(command) == 2
    assert said in capsys.readouterr().err.replace("\n", " ")
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_the_command_line_trains_with_lion(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    command = ["train", "tests.cli.tiny_recipe:recipe", "--out", str(folder), "--json", "--no-export"]
    command += ["--set", "learning.optimizer=Lion", "--set", "learning.optimizer.learning_rate=3e-4"]
    assert main(command) == 0
    record = json.loads((folder / "run.json").read_text())
    assert record["experiment"]["learning"]["optimizer"] == {
        "class": "Lion", "learning_rate": 3e-4, "betas": [0.9, 0.99], "weight_decay": 0.0, "layer_decay": 1.0,
    }  # fmt: skip
    assert record["settings"]["learning.optimizer.learning_rate"] == 3e-4
    assert capfd.readouterr().out.count("\n") == 1


def test_the_caption_of_two_curves_names_both_optimizers() -> None:
    before = override(recipe(), "learning.optimizer", "Nadam")
    after = override(override(recipe(), "learning.optimizer", "RAdam"), "learning_rate", "2e-3")
    assert diff(before, after)["learning.optimizer"] == ("Nadam", "RAdam")
    assert diff(recipe(), override(recipe(), "steps", "7")) == {"steps": (3432, 7)}
    assert "learning.optimizer" not in flatten(recipe())


def test_every_choice_is_exported_and_checks_its_settings() -> None:
    import fathom.training as engine

    for name, kind in choices().items():
        assert getattr(engine, name) is kind and name in engine.__all__
        config: Any = kind()
        assert dataclasses.is_dataclass(config)
        for setting in ("learning_rate", "fallback_learning_rate", "epsilon", "weight_decay"):
            if hasattr(config, setting) and not (name in ("SGD", "Adam", "AdamW") and setting == "epsilon"):
                with pytest.raises(ValueError, match=r"is -1.0; it must be"):
                    dataclasses.replace(config, **{setting: -1.0})
        if hasattr(config, "betas"):
            with pytest.raises(ValueError, match=r"betas? (is|holds) 1.0"):
                dataclasses.replace(config, betas=(0.9, 1.0))


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("Lookahead", "SAM", "Adam")])
def test_vectors_are_not_decayed(name: str) -> None:
    model = Speller()
    optimizer = choices()[name](weight_decay=0.25).build(model)  # type: ignore[call-arg]
    decay = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    assert len(decay) == len(list(model.parameters()))
    for parameter in model.parameters():
        if parameter.ndim < 2:
            assert decay[id(parameter)] == 0.0
    assert decay[id(model.out.weight)] == decay[id(model.kernel.weight)] == 0.25


def test_frozen_parameters_are_left_out() -> None:
    model = Speller()
    model.table.requires_grad_(False)
    for name in NAMES:
        held = {id(p) for g in choices()[name]().build(model).param_groups for p in g["params"]}
        assert held == {id(p) for p in model.parameters() if p.requires_grad}, name


def test_amsgrad_is_an_option_and_off_unless_asked_for() -> None:
    for kind in (Adam, AdamW):
        assert kind().build(nn.Linear(2, 2)).param_groups[0]["amsgrad"] is False
        assert kind(amsgrad=True).build(nn.Linear(2, 2)).param_groups[0]["amsgrad"] is True


def test_muon_turns_matrices_and_kernels_and_leaves_tables_and_vectors_to_adamw() -> None:
    model = Speller()
    optimizer = Muon(weight_decay=0.1).build(model)
    assert isinstance(optimizer, muon.Muon)
    rules = {id(p): g["rule"] for g in optimizer.param_groups for p in g["params"]}
    turned = {n for n, p in model.named_parameters() if rules[id(p)] == "muon"}
    assert turned == {"kernel.weight", "out.weight"}


def test_rmsprop_has_both_places_for_epsilon() -> None:
    assert isinstance(RMSprop().build(nn.Linear(2, 2)), torch.optim.RMSprop)
    assert isinstance(RMSprop(epsilon_inside=True).build(nn.Linear(2, 2)), rmsprop.RMSpropTF)


def test_sam_serves_a_loop_of_ones_own_through_a_closure() -> None:
    model = Speller()
    optimizer = SAM(inner=Lookahead(inner=SGD(learning_rate=0.05)), radius=0.1).build(model)
    objective = CrossEntropy()

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss, _ = objective(model, batch())
        loss.backward()
        return loss.detach()

    losses = [float(optimizer.step(closure)) for _ in range(40)]
    assert losses[-1] < losses[0] - 0.01
    with pytest.raises(ValueError, match=r"radius is -1.0"):
        SAM(radius=-1.0)


def test_a_setting_that_an_exchange_would_lose_is_refused() -> None:
    experiment = lenet.tiny()
    rate, exchange = ("learning.optimizer.learning_rate", "0.25"), ("learning.optimizer", "Lion")
    made = override_all(experiment, [exchange, rate])
    assert made.learning.optimizer == Lion(learning_rate=0.25)
    with pytest.raises(InputError, match=r"Lion exchanges what --set learning.optimizer.learning_rate=0.25"):
        override_all(experiment, [rate, exchange])
    again = override_all(experiment, [rate, ("learning_rate", "0.5"), ("steps", "9"), ("optimizer", "AdamW")])
    assert again.learning.optimizer.learning_rate == 0.5 and again.steps == 9  # of the same kind: kept


def test_runs_tell_which_optimizer_they_had() -> None:
    """Nadam and RAdam have the same settings: only their names tell them apart."""
    first, second = (override_all(lenet.tiny(), [("optimizer", name)]) for name in ("Nadam", "RAdam"))
    assert diff(first, second)["learning.optimizer"] == ("Nadam", "RAdam")
    assert [flat(e)["learning.optimizer"] for e in (first, second)] == ["Nadam", "RAdam"]
