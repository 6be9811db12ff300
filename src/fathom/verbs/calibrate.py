"""Calibrate: the temperature under which a classifier is as sure as it should be, found after training."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fathom.errors import InputError
from fathom.training.run import Run
from fathom.verbs.splits import data_of, finished, labelled

if TYPE_CHECKING:
    from fathom.data.split import Split
    from fathom.deployment.artifact import Artifact

BINS = 15  # as Guo et al. 2017 use


@dataclass(frozen=True)
class Answers:
    """Logits (n, classes) in float64 and true classes (n,)."""

    logits: np.ndarray
    labels: np.ndarray

    def part(self, index: np.ndarray) -> "Answers":
        return Answers(self.logits[index], self.labels[index])


def calibrate(
    run: str | Path | Run,
    *,
    data: str | Path | None = None,
    bins: int = BINS,
    seed: int = 0,
    out: str | Path | None = None,
    skip_bad: bool = False,
) -> dict[str, Any]:
    """Fit one temperature to a finished classifier and score it on rows it was not fitted to.

    It is fitted on the validation split and scored on the test split of the run's own data. With ``data``, a
    path to labelled data laid out as the training data was, on two halves of that, which ``seed`` divides; so
    are the validation rows of a run without a test split. ``skip_bad`` leaves out of ``data`` what cannot be
    read.

    Writes ``calibration.json`` beside the model, with which it predicts and serves from then on, and the page
    ``calibration.html``. Returns the temperature with ece (``bins`` bins of equal width), brier, nll and
    accuracy ``before`` and ``after``.
    Raises ``InputError`` for runs that are not finished, give no probabilities of classes, do not store
    their data, or make no mistakes to learn a temperature from.
    """
    from fathom.deployment import temperature as mending
    from fathom.deployment.artifact import find, open_artifact
    from fathom.fundamentals.mathematics.calibration import fit_temperature
    from fathom.report.page import write

    if bins < 1:
        raise InputError(f"--bins {bins}: it must be 1 or more")
    import torch

    opened = finished(run)
    artifact = open_artifact(opened.folder, calibrated=False)
    fitting, scoring, rows = answers(opened, artifact, data, seed, skip_bad)
    refuse_faultless(opened, fitting, rows[0], data)
    try:
        value = fit_temperature(torch.from_numpy(fitting.logits), torch.from_numpy(fitting.labels))
    except ValueError as error:
        raise InputError(f"{opened.folder}: {error}") from error
    found = mending.Temperature(value=value, digest=artifact.description["digest"])
    told: dict[str, Any] = {
        "temperature": value, "fitted_on": len(fitting.labels), "scored_on": len(scoring.labels),
        "bins": bins, "rows": rows, "before": scores(scoring, 1.0, bins),
        "after": scores(scoring, value, bins),
    }  # fmt: skip
    facts = {name: told[name] for name in told if name != "temperature"}
    told["file"] = str(mending.write(find(opened.folder), found, facts))
    words = ["fathom", "explain", "calibration", str(opened.folder), *(["--data", str(data)] if data else [])]
    words += ["--skip-bad"] if skip_bad else []
    target = Path(out) if out else opened.folder / "calibration.html"
    write(target, page_of(opened, scoring, told, shlex.join(words)))
    return {"run": str(opened.folder), **told, "page": str(target)}


def refuse_faultless(run: Run, found: Answers, rows: str, data: str | Path | None) -> None:
    """Without an error the likeliest temperature is 0: the model would be sure of everything."""
    own = found.logits[np.arange(len(found.labels)), found.labels]
    if (own >= found.logits.max(axis=1)).all():
        way = f"give more rows than {data} has" if data else "give other labelled data with --data PATH"
        raise InputError(
            f"{run.folder}: the model makes no error on the rows that the temperature would be fitted to, so"
            f" none can be found. {rows.removesuffix('.')}; {way}, with rows among them that it gets wrong"
        )


def answers(
    run: Run, artifact: "Artifact", data: str | Path | None, seed: int, skip_bad: bool
) -> tuple[Answers, Answers, list[str]]:
    """What the model says of the rows to fit on and of those to score on, and what they are, in words."""
    if data is not None:
        return halves(answered(artifact, labelled(artifact.task, data, skip_bad)), seed, str(data))
    own = data_of(run)
    if own.valid is None:
        raise InputError(f"{run.folder} kept no validation split; give labelled data with --data PATH")
    valid = answered(artifact, own.valid)
    if own.test is None:
        return halves(valid, seed, "the validation split, since this run kept no test split")
    test = answered(artifact, own.test)
    return valid, test, [f"Fitted on the validation split: {len(valid.labels):,} rows.",
                         f"Scored on the test split: {len(test.labels):,} rows."]  # fmt: skip


def answered(artifact: "Artifact", split: "Split") -> Answers:
    """The model's answers on ``split``, where they are probabilities of classes."""
    from fathom.deployment.temperature import logits

    detail = artifact.task.evaluate(artifact.network, split).detail
    shares, labels = (np.asarray(detail.get(name)) for name in ("probabilities", "labels"))
    if shares.ndim != 2 or labels.shape != shares.shape[:1]:
        raise InputError(
            f"{artifact.name} does not answer with a probability for each class of a row; only such models"
            " have a temperature"
        )
    return Answers(logits(shares), labels.astype(np.int64))


def halves(all_answers: Answers, seed: int, what: str) -> tuple[Answers, Answers, list[str]]:
    """Two halves with the same share of each class: to fit on, and to score on."""
    from fathom.data.split import held_out

    if len(all_answers.labels) < 4:
        raise InputError(f"{what} has {len(all_answers.labels)} rows; give 4 or more: half fit, half score")
    first, second = held_out(len(all_answers.labels), 0.5, seed, all_answers.labels.tolist())
    parts = [all_answers.part(index.numpy()) for index in (first, second)]
    told = f"Fitted on one half of {what}: {len(first):,} rows."
    return parts[0], parts[1], [told, f"Scored on the other half: {len(second):,} rows."]


def scores(found: Answers, temperature: float, bins: int) -> dict[str, float]:
    """How good, and how honest, probabilities at ``temperature`` are."""
    import torch
    import torch.nn.functional as F

    from fathom.fundamentals.mathematics import calibration

    logits, labels = torch.from_numpy(found.logits), torch.from_numpy(found.labels)
    shares = calibration.apply_temperature(logits, temperature)
    return {
        "ece": float(calibration.expected_calibration_error(shares, labels, bins)),
        "brier": float(calibration.brier_score(shares, labels)),
        "nll": float(F.cross_entropy(logits / temperature, labels)),
        "accuracy": float((shares.argmax(-1) == labels).double().mean()),
    }


def page_of(run: Run, found: Answers, told: dict[str, Any], command: str) -> str:
    """The page with both reliability diagrams."""
    from fathom.deployment.temperature import FILE
    from fathom.report.calibration_report import calibration_report
    from fathom.verbs.report import title_of

    guess = found.logits.argmax(axis=1)
    sure = []
    for temperature in (1.0, told["temperature"]):
        scaled = found.logits / temperature
        scaled = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        sure.append(scaled.max(axis=1) / scaled.sum(axis=1))
    return calibration_report(
        title=title_of(run.record), temperature=told["temperature"], before=told["before"],
        after=told["after"], confidence=(sure[0], sure[1]), correct=guess == found.labels, bins=told["bins"],
        rows=told["rows"], file=f"{run.model.name}/{FILE}", command=command,
    )  # fmt: skip
