"""Sinusoidal positions against transformers', their geometry, and that order then matters."""

import numpy as np
import pytest
import torch

from fathom.fundamentals.attention.scaled_dot_product import attend
from fathom.fundamentals.positions.sinusoidal import SinusoidalPositions, sinusoidal


@pytest.mark.parametrize(("places", "width"), [(1, 2), (50, 16), (512, 64)])
def test_table_is_that_of_distilbert(places: int, width: int) -> None:
    from transformers.models.distilbert.modeling_distilbert import create_sinusoidal_embeddings

    theirs = create_sinusoidal_embeddings(places, width, torch.empty(places, width))
    torch.testing.assert_close(sinusoidal(places, width), theirs, rtol=0, atol=1e-6)


def test_sines_first_is_the_table_of_marian() -> None:
    from transformers.models.marian.modeling_marian import MarianSinusoidalPositionalEmbedding

    theirs = MarianSinusoidalPositionalEmbedding(40, 12).create_weight()
    torch.testing.assert_close(sinusoidal(40, 12, interleaved=False), theirs, rtol=0, atol=1e-6)


def test_going_on_is_a_turn_that_is_the_same_everywhere() -> None:
    """Section 3.5: p[t + k] is a linear function of p[t], whatever t is."""
    table = sinusoidal(200, 16, base=50.0).double().numpy()  # all circles are gone round in 100 places
    for k in (1, 7, 50):
        turn, *_ = np.linalg.lstsq(table[:100], table[k : 100 + k], rcond=None)
        np.testing.assert_allclose(table[100 : 200 - k] @ turn, table[100 + k :], atol=1e-5)
        products = (table[: 200 - k] * table[k:]).sum(axis=1)
        np.testing.assert_allclose(products, products[0], atol=1e-5)


def test_no_two_places_are_alike_and_all_are_equally_long() -> None:
    table = sinusoidal(2000, 32).double()
    torch.testing.assert_close(table.norm(dim=1), torch.full((2000,), 4.0).double(), rtol=0, atol=1e-6)
    assert torch.cdist(table, table).fill_diagonal_(9).min() > 0.5


def test_with_positions_the_order_matters() -> None:
    x, add = torch.randn(1, 6, 8), SinusoidalPositions(6, 8)

    def answer(x: torch.Tensor, positions: bool) -> torch.Tensor:
        x = add(x) if positions else x
        return attend(x, x, x)

    order = torch.tensor([3, 0, 5, 1, 4, 2])
    torch.testing.assert_close(answer(x[:, order], False), answer(x, False)[:, order])
    assert (answer(x[:, order], True) - answer(x, True)[:, order]).abs().max() > 0.1


def test_the_layer_begins_where_it_is_told_and_keeps_nothing_in_files() -> None:
    layer = SinusoidalPositions(10, 4)
    x = torch.zeros(2, 3, 4)
    assert torch.equal(layer(x, 7)[0], sinusoidal(10, 4)[7:])
    assert not layer.state_dict() and not list(layer.parameters())
    with pytest.raises(ValueError, match="places 8 to 10 are asked for; there are 0 to 9"):
        layer(x, 8)


def test_bad_sizes_are_refused() -> None:
    for wrong, words in (
        (lambda: sinusoidal(0, 4), "places is 0"),
        (lambda: sinusoidal(4, 5), "width is 5"),
        (lambda: sinusoidal(4, 0), "width is 0"),
        (lambda: sinusoidal(4, 4, base=1.0), "base is 1.0"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
