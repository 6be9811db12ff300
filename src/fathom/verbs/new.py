"""New: the files of a system, a task or a topic, made from the simplest one that works."""

import re
from pathlib import Path

from fathom import catalog
from fathom.errors import InputError

SYSTEM = '''"""{title}: say the idea in a few lines, with equations and their source.

Axes used below
    b  batch      d  features
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jaxtyping import Float
from torch import Tensor, nn

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.training import Experiment

CARD = Card(
    title="{title}",
    paper="https://example.org",
    year=2026,
    summary="One sentence that a newcomer can follow.",
    oracle="nn.Linear of torch, same weights",
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the model."""

    inputs: int = 8
    classes: int = 3

    def __post_init__(self) -> None:
        for name in ("inputs", "classes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{{name}} is {{getattr(self, name)}}; it must be 1 or more")

    def build(self) -> "{kind}":
        return {kind}(self)


class {kind}(nn.Module):
    """A linear classifier: the smallest model that learns."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.cfg = cfg
        self.head = nn.Linear(cfg.inputs, cfg.classes)

    def forward(self, x: Float[Tensor, "b d"]) -> Float[Tensor, "b classes"]:
        return self.head(x)


def tiny() -> "Experiment":
    """The smallest complete run. Tests run it."""
    import torch

    from fathom.data.split import Data, InMemory, Tensors
    from fathom.tasks.vector_classification import VectorClassification
    from fathom.training import SGD, CrossEntropy, Experiment, GradientDescent
    from fathom.training.randomness import generator

    dice = generator("{name}")
    rows = torch.randn(256, 8, generator=dice)
    labels = (rows @ torch.randn(8, 3, generator=dice)).argmax(dim=1)
    split = Tensors((rows, labels))
    return Experiment(
        model=Config(),
        data=InMemory(Data(train=split, valid=split, test=split)),
        task=VectorClassification(labels=("a", "b", "c"), inputs_count=8),
        learning=GradientDescent(objective=CrossEntropy(), optimizer=SGD(learning_rate=1.0)),
        batch_size=32,
        steps=150,
    )
'''

RECIPE = '''"""Recipes for {title}."""

from fathom.{module} import tiny
from fathom.training import Experiment


def {name}() -> Experiment:
    """{title} on drawn data; replace it by real data and add what it promises."""
    return tiny()
'''

SYSTEM_TEST = '''"""{title} against an independent oracle."""

import torch

from fathom.{module} import Config


def test_output_equals_torch() -> None:
    model = Config().build()
    oracle = torch.nn.Linear(8, 3)
    oracle.load_state_dict(model.head.state_dict())
    x = torch.randn(4, 8)
    torch.testing.assert_close(model(x), oracle(x), rtol=1e-5, atol=1e-5)
'''

TASK_TEST = '''"""{title}: boundary, answers and scores."""

import numpy as np
import torch

from fathom.data.split import Tensors
from fathom.deployment.preprocessing import apply
from fathom.tasks.{name} import {kind}

TASK = {kind}(labels=("a", "b"), inputs_count=3)


def network(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    first = arrays["row"][:, :1]
    return {{"probabilities": np.concatenate([1 - first, first], axis=1)}}


def test_answers_and_scores() -> None:
    items = [apply(TASK.preprocessing(), item) for item in ([0.9, 0, 0], [0.2, 0, 0])]
    assert [a["label"] for a in TASK.respond(network, items)] == ["b", "a"]
    split = Tensors((torch.tensor([[0.9, 0, 0], [0.2, 0, 0]]), torch.tensor([1, 1])))
    assert TASK.evaluate(network, split).metrics["accuracy"] == 0.5
'''


def new(kind: str, name: str, *, part: str = "architectures", root: str | Path = ".") -> list[Path]:
    """Write the files of a new system, task or topic below ``root``, a checkout; edits none that exist.

    A topic is one that the map knows as coming: its entry moves from that list into the page.
    """
    home = Path(root)
    package = home / "src" / "fathom"
    if not package.is_dir():
        raise InputError(
            f"{home.resolve()} is no checkout of Fathom: there is no src/fathom in it; give --root"
        )
    if kind == "topic":
        from fathom.verbs.new_topic import new_topic

        return new_topic(name, home)
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise InputError(f"the name {name!r} must be lower-case words joined by underscores: graph_attention")
    words = {
        "name": name,
        "title": name.replace("_", " ").capitalize(),
        "kind": name.title().replace("_", ""),
    }
    files = system_files(package, part, words) if kind == "system" else task_files(words)
    wanted = {home / place: text for place, text in files.items()}
    for file in wanted:
        if file.exists():
            raise InputError(f"{file} exists already; choose another name")
    for file, text in wanted.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return list(wanted)


def system_files(package: Path, part: str, words: dict[str, str]) -> dict[str, str]:
    """A system, its recipe and its test."""
    name = words["name"]
    if name in catalog.entries() or name in catalog.recipes():
        raise InputError(f"the name {name!r} is taken; choose another name")
    if not (package / part).is_dir():
        parts = sorted(p.name for p in package.iterdir() if (p / "__init__.py").is_file())
        raise InputError(f"there is no part {part!r}; known: {', '.join(parts)}")
    module = ".".join([*Path(part).parts, name])
    filled = words | {"module": module}
    return {
        f"src/fathom/{part}/{name}.py": SYSTEM.format(**filled),
        f"src/fathom/recipes/{name}.py": RECIPE.format(**filled),
        f"tests/{part}/test_{name}.py": SYSTEM_TEST.format(**filled),
    }


def task_files(words: dict[str, str]) -> dict[str, str]:
    """A task, made from the simplest one, and its test."""
    name = words["name"]
    if name in catalog.tasks():
        raise InputError(f"there is a task {name!r} already; choose another name")
    source = (catalog.ROOT / "tasks" / "vector_classification.py").read_text(encoding="utf-8")
    made = source.replace("VectorClassification", words["kind"]).replace(
        "Vector classification", words["title"]
    )
    return {
        f"src/fathom/tasks/{name}.py": made,
        f"tests/tasks/test_{name}.py": TASK_TEST.format(**words),
    }
