"""Vector classification: a row of plain numbers in, one label out. The simplest task, a model for others."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from fathom.data.split import Data
from fathom.errors import InputError
from fathom.report.classes import class_sections, majority, score_classes
from fathom.report.page import Section
from fathom.task import Arrays, Evaluation, Network, Options, Port, Sighting, one_shot, over_split

if TYPE_CHECKING:
    from fathom.training.experiment import Experiment


@dataclass(frozen=True, kw_only=True)
class VectorClassification:
    """Rows of ``inputs_count`` numbers that need no encoding."""

    labels: tuple[str, ...]
    inputs_count: int

    def __post_init__(self) -> None:
        if len(self.labels) < 2:
            raise ValueError(f"labels has {len(self.labels)} classes; a classifier needs at least two")
        if self.inputs_count < 1:
            raise ValueError(f"inputs_count is {self.inputs_count}; it must be 1 or more")

    # -- its own data ---------------------------------------------------------------------------
    @staticmethod
    def recognise(path: Path, options: Options) -> Sighting | None:
        return None  # tables of a person's own are the tabular tasks'

    @classmethod
    def read(cls, path: Path, options: Options) -> tuple["VectorClassification", Data]:
        raise InputError(f"{path}: bare vectors are made in Python; for a table use its CSV file")

    def read_labelled(self, path: Path, options: Options) -> Data:
        raise InputError(f"{path}: bare vectors are made in Python; evaluate them there")

    def experiment(self, data: Data, seed: int) -> "Experiment":
        raise InputError("bare vectors have no model of their own; give one to fathom.train(Experiment(...))")

    # -- the network's boundary -------------------------------------------------------------------
    def inputs(self) -> tuple[Port, ...]:
        return (Port("row", "float32", ("batch", self.inputs_count)),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("probabilities", "float32", ("batch", len(self.labels))),)

    def preprocessing(self) -> list[dict[str, Any]]:
        return [{"operation": "array", "input": "row", "dtype": "float32", "shape": [self.inputs_count]}]

    def prepare(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return inputs

    def finish(self, output: Tensor) -> tuple[Tensor, ...]:
        return (output.float().softmax(dim=-1),)

    # -- answers -------------------------------------------------------------------------------------
    def respond(self, network: Network, items: Sequence[Arrays]) -> list[dict[str, Any]]:
        return one_shot(network, items, self.answer)

    def answer(self, outputs: Arrays) -> dict[str, Any]:
        """The surest label, and the probability of each."""
        shares = outputs["probabilities"]
        named = {label: float(p) for label, p in zip(self.labels, shares, strict=True)}
        return {"label": self.labels[int(shares.argmax())], "probabilities": named}

    def examples(self) -> list[Any]:
        ramp = np.linspace(-1, 1, self.inputs_count)
        return [ramp.tolist(), np.zeros_like(ramp).tolist(), (ramp * 1000).tolist()]

    def page(self) -> str:
        return "<json-input></json-input><label-output></label-output>"

    # -- how good ------------------------------------------------------------------------------------
    def evaluate(self, network: Network, split: Any) -> Evaluation:
        outputs, targets = over_split(network, self, split)
        return score_classes(outputs["probabilities"], np.concatenate(targets), self.labels)

    def baselines(self, data: Data) -> dict[str, Evaluation]:
        import torch

        assert data.valid is not None
        train, valid = (s.rows(torch.arange(len(s)))[-1].numpy() for s in (data.train, data.valid))
        return {"most frequent class": majority(train, valid, self.labels)}

    def sections(self, evaluation: Evaluation, split: Any) -> list[Section]:
        return class_sections(evaluation, self.labels)


TASK = VectorClassification
