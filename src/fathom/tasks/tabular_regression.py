"""Tabular regression: a row of a table in, one number out, in the units of the table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from fathom.data import columns as encoding
from fathom.data import rows
from fathom.data.split import Data, InMemory
from fathom.task import Arrays, Evaluation, Network, Options, Port, Sighting, Task, one_shot, over_split

if TYPE_CHECKING:
    from fathom.report.page import Section
    from fathom.training.experiment import Experiment

FARTHEST = 10.0  # deviations from the mean: on a logarithmic scale more would overflow, not inform


@dataclass(frozen=True, kw_only=True)
class TabularRegression:
    """The columns that are read and the one that is predicted.

    The network learns ``(t - mean) / deviation``, where t is the target, or log(1 + target) where ``log``
    is set; splits hold that. ``columns`` are those of the operation ``table``, fitted on training rows.
    """

    columns: tuple[dict[str, Any], ...]
    target: str
    mean: float = 0.0
    deviation: float = 1.0
    log: bool = False
    beside_simple_methods: ClassVar[bool] = True  # in every report, whatever made the run

    def __post_init__(self) -> None:
        if not self.columns:
            raise ValueError("columns is empty; a prediction needs at least one column")
        if not 0 < self.deviation < float("inf"):
            raise ValueError(f"deviation is {self.deviation}; it must be positive and finite")

    @classmethod
    def fitted(cls, columns: Sequence[dict[str, Any]], target: str, known: np.ndarray) -> "TabularRegression":
        """With the scale of ``known``, targets (n,) of training rows: logarithmic where they are skewed."""
        log = bool(known.min() > 0) and encoding.skewness(known) > encoding.SKEWED
        values = np.log1p(known) if log else known
        return cls(
            columns=tuple(columns), target=target, mean=float(values.mean()), deviation=float(values.std()),
            log=log,
        )  # fmt: skip

    def scaled(self, values: np.ndarray) -> np.ndarray:
        """Targets in units of the table -> what the network learns, float32."""
        curved = np.log1p(values) if self.log else values
        return ((curved - self.mean) / self.deviation).astype(np.float32)

    def unscaled(self, values: np.ndarray) -> np.ndarray:
        """The inverse of ``scaled``, float64."""
        curved = values.astype(np.float64) * self.deviation + self.mean
        return np.expm1(curved) if self.log else curved

    # -- its own data ---------------------------------------------------------------------------
    @staticmethod
    def recognise(path: Path, options: Options) -> Sighting | None:
        goal = rows.glance(path, options)
        if goal is None or not rows.is_quantity(goal):
            return None
        return Sighting(0.8, (*goal.saw, f"{goal.target!r} holds numbers of many values: a quantity"))

    @classmethod
    def read(cls, path: Path, options: Options) -> tuple["TabularRegression", Data]:
        goal = rows.read(path, options)
        wanted = rows.quantities(goal)
        split = rows.parts(goal.sheet, options.seed)
        fitted = encoding.fit(goal.take(split["train"]), goal.features)
        task = cls.fitted(fitted, goal.target, wanted[split["train"].numpy()])
        return task, rows.data(goal, fitted, torch.from_numpy(task.scaled(wanted)), split)

    def read_labelled(self, path: Path, options: Options) -> Data:
        goal = rows.read_like(path, options, self.target)
        wanted = torch.from_numpy(self.scaled(rows.quantities(goal)))
        return rows.test_data(goal, self.columns, wanted)

    def experiment(self, data: Data, seed: int) -> "Experiment":
        return suitable(self, data, outputs=1, seed=seed)

    # -- the network's boundary -------------------------------------------------------------------
    def inputs(self) -> tuple[Port, ...]:
        return (Port("row", "float32", ("batch", len(encoding.feature_names(self.columns)))),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("value", "float32", ("batch",)),)

    def preprocessing(self) -> list[dict[str, Any]]:
        return [{"operation": "table", "input": "row", "columns": list(self.columns)}]

    def prepare(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return inputs

    def finish(self, output: Tensor) -> tuple[Tensor, ...]:
        """(b,), (b, 1) or (b, members, 1) -> the mean of the members in units of the table, (b,)."""
        one = output.float()[:, None] if output.ndim == 1 else output.float().flatten(1)
        value = one.mean(dim=1)
        if self.log:
            value = value.clamp(-FARTHEST, FARTHEST)
        value = value * self.deviation + self.mean
        return (torch.expm1(value) if self.log else value,)

    # -- answers -------------------------------------------------------------------------------------
    def respond(self, network: Network, items: Sequence[Arrays]) -> list[dict[str, Any]]:
        return one_shot(
            network, items, lambda outputs: {"value": float(outputs["value"]), "name": self.target}
        )

    def examples(self) -> list[Any]:
        return encoding.examples(self.columns)

    def page(self) -> str:
        return "<row-input></row-input><value-output></value-output>"

    # -- how good ------------------------------------------------------------------------------------
    def evaluate(self, network: Network, split: Any) -> Evaluation:
        outputs, targets = over_split(network, self, split)
        truth = self.unscaled(np.concatenate(targets))
        return score(truth, outputs["value"].astype(np.float64), {"network": network})

    def baselines(self, data: Data) -> dict[str, Evaluation]:
        """The mean, ridge regression and, with scikit-learn, neighbours, a forest and boosted trees."""
        from fathom.data.baselines import LARGEST, mean, regressors

        assert data.valid is not None
        (known, scaled), (unseen, goal) = rows.arrays(data.train, LARGEST), rows.arrays(data.valid)
        truth = self.unscaled(goal)
        far = FARTHEST if self.log else np.inf
        found = {"mean": score(truth, mean(known, self.unscaled(scaled))(unseen))}
        for name, method in regressors().items():
            guess = method(known, scaled.astype(np.float64))(unseen)
            found[name] = score(truth, self.unscaled(guess.clip(-far, far)))
        return found

    def sections(self, evaluation: Evaluation, split: Any) -> "list[Section]":
        from fathom.report.blocks import Scatter
        from fathom.report.page import Section
        from fathom.report.tables import row_table

        truth, guess = evaluation.detail["truth"], evaluation.detail["prediction"]
        grown = self.importance(evaluation, split)
        agree = Scatter(truth, guess, f"{self.target}: predicted against true.", True, "true", "predicted")
        missed = Scatter(guess, guess - truth, "Error against prediction.", False, "predicted", "error")
        worst = np.argsort(-np.abs(guess - truth), kind="stable")[:10]
        first = [
            {"true": float(truth[i]), "predicted": float(guess[i]), "error": float(guess[i] - truth[i])}
            for i in worst
        ]
        given, _ = rows.arrays(split)
        readable = [encoding.decode(self.columns, given[i], list(grown)) for i in worst]
        table = row_table(readable, first, "The rows that were missed by most.")
        return [
            Section("Residuals", [agree, missed]),
            *importance_sections(grown, "rmse"),
            Section("Worst errors", [table]),
        ]

    def importance(self, evaluation: Evaluation, split: Any) -> dict[str, float]:
        """What shuffling each column adds to the error; empty where the network is not at hand."""
        from fathom.report.tables import importance

        network = evaluation.detail.get("network")
        if network is None:
            return {}
        given, goal = rows.arrays(split, rows.ENOUGH)
        truth = self.unscaled(goal)

        def error(changed: np.ndarray) -> float:
            return float(np.sqrt(((network({"row": changed})["value"] - truth) ** 2).mean()))

        return importance(self.columns, given, error)


def importance_sections(grown: Mapping[str, float], unit: str) -> "list[Section]":
    """The section on columns, where their importance was measured."""
    from fathom.report.tables import importance_section

    return [importance_section(grown, unit)] if grown else []


def suitable(task: Task, data: Data, *, outputs: int, seed: int) -> "Experiment":
    """An ensemble of small networks for a table of this size.

    Forty passes over a small table, fewer over a large one. The weights decay with the length of the run as
    their time scale, so that a large table, which needs less restraint, gets less in each step.
    """
    from fathom.applications.tabular.house_prices import Config, EachMember
    from fathom.training import AdamW, Experiment, GradientDescent, WarmupCosine

    count, rate = len(data.train), 2e-3
    batch = max(16, min(256, count // 16))
    steps = max(300, min(40 * count // batch, 20_000))
    small = count < 10_000
    return Experiment(
        model=Config(features=rows.width(data), outputs=outputs, dropout=0.3 if small else 0.1),
        data=InMemory(data),
        task=task,
        learning=GradientDescent(
            objective=EachMember(),
            optimizer=AdamW(learning_rate=rate, betas=(0.9, 0.99), weight_decay=min(1.0, 1 / (rate * steps))),
            schedule=WarmupCosine(),
            clip_norm=5.0,
        ),
        batch_size=batch,
        steps=steps,
        seed=seed,
    )


def score(truth: np.ndarray, guess: np.ndarray, detail: Mapping[str, Any] | None = None) -> Evaluation:
    """Root mean squared error, mean absolute error and explained variance of ``guess`` (n,)."""
    error = guess - truth
    spread = float(((truth - truth.mean()) ** 2).mean())
    squared = float((error**2).mean())
    return Evaluation(
        metrics={
            "rmse": squared**0.5,
            "mae": float(np.abs(error).mean()),
            "r2": 1 - squared / spread if spread > 0 else 0.0,
        },
        headline="rmse",
        items={"mae": np.abs(error), "squared_error": error**2},
        roots={"rmse": "squared_error"},
        higher_is_better=False,
        detail={"truth": truth, "prediction": guess, **(detail or {})},
    )


TASK = TabularRegression
