"""The task of labelling nodes: unions of graphs, answers, scores, refusals."""

from pathlib import Path

import numpy as np
import pytest
import torch

from fathom.architectures.graphs import gcn
from fathom.data.graphs import IGNORE, Graphs
from fathom.data.split import Data
from fathom.deployment import artifact, preprocessing
from fathom.deployment.export import export
from fathom.errors import InputError
from fathom.task import Arrays, Boundary, Options, Task
from fathom.tasks.node_classification import NodeClassification, propagate_labels

TASK = NodeClassification(labels=("a", "b"), features=2)


def model() -> gcn.GCN:
    return gcn.Config(features=2, hidden=4, classes=2).build().eval()


def decoded() -> list[Arrays]:
    return [preprocessing.apply(TASK.preprocessing(), item) for item in TASK.examples()]


def test_it_is_a_task() -> None:
    assert isinstance(TASK, Task)
    assert NodeClassification.recognise(Path("x"), Options()) is None
    with pytest.raises(InputError, match="Graphs in Python"):
        NodeClassification.read(Path("x"), Options())
    with pytest.raises(InputError, match="Graphs in Python"):
        TASK.read_labelled(Path("x"), Options())


def test_answers_do_not_depend_on_company() -> None:
    network = Boundary(TASK, model())
    together = TASK.respond(network, decoded())
    for item, answer in zip(decoded(), together, strict=True):
        (alone,) = TASK.respond(network, [item])
        assert alone["labels"] == answer["labels"]
        assert len(alone["labels"]) == len(item["features"])
        for a, b in zip(alone["probabilities"], answer["probabilities"], strict=True):
            assert a == pytest.approx(b, abs=1e-6)
            assert sum(a.values()) == pytest.approx(1)


@pytest.mark.slow
def test_exported_network_gives_equal_answers_for_other_graphs(tmp_path: Path) -> None:
    net = model()
    artifact.write(tmp_path, task=TASK, model=net, system="gcn", digest="0" * 64, name="gcn", facts={})
    assert export(tmp_path, TASK, net)["equal"]
    dice = np.random.default_rng(0)
    items = [
        {"features": dice.random((n, 2)).tolist(), "edges": dice.integers(0, n, (2, e)).tolist()}
        for n, e in ((1, 0), (5, 3), (40, 200))
    ]
    ours = artifact.open_artifact(tmp_path, "torch").predict(items)
    theirs = artifact.open_artifact(tmp_path, "onnx").predict(items)
    for a, b in zip(ours, theirs, strict=True):
        for p, q in zip(a["probabilities"], b["probabilities"], strict=True):
            assert p == pytest.approx(q, abs=1e-5)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"features": [[1, 2]]}, "'edges' is missing"),
        ({"features": [[1, 2, 3]], "edges": [[], []]}, "the model takes"),
        ({"features": [[1, float("nan")]], "edges": [[], []]}, "NaN"),
        ({"features": [[1, 2]], "edges": [[0.5], [0]]}, "whole numbers"),
        ({"features": [[1, 2]], "edges": [[-1], [0]]}, "allowed"),
        ({"features": [[1, 2]], "edges": [[0, 1], [1, 0]]}, "names node 1, but the graph has 1 nodes"),
    ],
)
def test_bad_items_are_refused(item: object, message: str) -> None:
    network = Boundary(TASK, model())
    with pytest.raises(InputError, match=message):
        TASK.respond(network, [preprocessing.apply(TASK.preprocessing(), item)])


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="labels has 1"):
        NodeClassification(labels=("a",), features=2)
    with pytest.raises(ValueError, match="features is 0"):
        NodeClassification(labels=("a", "b"), features=0)


def line(label: list[int]) -> Graphs:
    """A path of four nodes."""
    edges = torch.tensor([[0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2]])
    return Graphs(((torch.ones(4, 2), edges, torch.tensor(label)),))


def test_scores_count_labelled_nodes_only() -> None:
    def network(arrays: Arrays) -> Arrays:
        return {"probabilities": np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.5, 0.5]], np.float32)}

    evaluation = TASK.evaluate(network, line([0, 0, IGNORE, 0]))
    assert evaluation.metrics["accuracy"] == pytest.approx(2 / 3)
    assert evaluation.items["accuracy"].tolist() == [1, 0, 1]
    assert evaluation.detail["degrees"].tolist() == [1, 2, 1]
    titles = [section.title for section in TASK.sections(evaluation, line([0, 0, IGNORE, 0]))]
    assert titles[-1] == "Links"
    with pytest.raises(InputError, match="no node of this split has a label"):
        TASK.evaluate(network, line([IGNORE] * 4))


def test_label_propagation_settles_between_the_known_ends() -> None:
    """On a path from a to b the shares are harmonic: 1, 2/3, 1/3, 0."""
    _, edges, label = line([0, IGNORE, IGNORE, 1]).graphs[0]
    shares = propagate_labels(label.numpy(), edges.numpy(), 2)
    assert shares[:, 0] == pytest.approx([1, 2 / 3, 1 / 3, 0], abs=1e-6)


def test_baselines_are_scored_on_the_validation_labels() -> None:
    data = Data(line([0, IGNORE, IGNORE, 1]), line([IGNORE, 0, 1, IGNORE]))
    found = TASK.baselines(data)
    assert found["label propagation"].metrics["accuracy"] == 1
    assert found["most frequent class"].metrics["accuracy"] == 0.5
    assert TASK.baselines(Data(line([0, 1, 0, 1]))) == {}


def test_features_become_shares_and_empty_rows_stay_empty() -> None:
    features, _ = TASK.prepare(torch.tensor([[1.0, 3.0], [0.0, 0.0]]), torch.zeros(2, 0).long())
    assert features.tolist() == [[0.25, 0.75], [0.0, 0.0]]


def test_the_suggested_experiment_fits_the_task() -> None:
    experiment = TASK.experiment(Data(line([0, 0, 1, 1]), line([0, 0, 1, 1])), seed=3)
    assert experiment.seed == 3
    made = Boundary(experiment.task, experiment.build())(TASK.collate(decoded()))
    assert made["probabilities"].shape == (7, 2)
