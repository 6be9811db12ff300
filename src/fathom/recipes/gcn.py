"""Recipes for the graph convolutional network."""

from fathom.architectures.graphs import gcn as system
from fathom.data.graphs import Citations
from fathom.tasks.node_classification import NodeClassification
from fathom.training import Adam, Expect, Experiment, GradientDescent

TOPICS = (
    "theory",
    "reinforcement learning",
    "genetic algorithms",
    "neural networks",
    "probabilistic methods",
    "case based",
    "rule learning",
)


def gcn(model: system.Config = system.Config()) -> Experiment:  # noqa: B008
    """GCN on Cora: 140 labelled papers, the links of all 2,708, and the paper's own settings."""
    return Experiment(
        model=model,
        data=Citations(),
        task=NodeClassification(labels=TOPICS, features=model.features),
        learning=GradientDescent(objective=system.LabelledNodes(), optimizer=Adam(learning_rate=0.01)),
        batch_size=1,
        steps=200,
        expect=(Expect(metric="test/accuracy", at_least=0.805, seeds=10, minutes=1),),
    )
