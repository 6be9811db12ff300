"""The data of a finished run, read again: what its model is looked at with after training."""

from pathlib import Path
from typing import TYPE_CHECKING

from fathom.errors import InputError, refuse_code
from fathom.task import Options, Task
from fathom.training.run import Run

if TYPE_CHECKING:
    from fathom.data.split import Data, Split


def finished(run: str | Path | Run) -> Run:
    """The run, once it is certain that it has ended with a result."""
    opened = run if isinstance(run, Run) else Run(Path(run))
    if not opened.result:
        raise InputError(
            f"{opened.folder} is not finished; go on with: fathom train --resume {opened.folder}"
        )
    return opened


def data_of(run: Run) -> "Data":
    """The splits that ``run`` was made from; ``InputError`` where a run does not store what they are."""
    from fathom.verbs.fit import existing, reread
    from fathom.verbs.train import rebuild

    origin = run.record["origin"]
    if origin["kind"] == "recipe":
        return rebuild(origin).data.load()
    if origin["kind"] == "fit":
        existing(Path(origin["path"]))
        return reread(origin, run.folder)
    what = "live objects" if origin["kind"] == "live" else "a recipe of your own"
    raise InputError(
        f"{run.folder} was made from {what}, whose data is not stored; give labelled data with --data PATH"
    )


def labelled(task: Task, place: str | Path, skip_bad: bool = False) -> "Split":
    """New labelled data for ``task``, laid out as its training data was; ``skip_bad`` leaves out the rest."""
    path = Path(place)
    refuse_code(path)
    if not path.exists():
        raise InputError(f"{path} does not exist; give a folder or file laid out as the training data was")
    found = task.read_labelled(path, Options(skip_bad=skip_bad)).test
    assert found is not None
    return found
