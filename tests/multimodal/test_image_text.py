"""The two towers and their loss against plain loops, and what must hold of them."""

import math

import pytest
import torch
import torch.nn.functional as F

from fathom.multimodal import image_text

CFG = image_text.Config(size=8, vocabulary=9, width=4, shared=6)


def batch(count: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    tokens = torch.randint(1, 9, (count, 7))
    tokens[0, 3:] = image_text.PADDING
    return torch.randn(count, 1, 8, 8), tokens


def test_towers_match_a_slow_derivation() -> None:
    model = CFG.build().double()
    image, tokens = batch()
    image = image.double()
    ours = model(image, tokens)
    for i in range(len(image)):
        x = image[i : i + 1]
        for layer in (model.picture.first, model.picture.second):
            windows = F.unfold(x, 3, padding=1, stride=2)  # every other 3x3 window as a column
            side = x.shape[-1] // 2
            x = (layer.weight.flatten(1) @ windows + layer.bias[:, None]).view(1, -1, side, side).clamp(min=0)
        u = model.picture.out.weight @ x.flatten() + model.picture.out.bias
        known = [model.words.embedding.weight[t] for t in tokens[i].tolist() if t != image_text.PADDING]
        mean = torch.stack(known).mean(dim=0)
        hidden = (model.words.hidden.weight @ mean + model.words.hidden.bias).clamp(min=0)
        v = model.words.out.weight @ hidden + model.words.out.bias
        cosine = u @ v / (u.norm() * v.norm())
        torch.testing.assert_close(ours[i], model.log_scale.exp() * cosine - 10, rtol=1e-9, atol=1e-9)


def test_every_pair_holds_the_single_pairs() -> None:
    model = CFG.build().eval()
    image, tokens = batch()
    table = model(image, tokens, every_pair=True)
    torch.testing.assert_close(table.diagonal(), model(image, tokens))
    torch.testing.assert_close(table[1, 3], model(image[1:2], tokens[3:4])[0])


def test_loss_matches_a_loop_over_pairs() -> None:
    model = CFG.build()
    image, tokens = batch()
    kind = torch.tensor([0, 1, 0, 2, 1])
    loss, metrics = image_text.EveryPair()(model, (image, tokens, kind))
    table = model(image, tokens, every_pair=True).tolist()
    total, right = 0.0, 0
    for i in range(5):
        for j in range(5):
            sign = 1 if kind[i] == kind[j] else -1
            total -= math.log(1 / (1 + math.exp(-sign * table[i][j])))
        right += int(kind[max(range(5), key=lambda j: table[i][j])] == kind[i])
    assert loss.item() == pytest.approx(total / 5, rel=1e-5)
    assert metrics["accuracy"].item() == pytest.approx(right / 5)
    assert image_text.EveryPair().count((image, tokens, kind)) == 5


def test_padding_says_nothing_and_order_of_words_neither() -> None:
    model = CFG.build().eval()
    image = torch.randn(1, 1, 8, 8)
    short = torch.tensor([[3, 5, 2]])
    padded = torch.tensor([[5, 0, 2, 3, 0]])
    torch.testing.assert_close(model(image, short), model(image, padded))


def test_no_words_at_all_is_a_finite_answer() -> None:
    model = CFG.build().eval()
    assert model(torch.zeros(1, 1, 8, 8), torch.zeros(1, 4, dtype=torch.long)).isfinite().all()


def test_odds_start_where_the_settings_say() -> None:
    """A product of 1 gives ``scale - reserve``, a product of -1 ``-scale - reserve``."""
    model = image_text.Config(size=8, vocabulary=9, scale=4.0, reserve=3.0).build()
    image, tokens = batch(64)
    odds = model(image, tokens, every_pair=True)
    assert odds.min() >= -7.001
    assert odds.max() <= 1.001


@pytest.mark.parametrize(
    ("field", "value"),
    [("size", 10), ("size", 0), ("channels", 0), ("vocabulary", 1), ("shared", 1), ("scale", 0.0),
     ("reserve", float("nan"))],
)  # fmt: skip
def test_nonsense_is_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{field} is"):
        image_text.Config(**{field: value})  # type: ignore[arg-type]
