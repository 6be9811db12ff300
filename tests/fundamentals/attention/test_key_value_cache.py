"""A cache gives what computing the whole text again would, token by token, however the text is cut."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom.fundamentals.attention.key_value_cache import KeyValueCache, read_in_pieces
from fathom.fundamentals.attention.sliding_window import sliding_window_mask


@settings(max_examples=80, deadline=None)
@given(
    pieces=st.lists(st.integers(1, 6), min_size=1, max_size=8).map(tuple),
    window=st.none() | st.integers(1, 12),
    batch=st.sampled_from([1, 3]),
    groups=st.sampled_from([1, 2, 4]),
)
def test_pieces_equal_the_whole(pieces: tuple[int, ...], window: int | None, batch: int, groups: int) -> None:
    length = sum(pieces)
    query = torch.randn(batch, 4, length, 3, dtype=torch.float64)
    key, value = torch.randn(2, batch, groups, length, 3, dtype=torch.float64)
    mask = sliding_window_mask(length, length, window or length)
    whole = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, enable_gqa=True)
    found = read_in_pieces(query, key, value, pieces, window)
    torch.testing.assert_close(found, whole, rtol=0, atol=1e-12)


def cache(**changed: int | bool) -> KeyValueCache:
    sizes = {"layers": 2, "batch": 3, "heads": 2, "rows": 5, "width": 4}
    return KeyValueCache(**(sizes | changed))  # type: ignore[arg-type]


def test_layers_are_kept_apart_and_beams_can_be_chosen() -> None:
    kept = cache()
    assert kept.admit(2) is None
    pieces = torch.randn(2, 2, 3, 2, 2, 4)
    for layer in range(2):
        keys, values = kept.extend(layer, pieces[layer, 0], pieces[layer, 1])
        assert torch.equal(keys, pieces[layer, 0]) and torch.equal(values, pieces[layer, 1])
    kept.select(torch.tensor([2, 2, 0, 1]))
    assert kept.admit(1) is None
    keys, _ = kept.extend(1, torch.zeros(4, 2, 1, 4), torch.zeros(4, 2, 1, 4))
    assert torch.equal(keys[:, :, :2], pieces[1, 0][[2, 2, 0, 1]]) and keys.shape == (4, 2, 3, 4)


def test_a_ring_keeps_its_size_for_ever() -> None:
    kept = cache(rolling=True)
    new = torch.zeros(3, 2, 1, 4)
    for step in range(40):
        kept.admit(1)
        keys, _ = kept.extend(0, new + step, new)
        assert sorted(keys[0, 0, :, 0].tolist()) == list(range(max(0, step - 4), step + 1))
    assert kept.length == 40 and kept.keys[0].shape[2] == 5


def test_a_full_cache_says_so_and_stays_as_it_was() -> None:
    kept = cache()
    kept.admit(4)
    with pytest.raises(ValueError, match="5 rows and holds 4 tokens: 2 more do not fit; make one with more"):
        kept.admit(2)
    assert kept.length == 4
    kept.admit(1)


def test_bad_sizes_are_refused() -> None:
    for name in ("layers", "batch", "heads", "rows", "width"):
        with pytest.raises(ValueError, match=f"{name} is 0"):
            cache(**{name: 0})
    with pytest.raises(ValueError, match="count is 0"):
        cache().admit(0)
