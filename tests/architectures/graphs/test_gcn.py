"""GCN against dense matrices, a graph worked out by hand, and what must hold of any such layer."""

import pytest
import torch
from torch import Tensor

from fathom.architectures.graphs import gcn
from fathom.data.graphs import IGNORE, union

CFG = gcn.Config(features=6, hidden=5, classes=3, dropout=0.0)


def graph(nodes: int = 9, features: int = 6, seed: int = 0) -> tuple[Tensor, Tensor]:
    dice = torch.Generator().manual_seed(seed)
    upper = (torch.rand(nodes, nodes, generator=dice) < 0.3).triu(1)
    edges = (upper | upper.T).nonzero().T.contiguous()
    return torch.randn(nodes, features, generator=dice), edges


def dense(edges: Tensor, nodes: int) -> Tensor:
    """D^-1/2 (A + I) D^-1/2 as matrices, with a true matrix square root and inverse."""
    adjacency = torch.eye(nodes, dtype=torch.float64)
    for sender, receiver in edges.T.tolist():
        adjacency[receiver, sender] += 1
    values, vectors = torch.linalg.eigh(torch.diag(adjacency.sum(dim=1)))
    root = torch.linalg.inv(vectors @ torch.diag(values.sqrt()) @ vectors.T)
    return root @ adjacency @ root


def test_matches_equation_9_with_dense_matrices() -> None:
    features, edges = graph()
    model = CFG.build().double()
    matrix = dense(edges, len(features))
    x = features.double()
    ours = model(x, edges)
    hidden = torch.relu(matrix @ x @ model.first.weight + model.first.bias)
    theirs = matrix @ hidden @ model.second.weight + model.second.bias
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    parameters = list(model.parameters())
    for mine, other in zip(
        torch.autograd.grad(ours.square().sum(), parameters),
        torch.autograd.grad(theirs.square().sum(), parameters),
        strict=True,
    ):
        torch.testing.assert_close(mine, other, rtol=1e-8, atol=1e-8)


def test_propagation_on_a_path_worked_out_by_hand() -> None:
    """0 - 1 - 2: with the links to themselves the degrees are 2, 3, 2."""
    edges = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
    side = 1 / 6**0.5  # of 1 / sqrt(2 * 3)
    expected = torch.tensor([[0.5, side, 0.0], [side, 1 / 3, side], [0.0, side, 0.5]])
    torch.testing.assert_close(gcn.propagate(torch.eye(3), edges), expected)


def test_a_link_in_one_direction_carries_one_way() -> None:
    made = gcn.propagate(torch.eye(2), torch.tensor([[0], [1]]))
    torch.testing.assert_close(made, torch.tensor([[1.0, 0.0], [0.5**0.5, 0.5]]))


def test_numbering_of_nodes_does_not_matter() -> None:
    features, edges = graph()
    order = torch.randperm(len(features))
    place = order.argsort()  # where each node went
    model = CFG.build().double()
    renumbered = model(features.double()[order], place[edges])
    torch.testing.assert_close(renumbered, model(features.double(), edges)[order])


def test_parts_of_a_union_do_not_hear_each_other() -> None:
    (x, a), (y, b) = graph(7), graph(4, seed=1)
    joined, edges, _ = union([(x, a, torch.zeros(7).long()), (y, b, torch.zeros(4).long())])
    model = CFG.build()
    torch.testing.assert_close(model(joined, edges), torch.cat([model(x, a), model(y, b)]))


def test_two_layers_see_two_steps_far() -> None:
    edges = torch.tensor([[0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2]])  # a path of four
    features = torch.randn(4, 6, requires_grad=True)
    CFG.build()(features, edges)[0].sum().backward()
    assert features.grad is not None
    reached = features.grad.abs().sum(dim=1) > 0
    assert reached.tolist() == [True, True, True, False]


def test_nodes_without_links_are_classified_alone() -> None:
    model = CFG.build()
    x = torch.randn(5, 6)
    made = model(x, torch.zeros(2, 0, dtype=torch.long))
    dense_layers = torch.relu(x @ model.first.weight + model.first.bias) @ model.second.weight
    torch.testing.assert_close(made, dense_layers + model.second.bias)


def test_size_on_cora() -> None:
    """1433 x 16 + 16 + 16 x 7 + 7."""
    with torch.device("meta"):
        model = gcn.Config().build()
    assert sum(p.numel() for p in model.parameters()) == 23_063


def test_dropout_keeps_the_mean_and_is_off_when_evaluated() -> None:
    dropped = gcn.drop(torch.ones(200, 100), 0.25)
    assert dropped.unique().tolist() == pytest.approx([0, 4 / 3])
    assert (dropped == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)
    features, edges = graph()
    model = gcn.Config(features=6, hidden=5, classes=3, dropout=0.5).build()
    assert not torch.equal(model(features, edges), model(features, edges))
    torch.testing.assert_close(model.eval()(features, edges), model(features, edges))


def test_loss_sees_labelled_nodes_only_and_penalises_the_first_weights() -> None:
    features, edges = graph()
    label = torch.tensor([0, 1, 2] + [IGNORE] * 6)
    model = CFG.build()
    objective = gcn.LabelledNodes(penalty=0.3)
    loss, metrics = objective(model, (features, edges, label))
    logits = model(features, edges)
    chosen = torch.stack([logits[i].log_softmax(dim=0)[i] for i in range(3)])
    expected = -chosen.mean() + 0.15 * (model.first.weight**2).sum()
    torch.testing.assert_close(loss, expected)
    assert objective.count((features, edges, label)) == 3
    assert metrics["accuracy"] == (logits[:3].argmax(dim=1) == torch.arange(3)).float().mean()


@pytest.mark.parametrize(
    ("field", "value"),
    [("features", 0), ("hidden", -1), ("classes", 1), ("dropout", 1.0), ("dropout", float("nan"))],
)
def test_nonsense_is_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{field} is"):
        gcn.Config(**{field: value})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="penalty is"):
        gcn.LabelledNodes(penalty=-1.0)
