"""A word hidden in a caption: guessed by counts from what stands before it, by BERT from both sides.

An n-gram model (Kneser-Ney, `kneser_ney`) has read the same 29,000 captions in the same pieces as a small
BERT (`bert_captions`), and predicts a piece from those before it. BERT sees what comes after it as well, but
of the caption 15 % are hidden at once. Both are asked about the same pieces: those of the test captions that
show as [MASK]. The few that BERT's training exchanges or keeps are left out, since there it may see the
answer; counts are shown the pieces before the hidden one as they were.

``ngram``: how long its runs are is chosen within the training captions, on their last tenth, by a model of
the rest (``loss/1`` ... of the runs tried); then all of them are counted. ``loss``: nats a hidden piece.
``perplexity``: its exponential. ``everywhere``: of the n-gram alone, the perplexity over all pieces of the
test captions and their ends, as language models are usually told. ``seconds``: of learning, on one core.

Source: Devlin et al. (2019, section 3.1), https://arxiv.org/abs/1810.04805; Chen and Goodman (1999),
https://doi.org/10.1006/csla.1999.0128.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fathom.claim import Claim

if TYPE_CHECKING:
    from fathom.data.split import Data
    from fathom.report.markup import Block
    from fathom.tasks.masked_language_modelling import MaskedLanguageModelling
    from fathom.training import Experiment

CLAIM = Claim(
    sentence="A small BERT guesses hidden words of captions better than counts of what stands before them.",
    rows=("TR12",),
    expect=("perplexity: ngram - bert >= 1",),
    source="Devlin et al. 2019, arXiv 1810.04805; Chen and Goodman 1999",
    builds_on=("bert", "kneser_ney", "word_piece"),
    seeds=1,
    differs=(
        "Two questions: BERT is told what follows, the counts are not; that is what its training is for.",
    ),
)

ORDERS = tuple(range(1, 7))


def measure(seed: int) -> dict[str, dict[str, float]]:
    from fathom.recipes.bert import bert_captions

    experiment = bert_captions()
    task: Any = experiment.task
    return {
        "ngram": counted(experiment.data.load(), task),
        "bert": learned(replace(experiment, data=Asked(experiment.data, task.masks.mask)), seed),
    }


@dataclass(frozen=True)
class Asked:
    """The captions of ``whole`` with nothing to choose by; test captions ask where a ``mask`` shows."""

    whole: Any
    mask: int

    def load(self) -> "Data":
        import torch

        from fathom.data.split import Tensors
        from fathom.training.objectives import IGNORE

        data = self.whole.load()
        token, target = data.test.rows(torch.arange(len(data.test)))
        asked = torch.where(token == self.mask, target, IGNORE)
        return replace(data, valid=None, test=Tensors((token, asked)))


def counted(data: "Data", task: "MaskedLanguageModelling") -> dict[str, float]:
    """The n-gram model whose order the last training captions choose, asked about the hidden pieces."""
    import math
    import time

    import torch

    from fathom.fundamentals.mathematics.kneser_ney import KneserNey
    from fathom.tasks.masked_language_modelling import whole_rows

    assert data.test is not None
    began, size = time.perf_counter(), len(task.vocabulary)
    known, asked = (torch.from_numpy(whole_rows(split)) for split in (data.train, data.test))
    cut = round(0.9 * len(known))
    first, last, everything, unseen = (
        part[part > 0] for part in (known[:cut], known[cut:], known, asked)
    )  # piece 0 is padding
    tried = {n: KneserNey.fit(first, size, n).loss(last) for n in ORDERS}
    model = KneserNey.fit(everything, size, min(tried, key=lambda n: tried[n]))
    took = time.perf_counter() - began

    token, _ = data.test.rows(torch.arange(len(data.test)))
    hidden = (token == task.masks.mask)[asked > 0]
    surprise = -model.probability(unseen).log()
    begins = unseen == task.vocabulary.index("[CLS]")  # always there: none to predict
    told = {f"loss/{n}": loss for n, loss in tried.items()}
    everywhere = math.exp(float(surprise[~begins].mean()))
    return scored(float(surprise[hidden].mean()), took) | told | {
        "everywhere": everywhere, "order": float(model.order), "hidden": float(hidden.sum()),
    }  # fmt: skip


def learned(experiment: "Experiment", seed: int) -> dict[str, float]:
    """BERT after its recipe, on the test captions."""
    from fathom.training.trial import trial

    metrics = trial(experiment, seed).metrics
    return scored(metrics["test/loss"], metrics["seconds"]) | {
        "accuracy": metrics["test/accuracy"], "steps": metrics["steps"],
    }  # fmt: skip


def scored(loss: float, seconds: float) -> dict[str, float]:
    import math

    return {"loss": loss, "perplexity": math.exp(loss), "seconds": seconds}


def picture(seed: int, found: dict[str, dict[str, float]]) -> "list[Block]":
    """Both perplexities, and what the n-gram chose its order by."""
    import numpy as np

    from fathom.report.blocks import Table
    from fathom.report.charts import BarChart, LineChart

    ngram, bert = found["ngram"], found["bert"]
    names = [f"{ngram['order']:.0f}-gram, Kneser-Ney", "BERT"]
    curve = np.array([(n, ngram[f"loss/{n}"]) for n in ORDERS])
    lines = [
        (name, arm["loss"], arm["perplexity"], arm["seconds"])
        for name, arm in zip(names, (ngram, bert), strict=True)
    ]
    return [
        BarChart(names, [ngram["perplexity"], bert["perplexity"]], caption="Perplexity of hidden pieces"),
        LineChart({"n-gram": curve}, x="pieces in a run", y="nats", caption="On the part it chose by"),
        Table(
            ("", "nats a hidden piece", "perplexity", "seconds of learning"), lines,
            f"Over {ngram['hidden']:,.0f} hidden pieces of the test captions.",
        ),
    ]  # fmt: skip
