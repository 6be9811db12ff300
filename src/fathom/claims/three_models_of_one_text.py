"""Three ways to write like Shakespeare on one page: counts, an LSTM and a GPT, on the same text and scale.

The oldest counts what follows a few characters (Kneser-Ney, `kneser_ney`). A recurrent network carries a
state that may remember all before (`char_lstm`), a Transformer looks back at all in its window (`gpt2`). The
plays are cut as in their recipes: 90 % to learn from, 5 % to choose by, which nothing here uses, and the last
5 % to be scored on, once.

``ngram``: how long its runs are is chosen within the training text, on its last tenth, by a model of the rest
(``loss/2`` ... of the runs tried); then all of it is counted. ``lstm``, ``gpt``: the recipes `char_lstm` and
`gpt_shakespeare`, each ended when it has read three times as many characters as there are to learn from:
minutes, where counting takes seconds. That networks end below counts takes larger ones and more of both.
``loss``: nats a character on the 55,769 characters at the end, each predicted from what stands before it
there. ``perplexity``: its exponential. ``numbers``: how many the model holds, counts or weights.
``seconds``: of learning, on one core.

Source: Chen and Goodman (1999), https://doi.org/10.1006/csla.1999.0128; Hochreiter and Schmidhuber (1997);
Radford et al. (2019).
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from fathom.claim import Claim

if TYPE_CHECKING:
    from fathom.data.split import Data
    from fathom.report.markup import Block
    from fathom.training import Experiment

CLAIM = Claim(
    sentence="After three readings a small LSTM and a small GPT predict Shakespeare less well than counts.",
    rows=("NL07",),
    expect=(
        "loss: ngram <= 1.6",
        "loss: lstm - ngram >= 0.1",
        "loss: gpt - ngram >= 0.08",
        "loss: lstm <= 1.8",
        "loss: gpt <= 1.8",
    ),
    source="Chen and Goodman 1999; Hochreiter and Schmidhuber 1997; Radford et al. 2019",
    builds_on=("kneser_ney", "char_lstm", "gpt2"),
    seeds=1,
    differs=(
        "The networks have equally much to read, not equally long: a GPT takes longer over a character here.",
        "The GPT looks back 32 to 64 characters, the LSTM has a state that is carried on, counts see a few.",
        "What is counted does not depend on the seed; the networks were trained from one.",
    ),
)

ORDERS = tuple(range(2, 9))
TIMES = 3  # as many characters are read as there are to learn from


def measure(seed: int) -> dict[str, dict[str, float]]:
    from fathom.recipes import char_lstm, gpt2

    networks = {"lstm": char_lstm.char_lstm(), "gpt": gpt2.gpt_shakespeare()}
    found = {"ngram": counted(networks["lstm"].data.load(), len(char_lstm.CHARACTERS))}
    return found | {arm: learned(experiment, seed) for arm, experiment in networks.items()}


def counted(data: "Data", vocabulary: int) -> dict[str, float]:
    """The n-gram model whose order the end of the training text chooses."""
    import time

    from fathom.data.windows import running_text
    from fathom.fundamentals.mathematics.kneser_ney import KneserNey

    began, text = time.perf_counter(), running_text(data.train)
    cut = round(0.9 * len(text))
    tried = {n: KneserNey.fit(text[:cut], vocabulary, n).loss(text[cut:]) for n in ORDERS}
    model = KneserNey.fit(text, vocabulary, min(tried, key=lambda n: tried[n]))
    took = time.perf_counter() - began
    likely = model.probability(running_text(data.test))[1:]  # the first is read, not predicted
    numbers = sum(len(level.codes) for level in model.levels)
    told = {f"loss/{n}": loss for n, loss in tried.items()}
    return scored(-float(likely.log().mean()), numbers, took) | told | {"order": float(model.order)}


def learned(experiment: "Experiment", seed: int) -> dict[str, float]:
    """A network of a recipe after ``TIMES`` readings, scored on the test text."""
    from fathom.data.unvalidated import Unvalidated
    from fathom.data.windows import running_text
    from fathom.training.trial import trial

    rows = experiment.data.load().train
    steps = round(TIMES * len(running_text(rows)) / (experiment.batch_size * rows.length))
    experiment = replace(experiment, data=Unvalidated(experiment.data), steps=steps)
    metrics = trial(experiment, seed).metrics
    numbers = sum(p.numel() for p in experiment.build().parameters())
    return scored(metrics["test/loss"], numbers, metrics["seconds"]) | {"steps": float(steps)}


def scored(loss: float, numbers: int, seconds: float) -> dict[str, float]:
    import math

    return {"loss": loss, "perplexity": math.exp(loss), "numbers": float(numbers), "seconds": seconds}


def picture(seed: int, found: dict[str, dict[str, float]]) -> "list[Block]":
    """The three losses, and what the n-gram chose its order by."""
    import math

    import numpy as np

    from fathom.recipes.char_lstm import CHARACTERS
    from fathom.report.blocks import Table
    from fathom.report.charts import BarChart, LineChart

    names = {"ngram": f"{found['ngram']['order']:.0f}-gram, Kneser-Ney", "lstm": "LSTM", "gpt": "GPT"}
    rows = [("every character equally likely", math.log(len(CHARACTERS)), len(CHARACTERS), 0, 0)]
    rows += [
        (name, *(found[arm][what] for what in ("loss", "perplexity", "numbers", "seconds")))
        for arm, name in names.items()
    ]
    curve = np.array([(n, found["ngram"][f"loss/{n}"]) for n in ORDERS])
    columns = ("", "nats a character", "perplexity", "numbers it holds", "seconds of learning")
    return [
        BarChart(list(names.values()), [found[arm]["loss"] for arm in names], caption="Nats a character"),
        LineChart({"n-gram": curve}, x="characters in a run", y="nats", caption="On the part it chose by"),
        Table(columns, rows, "On the last twentieth of the plays."),
    ]
