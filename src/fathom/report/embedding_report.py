"""The page of an embedding: the features of a model as points, and how far they may be trusted."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fathom.report.blocks import Facts, Prose
from fathom.report.labelled_scatter import LabelledScatter
from fathom.report.markup import number
from fathom.report.page import Section, page

READING = {
    "pca": "The two directions in which the features vary most. Distances are true, but for what varies in"
    " other directions: points that look near may be far apart there.",
    "tsne": "Neighbours are kept, distances are not. Which points lie together means much; how far clusters"
    " are from each other, and how large they are, means little.",
}  # fmt: skip
METHODS = {"pca": "PCA", "tsne": "t-SNE"}


def embedding_report(
    *,
    title: str,
    points: np.ndarray,
    labels: Sequence[str],
    told: Mapping[str, Any],
    command: str = "",
    language: str = "en",
) -> str:
    """The page of ``points`` (n, 2) and their ``labels``; ``told`` is what ``verbs.embed`` returns."""
    method = METHODS[told["method"]]
    axes = ("first component", "second component") if told["method"] == "pca" else ("x", "y")
    caption = f"{told['rows']:,} held-out rows by {method} of what goes into layer {told['layer']}"
    picture = LabelledScatter(points[:, 0], points[:, 1], labels, caption, *axes)
    plane, before = told["neighbours"]["plane"], told["neighbours"]["features"]
    beside = f"among the {told['features']:,} features: {number(before)}"
    cards = [("nearest neighbour has the same label", plane, beside)]
    if "explained" in told:
        cards.append(("variance explained", told["explained"], "by the two directions drawn"))
    else:
        cards.append(("KL divergence", told["divergence"], "nats, of what t-SNE minimises"))
    facts = {"method": method, "layer": told["layer"], "features": told["features"], "rows": told["rows"]}
    sections = [
        Section("Picture", [picture], READING[told["method"]]),
        Section("Made of", [Facts(facts), Prose("The points stand in the CSV file of the same name.")]),
    ]
    return page(f"{title}, by {method}", "What the model makes of rows it was not trained on.", sections,
                headline=cards, language=language, command=command)  # fmt: skip
