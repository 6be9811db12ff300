"""Own loss: a function that the person at the keyboard names takes the place of a recipe's objective."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fathom.errors import InputError

if TYPE_CHECKING:
    from fathom.training.experiment import Experiment

Loss = Callable[..., Any]


def named_loss(path: str) -> Loss:
    """The function at ``module:function``, looked for in the current folder first.

    Raises ``InputError`` where there is none. Only what is typed comes here: a name in a file is never
    imported.
    """
    from fathom.verbs.train import load_function

    if ":" not in path:
        raise InputError(f"--loss {path}: write module:function, as --loss my_losses:weighted_error")
    loss = load_function(path, "loss")
    if not callable(loss):
        raise InputError(
            f"--loss {path} is a {type(loss).__name__}; it must be a function (output, target) -> loss"
        )
    return loss


def name_of(loss: Loss | None) -> str | None:
    """What a run's record calls the loss; no run looks this name up."""
    return None if loss is None else getattr(loss, "__name__", type(loss).__name__)


def with_loss(experiment: "Experiment", loss: Loss | None) -> "Experiment":
    """``experiment`` with ``loss(output, target)`` in the place of its objective, to be checked at step 0.

    An objective whose outputs have a shape of their own says, in ``around``, how a loss meets them.
    """
    if loss is None:
        return experiment
    from fathom.training import Custom, GradientDescent

    if not isinstance(experiment.learning, GradientDescent):
        raise InputError(
            f"a loss of your own takes the place of an objective; {type(experiment.learning).__name__} has"
            " none: it updates the network in its own way"
        )
    around = getattr(experiment.learning.objective, "around", None)
    try:
        objective = Custom(loss=loss)
        if around is not None:
            objective = Custom(loss=around(loss))
    except ValueError as error:
        raise InputError(str(error)) from error
    return replace(experiment, learning=replace(experiment.learning, objective=objective))


def given_again(origin: dict[str, Any], loss: Loss | None, folder: object) -> None:
    """Refuse to go on with a run without the loss it had, or with one where it had none."""
    had = origin.get("own_loss")
    if had and loss is None:
        raise InputError(
            f"{folder} was trained with a loss of your own, {had}: give it again, fathom train --resume"
            f" {folder} --loss module:{had}, or fathom.resume(folder, loss={had})"
        )
    if loss is not None and had != name_of(loss):
        raise InputError(
            f"{folder} was trained with {had or 'the loss of its recipe'}, not with {name_of(loss)}: a run"
            " goes on as it began; another loss is a new run"
        )
