"""The page of a calibration: how sure the model was, and how sure it is with its temperature."""

from collections.abc import Mapping, Sequence

import numpy as np

from fathom.report.blocks import Calibration, Prose, Table, Verdict
from fathom.report.markup import number
from fathom.report.page import Section, page

NAMES = {
    "ece": "calibration error", "brier": "Brier score", "nll": "negative log-likelihood",
    "accuracy": "accuracy",
}  # fmt: skip
ADVICE = (
    "The temperature is the one under which the labels of the fitting rows are likeliest. Above 1 it makes"
    " the model less sure, below 1 more. It changes no prediction: the likeliest class stays so.\n\n"
    "It stands in `{file}`, beside the model and with the digest of its weights. `fathom predict`, `evaluate`"
    " and `serve` answer with it from now on; `predict --raw` and `evaluate --raw` leave it out. The file"
    " `model.onnx` stays as it was: by itself it gives the model's own probabilities. Raised to the power 1 /"
    " temperature and divided by their sum, they are those that Fathom gives."
)


def calibration_report(
    *,
    title: str,
    temperature: float,
    before: Mapping[str, float],
    after: Mapping[str, float],
    confidence: tuple[np.ndarray, np.ndarray],
    correct: np.ndarray,
    bins: int,
    rows: Sequence[str],
    file: str,
    command: str = "",
    language: str = "en",
) -> str:
    """The page. ``before`` and ``after`` map ece, brier, nll, accuracy; ``confidence`` holds both, (n,) each.

    ``rows`` say in words what the temperature was fitted on and what it was scored on.
    """
    captions = "Before: temperature 1", f"After: temperature {number(temperature)}"
    pairs = zip(confidence, captions, strict=True)
    diagrams = [Calibration(sure, correct, caption, bins) for sure, caption in pairs]
    sections = [
        Section(
            "Reliability",
            [verdict(before["ece"], after["ece"]), *diagrams],
            "Of the predictions with a confidence near 0.8, 80 in 100 should be right: bars on the diagonal.",
        ),
        Section("Scores", [table(before, after), Prose("\n".join(f"- {line}" for line in rows))]),
        Section("The temperature", [Prose(ADVICE.format(file=file))]),
    ]
    headline: list[tuple[str, object, str]] = [("temperature", temperature, "1 changes nothing")]
    for name in ("ece", "nll", "brier"):
        headline.append((NAMES[name], after[name], f"before: {number(before[name])}"))
    return page(f"{title}, calibrated", "Does a confidence of 0.8 mean right in 80 of 100 cases?", sections,
                headline=headline, language=language, command=command)  # fmt: skip


def verdict(before: float, after: float) -> Verdict:
    """Whether the calibration error fell."""
    moved = "fell" if after < before else "did not fall; it went"
    ends = f"from {number(before)} to {number(after)}"
    text = f"The calibration error {moved} {ends}, on rows the temperature has not seen."
    return Verdict(text, after < before)


def table(before: Mapping[str, float], after: Mapping[str, float]) -> Table:
    """Every score before and after."""
    rows = [
        (NAMES[name], f"{value:.4f}", f"{after[name]:.4f}", f"{after[name] - value:+.4f}")
        for name, value in before.items()
    ]
    return Table(("score", "before", "after", "change"), rows, "Lower is better, except for accuracy")
