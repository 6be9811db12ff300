"""The LSTM equals torch's, weight for weight, whichever way it is run; and it remembers."""

import numpy as np
import pytest
import torch
from torch import nn

from fathom.architectures.recurrent.char_lstm import LSTM, CharLSTM, Config, cell_step, tiny

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")  # torch says it is slow
SHAPES = pytest.mark.parametrize(("layers", "projection"), [(1, None), (3, None), (1, 4), (3, 4)])


def steps(lstm: LSTM, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The stack, one step at a time: outputs (b, t, r) and the last states."""
    h = torch.zeros(len(x), lstm.num_layers, lstm.proj_size or lstm.hidden_size)
    c = torch.zeros(len(x), lstm.num_layers, lstm.hidden_size)
    outputs = []
    for one in x.unbind(dim=1):
        out, h, c = lstm.step(one, h, c)
        outputs.append(out)
    return torch.stack(outputs, dim=1), h, c


@SHAPES
def test_steps_equal_torch_weight_for_weight(layers: int, projection: int | None) -> None:
    ours = LSTM(Config(embedding=5, width=7, layers=layers, projection=projection))
    theirs = nn.LSTM(5, 7, layers, batch_first=True, proj_size=projection or 0)
    for weight in theirs.parameters():
        nn.init.normal_(weight, std=0.5)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(3, 11, 5)
    out, h, c = steps(ours, x)
    expected, (last_h, last_c) = theirs(x)
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(h, last_h.transpose(0, 1), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(c, last_c.transpose(0, 1), atol=1e-5, rtol=1e-5)


@SHAPES
def test_gradients_of_steps_equal_torch(layers: int, projection: int | None) -> None:
    ours = LSTM(Config(embedding=5, width=7, layers=layers, projection=projection))
    theirs = nn.LSTM(5, 7, layers, batch_first=True, proj_size=projection or 0)
    ours.load_state_dict(theirs.state_dict())
    x, goal = torch.randn(2, 9, 5), torch.randn(2, 9, projection or 7)
    (steps(ours, x)[0] * goal).sum().backward()
    (theirs(x)[0] * goal).sum().backward()
    expected = dict(theirs.named_parameters())
    assert expected.keys() == dict(ours.named_parameters()).keys()
    for name, weight in ours.named_parameters():
        torch.testing.assert_close(weight.grad, expected[name].grad, atol=1e-4, rtol=1e-4)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def test_peepholes_equal_the_equations_written_out() -> None:
    """Gers and Schmidhuber (2000): i and f see the old cell, o the new one; one unit at a time."""
    lstm = LSTM(Config(embedding=3, width=4, peepholes=True)).double()
    for weight in lstm.parameters():
        nn.init.normal_(weight)
    w = {name: weight.detach().numpy() for name, weight in lstm.named_parameters()}
    x = torch.randn(2, 6, 3, dtype=torch.float64)
    out = lstm.window(x).detach().numpy()
    for row in range(2):
        h, c = np.zeros(4), np.zeros(4)
        for t in range(6):
            gates = w["weight_ih_l0"] @ x[row, t].numpy() + w["bias_ih_l0"] + w["weight_hh_l0"] @ h
            gates = (gates + w["bias_hh_l0"]).reshape(4, 4)
            for k in range(4):
                p = w["peephole"][0, :, k]
                i, f = sigmoid(gates[0, k] + p[0] * c[k]), sigmoid(gates[1, k] + p[1] * c[k])
                c[k] = f * c[k] + i * np.tanh(gates[2, k])
                h[k] = sigmoid(gates[3, k] + p[2] * c[k]) * np.tanh(c[k])
            np.testing.assert_allclose(out[row, t], h, atol=1e-12)


def test_without_weight_peepholes_change_nothing() -> None:
    plain, seeing = LSTM(Config(embedding=3, width=4)), LSTM(Config(embedding=3, width=4, peepholes=True))
    seeing.load_state_dict(plain.state_dict(), strict=False)
    x = torch.randn(2, 6, 3)
    torch.testing.assert_close(seeing.window(x), plain.window(x))


@pytest.mark.parametrize("peepholes", [False, True])
def test_windows_equal_characters_one_by_one(peepholes: bool) -> None:
    cfg = Config(vocabulary=9, embedding=4, width=8, layers=2, projection=5, peepholes=peepholes)
    model = cfg.build().eval()
    text = torch.randint(9, (3, 12))
    h, c = (torch.zeros(3, *shape) for _, shape in cfg.states)
    whole = model(text)
    for t in range(12):
        logits, h, c = model(text[:, t], h, c)
        torch.testing.assert_close(logits, whole[:, t], atol=1e-5, rtol=1e-5)


def test_what_comes_later_changes_no_score_before_it() -> None:
    model = Config(vocabulary=9, embedding=4, width=8).build().eval()
    text = torch.randint(9, (1, 12))
    other = text.clone()
    other[0, 7:] = (other[0, 7:] + 1) % 9
    torch.testing.assert_close(model(other)[:, :7], model(text)[:, :7])
    assert not torch.allclose(model(other)[:, 7:], model(text)[:, 7:])


def test_a_cell_with_shut_gates_keeps_value_and_gradient_for_a_thousand_steps() -> None:
    """The constant error carousel (1997, section 3.2): what an ordinary state would lose."""
    gates = torch.tensor([[-50.0, 50.0, 0.3, 0.0]])  # nothing is written, everything is kept
    first = torch.tensor([[0.7]], requires_grad=True)
    c = first
    for _ in range(1000):
        _, c = cell_step(gates, c)
    c.sum().backward()
    assert c.item() == pytest.approx(0.7)
    assert first.grad is not None and first.grad.item() == pytest.approx(1.0)


def test_a_fresh_model_forgets_little() -> None:
    weights = Config().build().lstm.state_dict()
    assert weights["bias_ih_l0"].chunk(4)[1].eq(1).all()
    assert weights["bias_hh_l0"].eq(0).all()


@pytest.mark.parametrize(
    ("cfg", "count"),
    [
        (Config(), 65 * 64 + 4 * 256 * (64 + 256 + 2) + 257 * 65),
        (Config(layers=2), 65 * 64 + 4 * 256 * (64 + 256 + 2) + 4 * 256 * (256 + 256 + 2) + 257 * 65),
        (Config(projection=64), 65 * 64 + 4 * 256 * (64 + 64 + 2) + 64 * 256 + 65 * 65),
        (Config(peepholes=True), 65 * 64 + 4 * 256 * (64 + 256 + 2) + 3 * 256 + 257 * 65),
    ],
)
def test_number_of_weights(cfg: Config, count: int) -> None:
    with torch.device("meta"):
        model = cfg.build()
    assert sum(p.numel() for p in model.parameters()) == count


def test_dropout_is_there_in_training_only() -> None:
    model = Config(vocabulary=9, embedding=4, width=16, layers=2, dropout=0.5).build()
    text = torch.randint(9, (2, 5))
    assert not torch.equal(model(text), model(text))
    model.eval()
    assert torch.equal(model(text), model(text))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("width", 0),
        ("layers", -1),
        ("vocabulary", 0),
        ("dropout", 1.0),
        ("projection", 256),
        ("projection", 0),
    ],
)
def test_nonsense_is_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        Config(**{field: value})  # type: ignore[arg-type]


def test_states_of_another_model_are_refused() -> None:
    model = Config(vocabulary=9, embedding=4, width=8).build()
    with pytest.raises(ValueError, match=r"this model has .*\(1, 8\)"):
        model(torch.tensor([1]), torch.zeros(1, 2, 8), torch.zeros(1, 2, 8))


def test_tiny_learns_its_rhyme_by_heart() -> None:
    from fathom.task import Boundary
    from fathom.training import train

    experiment = tiny()
    data = experiment.data.load()
    learner = experiment.learner()
    train(learner, experiment.source(data), steps=experiment.steps)
    assert isinstance(learner.model, CharLSTM)
    found = experiment.task.evaluate(Boundary(experiment.task, learner.model), data.valid)
    assert found.metrics["loss"] < 0.2


def test_the_recipe_reads_all_plays_in_order() -> None:
    from fathom.data import places
    from fathom.data.windows import running_text
    from fathom.recipes.char_lstm import CHARACTERS, Shakespeare, char_lstm, char_lstm_deep

    for recipe in (char_lstm(), char_lstm_deep()):
        assert recipe.task.states == recipe.model.states  # type: ignore[attr-defined]
    if places.locate("tiny_shakespeare") is None:
        pytest.skip("the data set tiny_shakespeare is in none of the places looked at")
    data = Shakespeare().load()
    texts = [running_text(split) for split in (data.train, data.valid, data.test)]
    assert [len(text) for text in texts] == [1003855, 55769, 55770]
    assert torch.cat(texts).unique().tolist() == list(range(len(CHARACTERS)))
    assert "".join(CHARACTERS[i] for i in texts[0][:14].tolist()) == "First Citizen:"


def test_a_stride_that_leaves_gaps_is_refused() -> None:
    from fathom.recipes.char_lstm import Shakespeare

    with pytest.raises(ValueError, match="stride"):
        Shakespeare(stride=129)
