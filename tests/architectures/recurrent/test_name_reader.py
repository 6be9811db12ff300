"""The name reader against torch's packed networks, weight for weight; a name's answer is its own."""

from itertools import product
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fathom.architectures.recurrent.name_reader import CELLS, Config, NameReader, tiny
from fathom.data import places
from fathom.task import Boundary
from fathom.training import train

SMALL = {"vocabulary": 12, "classes": 4, "embedding": 5, "width": 6}
TORCHS = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


def shaken(**settings: Any) -> NameReader:
    """Ready to answer, with weights that all count."""
    model = Config(**SMALL, **settings).build().eval()
    for weight in model.parameters():
        weight.data += 0.3 * torch.randn_like(weight)
    return model


def names() -> Tensor:
    return torch.tensor([[3, 9, 1, 4, 0, 0], [7, 7, 2, 11, 5, 6], [8, 0, 0, 0, 0, 0], [2, 3, 4, 5, 6, 0]])


def torchs(model: NameReader) -> tuple[nn.RNNBase, Any]:
    """Torch's network with the same weights, and the whole model on it."""
    cfg, both = model.cfg, model.cfg.bidirectional
    net = TORCHS[cfg.cell](5, 6, cfg.layers, batch_first=True, bidirectional=both)
    for level, layer in enumerate(model.layers.layers):
        ways = [layer.forwards, layer.backwards] if both else [layer]  # type: ignore[union-attr]
        for way, end in zip(ways, ("", "_reverse"), strict=False):
            for name, weight in way.kernel.named_parameters():  # type: ignore[union-attr, operator]
                getattr(net, name.replace("_l0", f"_l{level}{end}")).data.copy_(weight)

    def answer(token: Tensor) -> Tensor:
        lengths = (token != 0).sum(dim=1)
        letters = F.embedding(token, model.embedding.weight)
        packed = nn.utils.rnn.pack_padded_sequence(letters, lengths, True, enforce_sorted=False)
        _, ends = net(packed)
        ends = ends[0] if cfg.cell == "lstm" else ends  # (layers * directions, b, w)
        whole = torch.cat([ends[-2], ends[-1]], dim=1) if both else ends[-1]
        return F.linear(whole, model.head.weight, model.head.bias)

    return net, answer


@pytest.mark.parametrize(("cell", "layers", "both"), [*product(TORCHS, (1, 2), (False, True))])
def test_scores_and_gradients_are_those_of_torchs_packed_network(cell: str, layers: int, both: bool) -> None:
    model = shaken(cell=cell, layers=layers, bidirectional=both)
    net, theirs = torchs(model)
    made, wanted = model(names()), theirs(names())
    torch.testing.assert_close(made, wanted, rtol=1e-5, atol=1e-5)
    label = torch.tensor([0, 3, 1, 1])
    ours = torch.autograd.grad(F.cross_entropy(made, label), list(model.layers.parameters()))
    expected = torch.autograd.grad(F.cross_entropy(wanted, label), list(net.parameters()))
    for one, other in zip(ours, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("cell", list(CELLS))
def test_a_name_in_a_batch_is_that_name_alone(cell: str) -> None:
    model = shaken(cell=cell, layers=2)
    together = model(F.pad(names(), (0, 3)))
    for k, name in enumerate(names()):
        alone = model(name[name != 0][None])
        torch.testing.assert_close(together[k : k + 1], alone, rtol=0, atol=1e-6)


def test_a_name_without_letters_has_an_answer() -> None:
    model = shaken()
    token = names()
    token[1] = 0
    assert torch.equal(model(token)[1], model.head.bias)
    F.cross_entropy(model(token), torch.tensor([0, 1, 2, 3])).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_only_two_directions_see_both_ends_at_the_first_letter() -> None:
    """Each order of letters is another name, whichever way they are read."""
    for both in (False, True):
        model = shaken(bidirectional=both)
        assert not torch.allclose(model(names()[1:2]), model(names()[1:2].flip(1)), atol=1e-3)


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        ({}, 90 * 32 + 2 * 4 * 128 * (32 + 128 + 2) + 257 * 18),
        ({"cell": "gru", "bidirectional": False}, 90 * 32 + 3 * 128 * (32 + 128 + 2) + 129 * 18),
        (
            {"cell": "rnn", "layers": 2},
            90 * 32 + 2 * 128 * (32 + 128 + 2) + 2 * 128 * (256 + 128 + 2) + 257 * 18,
        ),
        ({"cell": "layer_norm_lstm"}, 90 * 32 + 2 * (512 * (32 + 128 + 1) + 2 * 512 + 2 * 128) + 257 * 18),
    ],
)
def test_number_of_weights(settings: dict[str, Any], count: int) -> None:
    with torch.device("meta"):
        model = Config(**settings).build()
    assert sum(p.numel() for p in model.parameters()) == count


def test_dropout_is_there_in_training_only() -> None:
    model = shaken(dropout=0.5)
    assert torch.equal(model(names()), model(names()))
    model.train()
    assert not torch.equal(model(names()), model(names()))


def test_nonsense_is_refused() -> None:
    cfg = Config()
    object.__setattr__(cfg, "cell", "elman")  # past the check of types, which only tests have
    with pytest.raises(ValueError, match="cell is 'elman'; it must be one of rnn"):
        cfg.__post_init__()
    for field, value in (("width", 0), ("layers", 0), ("dropout", 1.0)):
        with pytest.raises(ValueError, match=field):
            Config(**{field: value})  # type: ignore[arg-type]


def test_tiny_learns_its_words() -> None:
    experiment = tiny()
    data, learner = experiment.data.load(), experiment.learner()
    train(learner, experiment.source(data), steps=experiment.steps, seed=experiment.seed)
    found = experiment.task.evaluate(Boundary(experiment.task, learner.model), data.valid)
    assert found.metrics["accuracy"] > 0.95


def test_no_name_that_is_asked_for_was_seen() -> None:
    from fathom.recipes.name_reader import Surnames

    if places.locate("surnames") is None:
        pytest.skip("the data set surnames is in none of the places looked at")
    data, task = Surnames().load(), Surnames().task()
    assert len(task.labels) == 18 and task.unit == "character"
    seen: list[set[str]] = []
    for split in (data.train, data.valid, data.test):
        token, label = split.rows(torch.arange(len(split)))  # type: ignore[union-attr]
        assert set(label.tolist()) == set(range(18))
        seen.append({task.decode(row) for row in token.numpy()})
    assert sum(len(split) for split in (data.train, data.valid, data.test)) == 18_012  # type: ignore[arg-type]
    spelled = [{name for name in part if "[?]" not in name and len(name) < task.length} for part in seen]
    assert not (spelled[0] & spelled[1]) | (spelled[0] & spelled[2]) | (spelled[1] & spelled[2])
