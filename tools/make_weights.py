"""Train the small weights that the package carries, and write their files.

    python tools/make_weights.py

The recipe of each, with seed 0 and nothing changed, on this machine; what to put into the ``WEIGHTS`` of its
system is printed. Another kind of processor rounds otherwise and makes another file, as good as this one.
"""

from pathlib import Path

from safetensors.torch import save_file

from fathom import catalog
from fathom.data.places import hash_of
from fathom.task import Boundary
from fathom.training import train

FOLDER = Path(__file__).parents[1] / "src" / "fathom" / "data" / "embedded" / "weights"
MADE = {"lenet5_mnist.safetensors": "lenet"}  # file: recipe


def make(file: Path, recipe: str) -> None:
    experiment = catalog.recipe(recipe).load()()
    data = experiment.data.load()
    learner = experiment.learner()
    train(learner, experiment.source(data), steps=experiment.steps, seed=experiment.seed)
    state = {name: tensor.contiguous() for name, tensor in learner.model.state_dict().items()}
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(state, file, metadata={"recipe": recipe, "seed": str(experiment.seed)})
    metrics = experiment.task.evaluate(Boundary(experiment.task, learner.model), data.test).metrics
    print(f"{file.name}: sha256 {hash_of(file)}, {file.stat().st_size:,} bytes, {metrics}")


if __name__ == "__main__":
    for name, recipe in MADE.items():
        make(FOLDER / name, recipe)
