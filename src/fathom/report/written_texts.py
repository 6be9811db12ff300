"""The report on texts that were written after others: the first of them, BLEU and chrF, and alignments."""

from collections.abc import Mapping, Sequence

import numpy as np

from fathom.fundamentals.text_scores.bleu import bleu_counts, bleu_of
from fathom.fundamentals.text_scores.chrf import chrf_counts, chrf_of
from fathom.report.blocks import BarChart, Heatmap, Table
from fathom.report.intervals import bootstrap_statistic
from fathom.report.page import Section
from fathom.task import Evaluation

SHOWN = 24  # rows
RESAMPLES = 500  # of whole corpora; the first decimal of an interval needs no more
SCORES = {"bleu": ("BLEU", bleu_counts, bleu_of), "chrf": ("chrF", chrf_counts, chrf_of)}


def sections(evaluation: Evaluation, scored_by: Mapping[str, str]) -> list[Section]:
    """What the detail of an evaluation of sequence to sequence holds; ``scored_by`` names scores and how."""
    detail = evaluation.detail
    expected = detail["references"] or detail["wanted"]
    rows = list(zip(detail["asked"], expected, detail["spelled"], strict=True))
    exact = int(evaluation.items["exact"].sum())
    caption = f"Of {len(rows)} rows, {exact} are written exactly as expected. The first of them:"
    shown = Table(("source", "expected", "written"), rows[:SHOWN], caption)
    lengths = sorted(set(detail["lengths"].tolist()))
    shares = [float(detail["right"][detail["lengths"] == n].mean()) for n in lengths]
    bars = BarChart([str(n) for n in lengths], shares, caption="Tokens guessed right, by tokens read.")
    made = [Section("Written freely", [shown]), Section("By length", [bars])]
    if detail["references"]:
        table = against_references(detail["spelled"], detail["references"], scored_by)
        made.append(Section("Against the references", [table]))
    if detail["alignments"]:
        made.append(Section("Where it looks", [picture(*one) for one in detail["alignments"]]))
    return made


def against_references(
    written: Sequence[str], references: Sequence[str], scored_by: Mapping[str, str]
) -> Table:
    """The scores of ``scored_by`` with their intervals, and how each is reckoned.

    A score is of a whole corpus, so the intervals are of rows drawn anew (Koehn 2004): the counts of those
    that were drawn are summed, and the score of the sum is computed.
    """
    body = []
    for name, how in scored_by.items():
        title, count, score = SCORES[name]
        counts = count(written, references)
        ends = "one row has none"
        if len(counts) > 1:
            found = bootstrap_statistic(
                lambda rows, s=score: s(rows.sum(axis=0)), counts, resamples=RESAMPLES
            )
            ends = f"{found.low:.1f} to {found.high:.1f}"
        body.append([title, f"{score(counts.sum(axis=0)):.1f}", ends, how])
    caption = "What is written against the texts as they were given, with 95 % bootstrap intervals over rows."
    return Table(("score", "value", "interval", "how it is reckoned"), body, caption)


def picture(written: list[str], read: list[str], looked: np.ndarray) -> Heatmap:
    """An alignment (written, read): a row for each token, and how it shares its look out."""
    return Heatmap(
        written, read, looked.round(2), "How much each token that was read counts for each that is written.",
        row_title="written", column_title="read",
    )  # fmt: skip
