"""A person's own loss as the objective: checked before step 0, named where wrong, never read from a file."""

import dataclasses
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fathom.architectures.convolutional import lenet
from fathom.cli.command import main
from fathom.data.split import Data, Tensors
from fathom.errors import InputError
from fathom.settings import override, whole
from fathom.tasks.vector_classification import VectorClassification
from fathom.training import SGD, CrossEntropy, Custom, Experiment, GradientDescent, Live, Parallel
from fathom.training.trial import trial
from fathom.verbs.train import resume, train


class Halved(torch.autograd.Function):
    """A square whose backward pass forgets the factor of 2 at one entry."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.square()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:  # type: ignore[override]
        (x,) = ctx.saved_tensors
        slope = 2 * x
        slope[1, 0] /= 2
        return grads[0] * slope


def wrong_square(output: Tensor, target: Tensor) -> Tensor:
    return Halved.apply(output).mean()  # type: ignore[union-attr]


def margin(output: Tensor, target: Tensor) -> Tensor:
    """Crammer and Singer's hinge, as a person would write it."""
    right = output.gather(1, target[:, None])
    return (1 + output - right).relu().mean()


def cut(output: Tensor, target: Tensor) -> Tensor:
    return (output.argmax(dim=1) != target).float().mean()


def each_row(output: Tensor, target: Tensor) -> Tensor:
    return F.cross_entropy(output, target, reduction="none")


def single(output: Tensor, target: Tensor) -> Tensor:
    return F.linear(output, torch.ones(1, output.shape[1])).mean()


def lonely(output: Tensor) -> Tensor:
    return output.mean()


@dataclasses.dataclass(frozen=True)
class Points:
    """Two classes of points, all in memory."""

    def load(self) -> Data:
        dice = torch.Generator().manual_seed(1)
        rows, labels = torch.randn(96, 8, generator=dice), torch.randint(2, (96,), generator=dice)
        return Data(Tensors((rows[:64], labels[:64])), Tensors((rows[64:], labels[64:])))


def experiment(loss: Any, model: nn.Module | None = None, **how: Any) -> Experiment:
    torch.manual_seed(5)
    net = model or nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 2))
    objective = loss if isinstance(loss, CrossEntropy) else Custom(loss=loss)
    return Experiment(
        model=Live(net), data=Points(), task=VectorClassification(labels=("a", "b"), inputs_count=8),
        learning=GradientDescent(objective=objective, optimizer=SGD(learning_rate=0.1), **how),
        batch_size=16, steps=20,
    )  # fmt: skip


@pytest.mark.parametrize("how", [{}, {"accumulate": 4}, {"average": 0.9}])
def test_a_loss_of_ones_own_trains_as_the_engines_does(how: Any, tmp_path: Path) -> None:
    """The check leaves no trace: the same bits as with the objective that is built in."""
    model = None if "accumulate" not in how else nn.Linear(8, 2)
    again = None if model is None else nn.Linear(8, 2)
    if model is not None and again is not None:
        again.load_state_dict(model.state_dict())
    ours = train(experiment(F.cross_entropy, model, **how), out=tmp_path / "ours", export=False)
    plain = train(experiment(CrossEntropy(), again, **how), out=tmp_path / "plain", export=False)
    assert ours.digest == plain.digest
    assert ours.record["settings"]["learning.objective.loss"] == "cross_entropy"


def test_right_losses_are_taken() -> None:
    for loss in (margin, F.cross_entropy, nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0]))):
        assert trial(experiment(loss)).metrics["diverged"] == 0


BEFORE = "checked before step 0 on output (4, 2) and target (4,): "
WRONG = [
    (
        wrong_square,
        f"the loss wrong_square, {BEFORE}wrong_square: its gradient with respect to 'output' at [1, 0]",
    ),
    (cut, f"the loss cut, {BEFORE}cut: its gradient with respect to 'output' is cut off; .detach(), .item()"),
    (each_row, "each_row gives a value of shape (4,); a loss is a tensor of one number"),
    (single, "single does not run in float64, in which gradients are checked"),
    (lonely, "lonely() takes 1 positional argument but 2 were given"),
]


@pytest.mark.parametrize(("loss", "said"), WRONG, ids=lambda v: getattr(v, "__name__", ""))
def test_a_wrong_loss_is_named_before_anything_is_trained(loss: Any, said: str, tmp_path: Path) -> None:
    wrong = experiment(loss)
    before = {n: t.clone() for n, t in wrong.build().state_dict().items()}
    with pytest.raises(InputError, match=re.escape(said)) as caught:
        train(wrong, out=tmp_path / "run", export=False)
    assert str(caught.value).endswith("leave the check out: Custom(loss=..., check=False)")
    assert not (tmp_path / "run").exists()
    assert all(torch.equal(before[n], t) for n, t in wrong.build().state_dict().items())
    with pytest.raises(InputError, match=re.escape(said)):
        trial(wrong)


def test_the_check_can_be_left_out(tmp_path: Path) -> None:
    unchecked = override(experiment(wrong_square), "learning.objective.check", "false")
    assert train(unchecked, out=tmp_path / "run", export=False).record["state"] == "finished"


