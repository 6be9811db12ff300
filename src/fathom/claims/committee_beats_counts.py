"""Three readers from scratch, none better than counts by itself, read better than counts together.

The floor is naive Bayes on words and pairs of words (`naive_bayes`). The committee learns from the same 8,530
sentences and nothing else; its readers, who learn each by a loss of its own, are asked alone as well. A seed
divides the 10,662 sentences anew, draws the weights and shuffles. Ten seeds, for on a thousand sentences the
difference of two such readers is known to one point only.

``accuracy``: on the tenth for testing. The rate of the linear reader (of three) and the shares (of two) were
chosen by five folds among the sentences that seed 0 does not test with. The tests of other seeds have most of
these in them: what five combinations can fit to them is in the result.

Source: Mesnil et al. (2015), Ensemble of Generative and Discriminative Techniques, table 2; Wang and Manning
(2012), Baselines and Bigrams, table 2; Pang and Lee (2005) for the reviews.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fathom.claim import Claim

if TYPE_CHECKING:
    from fathom.report.markup import Block
    from fathom.training import Experiment

CLAIM = Claim(
    sentence="On film reviews three networks from scratch beat naive Bayes together, though none does alone.",
    rows=("NL04", "NL05"),
    expect=(
        "accuracy: committee - bayes >= 0.005",
        "accuracy: committee >= 0.78",
        "accuracy: phrases - bayes <= 0.02",
        "accuracy: order - bayes <= 0.02",
        "accuracy: pairs - bayes <= 0.02",
    ),
    source="Mesnil et al. 2015; Wang and Manning 2012, Baselines and Bigrams; Pang and Lee 2005",
    builds_on=("naive_bayes", "text_committee"),
    seeds=10,
)


def measure(seed: int) -> dict[str, dict[str, float]]:
    from fathom.claims.few_readers_beat_counts import counted
    from fathom.recipes.text_committee import text_committee

    return {"bayes": {"accuracy": counted(seed)}, **heard(text_committee(), seed)}


def heard(experiment: "Experiment", seed: int) -> dict[str, dict[str, float]]:
    """The recipe on the division of ``seed``: the committee and each of its readers on the test sentences."""
    from fathom.claims.few_readers_beat_counts import divided_by
    from fathom.task import Boundary
    from fathom.training import train

    experiment = replace(divided_by(experiment, seed), seed=seed)
    data, learner, task = experiment.data.load(), experiment.learner(), experiment.task
    train(learner, experiment.source(data), steps=experiment.steps, seed=seed)
    asked: dict[str, Any] = {"committee": learner.model, **dict(learner.model.named_children())}
    scored = {name: task.evaluate(Boundary(task, model), data.test) for name, model in asked.items()}
    return {name: {"accuracy": found.metrics["accuracy"]} for name, found in scored.items()}


def picture(seed: int, found: dict[str, dict[str, float]]) -> "list[Block]":
    """All beside each other."""
    from fathom.report.charts import BarChart

    names = {
        "bayes": "naive Bayes", "phrases": "phrases", "order": "order", "pairs": "pairs",
        "committee": "all three together",
    }  # fmt: skip
    return [BarChart(list(names.values()), [found[arm]["accuracy"] for arm in names], caption="Accuracy")]
