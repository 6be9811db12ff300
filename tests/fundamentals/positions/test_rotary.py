"""Rotary positions against transformers' conventions, and that only distances count."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom.fundamentals.attention.scaled_dot_product import attend
from fathom.fundamentals.positions.rotary import (
    Llama3Scaling,
    frequencies,
    rotary_tables,
    rotate,
    rotate_by_hand,
)

PLACES = torch.arange(3, 12)


@pytest.mark.parametrize("base", [10_000.0, 500_000.0])
@pytest.mark.parametrize("scaling", [None, Llama3Scaling(), Llama3Scaling(factor=32.0, original=64)])
def test_queries_and_keys_are_turned_as_in_llama(base: float, scaling: Llama3Scaling | None) -> None:
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb

    settings: dict[str, object] = {"rope_type": "default", "rope_theta": base}
    if scaling is not None:
        settings |= {
            "rope_type": "llama3", "factor": scaling.factor, "low_freq_factor": scaling.low,
            "high_freq_factor": scaling.high, "original_max_position_embeddings": scaling.original,
        }  # fmt: skip
    config = LlamaConfig(
        hidden_size=64, num_attention_heads=2, max_position_embeddings=131072, rope_parameters=settings
    )
    theirs = LlamaRotaryEmbedding(config)
    torch.testing.assert_close(frequencies(32, base, scaling), theirs.inv_freq, rtol=1e-6, atol=0)
    query, key = torch.randn(2, 2, 2, 9, 32)
    cosine, sine = theirs(query, PLACES[None])
    expected = apply_rotary_pos_emb(query, key, cosine, sine)
    tables = rotary_tables(PLACES, frequencies(32, base, scaling))
    for ours, wanted in zip((query, key), expected, strict=True):
        torch.testing.assert_close(rotate(ours, *tables), wanted, rtol=1e-5, atol=1e-5)


def test_neighbours_are_turned_as_in_gptj() -> None:
    from transformers.models.gptj.modeling_gptj import apply_rotary_pos_emb, create_sinusoidal_positions

    x = torch.randn(2, 3, 9, 16)
    sine, cosine = create_sinusoidal_positions(20, 16)[PLACES].chunk(2, dim=-1)
    expected = apply_rotary_pos_emb(x.transpose(1, 2), sine[None], cosine[None]).transpose(1, 2)
    ours = rotate(x, *rotary_tables(PLACES, frequencies(16)), pairs="neighbours")
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)


def test_a_part_of_the_entries_is_turned_as_in_gpt_neox() -> None:
    from transformers.models.gpt_neox.modeling_gpt_neox import apply_rotary_pos_emb

    x = torch.randn(2, 3, 9, 16)
    cosine, sine = rotary_tables(PLACES, frequencies(4))
    wide = torch.cat([cosine, cosine], -1)[None], torch.cat([sine, sine], -1)[None]
    expected, _ = apply_rotary_pos_emb(x, x, *wide)
    ours = rotate(x, cosine, sine)
    torch.testing.assert_close(ours, expected, rtol=1e-6, atol=1e-6)
    assert torch.equal(ours[..., 4:], x[..., 4:])


def test_the_two_conventions_are_one_up_to_the_order_of_entries() -> None:
    x, tables = torch.randn(9, 8, dtype=torch.float64), rotary_tables(PLACES, frequencies(8))
    order = torch.arange(8).reshape(4, 2).T.flatten()  # 0 2 4 6 1 3 5 7
    torch.testing.assert_close(rotate(x, *tables, pairs="neighbours")[:, order], rotate(x[:, order], *tables))


@settings(max_examples=40, deadline=None)
@given(i=st.integers(0, 4000), j=st.integers(0, 4000), shift=st.integers(0, 4000))
def test_scores_depend_on_the_distance_alone(i: int, j: int, shift: int) -> None:
    dice = torch.Generator().manual_seed(i)
    query, key = torch.randn(2, 1, 8, dtype=torch.float64, generator=dice)
    score = (rotate_by_hand(query, start=i) * rotate_by_hand(key, start=j)).sum()
    moved = (rotate_by_hand(query, start=i + shift) * rotate_by_hand(key, start=j + shift)).sum()
    torch.testing.assert_close(moved, score, rtol=0, atol=1e-9)


def test_turning_changes_no_length() -> None:
    x = torch.randn(4, 9, 8, dtype=torch.float64)
    turned = rotate(x, *rotary_tables(PLACES, frequencies(8)))
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1), rtol=1e-6, atol=0)
    start = rotate(x, *rotary_tables(torch.zeros(9), frequencies(8)))
    assert torch.equal(start, x)


def test_with_positions_the_order_matters() -> None:
    x, tables = torch.randn(1, 2, 9, 8), rotary_tables(torch.arange(9), frequencies(8))

    def answer(x: torch.Tensor) -> torch.Tensor:
        return attend(rotate(x, *tables), rotate(x, *tables), x)

    assert (answer(x.flip(2)) - answer(x).flip(2)).abs().max() > 0.05


def test_llama3_leaves_fast_points_and_slows_slow_ones() -> None:
    scaling = Llama3Scaling(factor=8.0, low=1.0, high=4.0, original=8192)
    ratio = frequencies(128, 500_000.0, scaling) / frequencies(128, 500_000.0)
    assert ratio[:20].eq(1).all()
    torch.testing.assert_close(ratio[-20:], torch.full((20,), 1 / 8))
    assert ratio.diff().le(1e-6).all() and ((ratio < 0.99) & (ratio > 0.13)).any()


def test_bad_input_is_refused() -> None:
    x, tables = torch.randn(9, 8), rotary_tables(PLACES, frequencies(8))
    for wrong, words in (
        (lambda: frequencies(7), "width is 7"),
        (lambda: frequencies(0), "width is 0"),
        (lambda: frequencies(8, 1.0), "base is 1.0"),
        (lambda: rotate(x[:, :6], *tables), "turn 4 points; x has 6 entries, 3 points"),
        (lambda: Llama3Scaling(low=4.0, high=4.0), "low 4.0, high 4.0"),
        (lambda: Llama3Scaling(factor=0.5), "factor is 0.5"),
        (lambda: Llama3Scaling(original=0), "original 0"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
