"""Graphs as rows: joining, checking, drawing."""

import pytest
import torch

from fathom.data.graphs import IGNORE, Graphs, communities, union
from fathom.errors import InputError

TWO = torch.zeros(2, 3), torch.tensor([[0], [1]]), torch.tensor([0, 1])
THREE = torch.ones(3, 3), torch.tensor([[2, 0], [0, 1]]), torch.tensor([1, IGNORE, 0])


def test_a_union_numbers_nodes_on() -> None:
    features, edges, label = union([TWO, THREE, TWO])
    assert features.shape == (7, 3)
    assert edges.tolist() == [[0, 4, 2, 5], [1, 2, 3, 6]]
    assert label.tolist() == [0, 1, 1, IGNORE, 0, 0, 1]


def test_rows_are_joined_in_the_order_asked_for() -> None:
    features, edges, _ = Graphs((TWO, THREE)).rows(torch.tensor([1, 0]))
    assert features[:, 0].tolist() == [1, 1, 1, 0, 0]
    assert edges.tolist() == [[2, 0, 3], [0, 1, 4]]


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        ((TWO[0], torch.tensor([[0], [2]]), TWO[2]), "nodes 0 to 1"),
        ((TWO[0], torch.tensor([[-1], [1]]), TWO[2]), "links name the nodes -1 to 1"),
        ((TWO[0], torch.tensor([[0, 1, 0]]), TWO[2]), "they are \\(2, links\\)"),
        ((TWO[0], TWO[1], torch.tensor([0])), "2 nodes but 1 labels"),
    ],
)
def test_bad_graphs_are_refused(graph: tuple[torch.Tensor, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Graphs((graph,))  # type: ignore[arg-type]


def test_drawn_communities_are_undirected_repeatable_and_half_labelled() -> None:
    first, again = (communities(nodes=24, features=6, classes=3, train=3, valid=2).load() for _ in range(2))
    for a, b in zip(first.train.graphs, again.train.graphs, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    _, edges, label = first.train.graphs[0]
    links = {tuple(e) for e in edges.T.tolist()}
    assert links == {(b, a) for a, b in links}
    assert 4 <= (label != IGNORE).sum() <= 20
    assert not torch.equal(first.train.graphs[0][0], first.train.graphs[1][0])
