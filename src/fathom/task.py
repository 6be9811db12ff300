"""What a kind of task has to say about itself: the one door between tasks and the rest of the house.

``fit``, ``evaluate``, the report, ``predict`` and ``serve`` know no task by name. All that is peculiar to
a kind of task - how its data is recognised and read, its label space, its metrics, its baselines, the
sections of its report, what goes in and comes out, what its page looks like - stands in its file in
``tasks/``, behind this protocol. A task is a frozen dataclass of plain JSON values (its label space and
sizes), so that it can be written into a run or an artifact and read back.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor, nn

    from fathom.data.split import Data
    from fathom.report.page import Section
    from fathom.training.experiment import Experiment

Arrays = dict[str, np.ndarray]
Network = Callable[[Arrays], Arrays]  # input ports by name -> output ports by name; first axis: the batch


@dataclass(frozen=True)
class Port:
    """One named input or output of a network at its boundary (ONNX, HTTP)."""

    name: str
    dtype: str  # as NumPy names it: "uint8", "int64", "float32"
    shape: tuple[int | str, ...]  # a string names a free axis; the first is "batch"


@dataclass(frozen=True)
class Evaluation:
    """How well a network does on a split."""

    metrics: dict[str, float]  # "accuracy": 0.99; names carry no split
    headline: str  # the metric that is quoted
    items: dict[str, np.ndarray] = field(default_factory=dict)
    # ^ one value an item, by metric: its mean is the metric. Intervals and paired tests are made of these.
    higher_is_better: bool = True
    roots: dict[str, str] = field(default_factory=dict)  # metric -> items whose mean it is the square root of
    detail: dict[str, Any] = field(default_factory=dict)  # whatever the task's report sections need

    @property
    def score(self) -> float:
        """The headline, turned so that more is better: what the best checkpoint has most of."""
        value = self.metrics[self.headline]
        return value if self.higher_is_better else -value


@dataclass(frozen=True)
class Options:
    """What a person, or a model that a run begins from, may say about data for ``fit`` and ``evaluate``."""

    target: str | None = None  # the column to predict
    text: str | None = None  # the column that holds text
    skip_bad: bool = False  # leave out what cannot be read, and count it
    seed: int = 0
    fixed: Mapping[str, Any] = field(default_factory=dict)  # settings of the task that weights have decided


@dataclass(frozen=True)
class Sighting:
    """A task recognises data: how sure it is, and what it saw, in sentences."""

    confidence: float  # 0 to 1; the surest task is chosen
    saw: tuple[str, ...]


@runtime_checkable
class Task(Protocol):
    """A kind of task: label space and sizes. Each file in ``tasks/`` ends with ``TASK = TheClass``."""

    # -- its own data ---------------------------------------------------------------------------
    @staticmethod
    def recognise(path: Path, options: Options) -> Sighting | None:
        """What ``path`` looks like to this task, or None. Cheap: reads a sample, imports no torch."""
        ...

    @classmethod
    def read(cls, path: Path, options: Options) -> "tuple[Task, Data]":
        """The task (label space, sizes) and splits found in ``path``. ``InputError`` says what is wrong."""
        ...

    def read_labelled(self, path: Path, options: Options) -> "Data":
        """New labelled data for this label space, as ``Data.test``; other classes or columns are refused."""
        ...

    def experiment(self, data: "Data", seed: int) -> "Experiment":
        """A suitable run for this data, with as many steps as it would take given ample time."""
        ...

    # -- the network's boundary -------------------------------------------------------------------
    def inputs(self) -> tuple[Port, ...]: ...

    def outputs(self) -> tuple[Port, ...]: ...

    def preprocessing(self) -> list[dict[str, Any]]:
        """Closed operations (``deployment.preprocessing``) that turn one item into its input arrays."""
        ...

    def prepare(self, *inputs: "Tensor") -> "tuple[Tensor, ...]":
        """Raw input tensors (ports) as the model takes them: normalised, encoded. Part of the graph."""
        ...

    def finish(self, output: Any) -> "tuple[Tensor, ...]":
        """The model's output as the output ports: probabilities, original units. Part of the graph."""
        ...

    # -- answers -------------------------------------------------------------------------------------
    def respond(self, network: Network, items: Sequence[Arrays]) -> list[dict[str, Any]]:
        """One JSON answer for each preprocessed item (no batch axis); ``one_shot`` suits most tasks."""
        ...

    def examples(self) -> list[Any]:
        """A few items in the form a request has, for documentation, warm-up and tests; edge cases too."""
        ...

    def page(self) -> str:
        """The widget of the serve page: HTML made of the elements of ``deployment/serve/page``."""
        ...

    # -- how good ------------------------------------------------------------------------------------
    def evaluate(self, network: Network, split: Any) -> Evaluation:
        """Score ``network`` on ``split``, drawing from no global generator."""
        ...

    def baselines(self, data: "Data") -> dict[str, Evaluation]:
        """What simple methods reach on the same validation split, by name."""
        ...

    def sections(self, evaluation: Evaluation, split: Any) -> "list[Section]":
        """The task's own part of the report."""
        ...


