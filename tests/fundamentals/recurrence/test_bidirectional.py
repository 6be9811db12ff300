"""Both directions against torch's, and what each of them has seen."""

import pytest
import torch
from tests.fundamentals.recurrence.test_stacked import KINDS, compare

from fathom.fundamentals.recurrence.bidirectional import Bidirectional
from fathom.fundamentals.recurrence.gru import GRU
from fathom.fundamentals.recurrence.vanilla_rnn import RNN

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")  # torch says it is slow


@pytest.mark.parametrize("kind", list(KINDS))
def test_both_directions_are_torchs(kind: str) -> None:
    compare(kind, 1, both=True)
    compare(kind, 1, both=True, lengths=[9, 2, 5, 1])


def test_each_direction_sees_its_own_side() -> None:
    layer, x = Bidirectional(RNN(3, 4), GRU(3, 5)), torch.randn(1, 8, 3)
    changed = x.clone()
    changed[0, 3] += 1
    before, after = layer(x)[0], layer(changed)[0]
    same = (before == after).all(dim=0)
    assert same[:3, :4].all() and not same[3:, :4].any()
    assert same[4:, 4:].all() and not same[:4, 4:].any()


def test_the_mirror_image_with_exchanged_layers_is_the_mirror_image() -> None:
    right, left = RNN(3, 4), RNN(3, 4)
    x = torch.randn(2, 6, 3)
    one, other = Bidirectional(right, left)(x)[0], Bidirectional(left, right)(x.flip(1))[0].flip(1)
    torch.testing.assert_close(one, other.roll(4, dims=2))


def test_bad_input_is_refused() -> None:
    layer = RNN(3, 4)
    with pytest.raises(ValueError, match="are one layer"):
        Bidirectional(layer, layer)
    with pytest.raises(ValueError, match="forwards takes 3 numbers a step and backwards 2"):
        Bidirectional(layer, RNN(2, 4))
