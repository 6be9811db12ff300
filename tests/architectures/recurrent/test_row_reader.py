"""The row reader against its equations and torch's own cell, weight for weight; and what it reads first."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fathom.architectures.recurrent.row_reader import Config, RowReader

SMALL = Config(image_size=6, channels=2, classes=3, width=5)


def shaken(cfg: Config) -> RowReader:
    """A model in float64 in which no bias is 0, so that each of them counts."""
    model = cfg.build().double()
    for parameter in model.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return model


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def test_scores_are_those_of_the_equations_unit_by_unit() -> None:
    model = shaken(SMALL)
    w = {name: weight.detach().numpy() for name, weight in model.named_parameters()}
    image = torch.randn(3, 2, 6, 6, dtype=torch.float64)
    scores = model(image).detach().numpy()
    for one in range(3):
        h, c = np.zeros(5), np.zeros(5)
        for row in range(6):
            x = np.concatenate([image[one, channel, row].numpy() for channel in range(2)])
            gates = w["lstm.weight_ih_l0"] @ x + w["lstm.bias_ih_l0"] + w["lstm.bias_hh_l0"]
            gates = (gates + w["lstm.weight_hh_l0"] @ h).reshape(4, 5)
            for unit in range(5):
                i, f, g, o = gates[:, unit]
                c[unit] = sigmoid(f) * c[unit] + sigmoid(i) * np.tanh(g)
                h[unit] = sigmoid(o) * np.tanh(c[unit])
        np.testing.assert_allclose(scores[one], w["head.weight"] @ h + w["head.bias"], atol=1e-12)


def test_scores_and_gradients_match_cell_and_linear_of_torch() -> None:
    ours = shaken(SMALL)
    cell, head = nn.LSTMCell(12, 5).double(), nn.Linear(5, 3).double()
    cell.load_state_dict({n.removesuffix("_l0"): v for n, v in ours.lstm.state_dict().items()})
    head.load_state_dict(ours.head.state_dict())
    image, label = torch.randn(4, 2, 6, 6, dtype=torch.float64), torch.tensor([0, 2, 1, 1])
    state = (torch.zeros(4, 5, dtype=torch.float64),) * 2
    for row in range(6):
        state = cell(torch.cat([image[:, 0, row], image[:, 1, row]], dim=1), state)
    made, wanted = ours(image), head(state[0])
    torch.testing.assert_close(made, wanted, rtol=1e-10, atol=1e-10)
    slopes = torch.autograd.grad(F.cross_entropy(made, label), list(ours.parameters()))
    theirs = torch.autograd.grad(F.cross_entropy(wanted, label), [*cell.parameters(), *head.parameters()])
    for name, slope, other in zip(dict(ours.named_parameters()), slopes, theirs, strict=True):
        torch.testing.assert_close(slope, other, rtol=1e-8, atol=1e-10, msg=name)


@pytest.mark.parametrize(("width", "count"), [(64, 24_714), (66, 26_014), (128, 82_186)])
def test_sizes(width: int, count: int) -> None:
    """4 gates of W (28 w), U (w w) and torch's two biases (2 w), then 10 w + 10."""
    with torch.device("meta"):
        model = Config(width=width).build()
    assert sum(p.numel() for p in model.parameters()) == count


def test_it_reads_from_top_to_bottom() -> None:
    """Rows have an order and columns have none: weights may be shuffled with them, and nothing changes."""
    model = Config(image_size=8, width=6).build().eval()
    image, order = torch.rand(2, 1, 8, 8), torch.randperm(8)
    assert not torch.allclose(model(image), model(image.flip(2)), atol=1e-4)
    turned = Config(image_size=8, width=6).build().eval()
    weights = model.state_dict()
    turned.load_state_dict(weights | {"lstm.weight_ih_l0": weights["lstm.weight_ih_l0"][:, order]})
    torch.testing.assert_close(turned(image[..., order]), model(image))


def test_first_weights_are_those_that_are_promised() -> None:
    weights = Config(width=32).build().lstm.state_dict()
    for gate in weights["weight_hh_l0"].chunk(4):
        torch.testing.assert_close(gate @ gate.T, torch.eye(32), atol=1e-5, rtol=0)
    bound = (6 / (28 + 32)) ** 0.5
    assert 0.95 * bound < weights["weight_ih_l0"].abs().max() <= bound
    biases = (weights["bias_ih_l0"] + weights["bias_hh_l0"]).reshape(4, 32)
    assert biases[1].eq(1).all() and biases[[0, 2, 3]].eq(0).all()
