"""Three readers from scratch, none better than counts by itself, read better than counts together.

The floor is naive Bayes on words and pairs of words (`naive_bayes`). The committee learns from the same 8,530
sentences and nothing else; `few_readers_beat_counts` measures two of its readers alone, under the same terms.
A seed divides the 10,662 sentences anew, draws the weights and shuffles. Ten seeds, for on a thousand
sentences the difference of two such readers is known to one point only.

``accuracy``: on the tenth for testing. The rate of the linear reader (of three) and the shares (of two) were
chosen by five folds among the sentences that seed 0 does not test with. The tests of other seeds have most of
these in them: what five combinations can fit to them is in the result.

Source: Mesnil et al. (2015), Ensemble of Generative and Discriminative Techniques, table 2; Wang and Manning
(2012), Baselines and Bigrams, table 2; Pang and Lee (2005) for the reviews.
"""

from typing import TYPE_CHECKING

from fathom.claim import Claim

if TYPE_CHECKING:
    from fathom.report.markup import Block

CLAIM = Claim(
    sentence="On film reviews three networks from scratch beat naive Bayes together, though none does alone.",
    rows=("NL04", "NL05"),
    expect=(
        "accuracy: committee - bayes >= 0.005",
        "accuracy: committee >= 0.78",
    ),
    source="Mesnil et al. 2015; Wang and Manning 2012, Baselines and Bigrams; Pang and Lee 2005",
    builds_on=("naive_bayes", "text_committee"),
    seeds=10,
)


def measure(seed: int) -> dict[str, dict[str, float]]:
    from fathom.claims.few_readers_beat_counts import counted, learned
    from fathom.recipes.text_committee import text_committee

    return {
        "bayes": {"accuracy": counted(seed)},
        "committee": {"accuracy": learned(text_committee(), seed)},
    }


def picture(seed: int, found: dict[str, dict[str, float]]) -> "list[Block]":
    """Both beside each other."""
    from fathom.report.charts import BarChart

    names = {"bayes": "naive Bayes", "committee": "committee"}
    return [BarChart(list(names.values()), [found[arm]["accuracy"] for arm in names], caption="Accuracy")]