def task_name(task: Task) -> str:
    """The name of the file in ``tasks/`` that a task comes from."""
    return type(task).__module__.rpartition(".")[-1]


def stack(items: Sequence[Arrays]) -> Arrays:
    """Items of equal shapes, with a batch axis in front."""
    return {name: np.stack([item[name] for item in items]) for name in items[0]}


def one_shot(
    network: Network, items: Sequence[Arrays], answer: Callable[[Arrays], dict[str, Any]]
) -> list[dict[str, Any]]:
    """Run the network once for each group of equally shaped items; ``answer`` takes one item's outputs."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    for i, item in enumerate(items):
        groups.setdefault(tuple(item[n].shape for n in sorted(item)), []).append(i)
    answers: dict[int, dict[str, Any]] = {}
    for places in groups.values():
        outputs = network(stack([items[i] for i in places]))
        for row, i in enumerate(places):
            answers[i] = answer({name: value[row] for name, value in outputs.items()})
    return [answers[i] for i in range(len(items))]


def collate(task: Task, items: Sequence[Arrays]) -> Arrays:
    """Items as one batch: stacked, or joined in the task's own way (graphs become one of many parts)."""
    own = getattr(task, "collate", None)
    return own(items) if own else stack(items)


class Boundary:
    """A torch model behind its task's ports: what evaluation, ``predict`` and ``serve`` call."""

    def __init__(self, task: Task, model: "nn.Module") -> None:
        self.task, self.model = task, model
        self.names = tuple(p.name for p in task.inputs()), tuple(p.name for p in task.outputs())

    def __call__(self, arrays: Arrays) -> Arrays:
        import torch

        self.model.eval()
        device = next((p.device for p in self.model.parameters()), torch.device("cpu"))
        with torch.inference_mode():
            given = [torch.from_numpy(np.ascontiguousarray(arrays[n])).to(device) for n in self.names[0]]
            made = self.task.finish(self.model(*self.task.prepare(*given)))
        return {n: v.cpu().numpy() for n, v in zip(self.names[1], made, strict=True)}


def over_split(network: Network, task: Task, split: Any, batch: int = 500) -> tuple[Arrays, list[Any]]:
    """Outputs for every row of ``split``, concatenated, and the rows' targets as a list of batches."""
    import torch

    outputs: list[Arrays] = []
    targets: list[Any] = []
    names = [p.name for p in task.inputs()]
    for first in range(0, len(split), batch):
        *inputs, target = split.rows(torch.arange(first, min(first + batch, len(split))))
        outputs.append(network({n: v.numpy() for n, v in zip(names, inputs, strict=True)}))
        targets.append(target)
    return {n: np.concatenate([o[n] for o in outputs]) for n in outputs[0]}, targets