def test_what_can_be_checked_is_one_floating_tensor() -> None:
    class Two(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x, x

    batch = torch.zeros(8, 2), torch.zeros(8)
    with pytest.raises(
        InputError, match=r"the model gives a tuple; the gradient of margin can be checked where"
    ):
        Custom(loss=margin).examine(Two(), batch)
    with pytest.raises(InputError, match=r"the model gives a torch.int64 tensor"):
        Custom(loss=margin).examine(nn.Identity(), (torch.zeros(8, dtype=torch.int64), batch[1]))
    Custom(loss=margin, check=False).examine(Two(), batch)
    assert Custom(loss=lambda output, target: output[0].sum())(Two(), batch)[0] == 0


def test_outputs_that_are_all_zero_hide_nothing() -> None:
    """At zero this loss and its gradient vanish, right or wrong; a last layer that begins there is usual."""

    def weighed(output: Tensor, target: Tensor) -> Tensor:
        return output.square().mean() * output.detach().norm()

    head = nn.Linear(8, 2)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    batch = torch.randn(16, 8), torch.zeros(16)
    with pytest.raises(InputError, match="weighed: its gradient with respect to 'output'"):
        Custom(loss=weighed).examine(head, batch)
    Custom(loss=lambda output, target: output.clamp(min=0).mean()).examine(head, batch)


def test_loss_and_rows_are_those_of_the_first_batch_and_the_mode_stays() -> None:
    seen: list[tuple[torch.dtype, tuple[int, ...]]] = []

    def looking(output: Tensor, target: Tensor) -> Tensor:
        seen.append((output.dtype, tuple(output.shape)))
        return output.square().mean()

    own = experiment(looking)
    learner, data = own.learner(), own.data.load()
    learner.model.eval()
    own.examine(learner, data)
    assert set(seen) == {(torch.float64, (4, 2))} and not learner.model.training
    experiment(CrossEntropy()).examine(learner, data, Parallel())  # has nothing to look at


def test_a_run_is_resumed_with_the_loss_given_again(tmp_path: Path) -> None:
    twin = train(experiment(margin), out=tmp_path / "twin", export=False)

    def stop(event: Any) -> None:
        if event.steps == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(experiment(margin), out=tmp_path / "run", export=False, observers=[stop])
    with pytest.raises(InputError, match="live objects"):
        resume(tmp_path / "run")
    assert resume(tmp_path / "run", experiment=experiment(margin), export=False).digest == twin.digest


def test_a_loss_that_a_file_names_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither by a setting nor by a run folder that somebody changed."""
    (tmp_path / "planted.py").write_text("raise SystemExit('it was imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(InputError, match=r"--set learning.objective.loss=planted:loss: .* takes Callable"):
        override(experiment(margin), "learning.objective.loss", "planted:loss")
    run = train(experiment(margin), out=tmp_path / "run", export=False)
    record = json.loads((run.folder / "run.json").read_text())
    record["origin"]["settings"] = [["learning.objective.loss", "planted:loss"]]
    (run.folder / "run.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="planted:loss"):
        resume(run.folder, experiment=experiment(margin))
    assert "planted" not in sys.modules


class Centres(nn.Module):
    """A loss with something to learn."""

    def __init__(self) -> None:
        super().__init__()
        self.places = nn.Parameter(torch.zeros(2, 2))

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        return (output - self.places[target]).square().mean()


def test_what_is_no_loss_is_refused() -> None:
    with pytest.raises(ValueError, match="loss is Centres, whose parameters nothing would train"):
        Custom(loss=Centres())
    with pytest.raises((ValueError, TypeError), match="loss"):
        Custom(loss="planted:loss")  # type: ignore[arg-type]


RECIPE = """
import dataclasses
from fathom.architectures.convolutional import lenet
from fathom.training import Custom

def penalised(output, target):
    return output.square().mean() + {wrong}

def recipe():
    tiny = lenet.tiny()
    learning = dataclasses.replace(tiny.learning, objective=Custom(loss=penalised))
    return dataclasses.replace(tiny, learning=learning, steps=4)
"""


@pytest.mark.parametrize(("wrong", "code"), [("0.0", 0), ("output.detach().norm()", 2)])
def test_the_command_line_trains_a_recipe_with_it_or_says_what_differs(
    wrong: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    name = f"own_recipe_{code}"
    (tmp_path / f"{name}.py").write_text(RECIPE.format(wrong=wrong))
    monkeypatch.chdir(tmp_path)
    assert main(["train", f"{name}:recipe", "--out", "run", "--no-export", "--json"]) == code
    said = capfd.readouterr().err.replace("\n", " ")
    assert ("penalised: its gradient with respect to 'output' at [0, 0]" in said) == bool(code)
    assert (tmp_path / "run").exists() == (not code)


def test_the_name_of_the_loss_stands_among_the_settings() -> None:
    learning = dataclasses.replace(lenet.tiny().learning, objective=Custom(loss=margin))  # type: ignore[type-var]
    settings = whole(dataclasses.replace(lenet.tiny(), learning=learning))
    assert settings["learning.objective"] == "Custom" and settings["learning.objective.loss"] is margin
