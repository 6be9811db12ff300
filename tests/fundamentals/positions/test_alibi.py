"""ALiBi against BLOOM and MPT, and that what is far is heard less."""

import pytest
import torch
import torch.nn.functional as F

from fathom.fundamentals.attention.scaled_dot_product import attend, attention_weights
from fathom.fundamentals.positions.alibi import alibi_bias, slopes


@pytest.mark.parametrize("heads", [1, 2, 3, 8, 12, 16, 40, 112])
def test_slopes_are_blooms(heads: int) -> None:
    from transformers.models.bloom.modeling_bloom import _get_alibi_slopes

    torch.testing.assert_close(
        slopes(heads), _get_alibi_slopes(heads, torch.device("cpu")), rtol=1e-6, atol=0
    )


def test_slopes_of_the_paper() -> None:
    assert slopes(8).tolist() == [2.0**-k for k in range(1, 9)]
    assert slopes(12)[8:].tolist() == pytest.approx([2.0 ** -(k - 0.5) for k in range(1, 5)])


@pytest.mark.parametrize("heads", [4, 6])
def test_answers_are_those_of_blooms_bias(heads: int) -> None:
    """BLOOM adds the slope times the place of the key; that differs by a constant for each query."""
    from transformers.models.bloom.modeling_bloom import build_alibi_tensor

    query, key, value = torch.randn(3, 2, heads, 7, 4)
    theirs = build_alibi_tensor(torch.ones(2, 7), heads, torch.float32).reshape(2, heads, 1, 7)
    mask = theirs.masked_fill(~torch.ones(7, 7).tril().bool(), -torch.inf)
    expected = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    ours = attend(query, key, value, alibi_bias(heads, 7, 7), causal=True)
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)


def test_the_last_row_is_mpts() -> None:
    from transformers.models.mpt.modeling_mpt import build_mpt_alibi_tensor

    theirs = build_mpt_alibi_tensor(8, 50)
    torch.testing.assert_close(alibi_bias(8, 1, 50), theirs, rtol=1e-6, atol=0)


def test_only_distances_count_and_far_is_heard_less() -> None:
    bias = alibi_bias(4, 30, 30)
    assert torch.equal(bias[:, 1:, 1:], bias[:, :-1, :-1])
    assert torch.equal(alibi_bias(4, 3, 30), bias[:, -3:])
    alike = torch.ones(1, 4, 30, 4)
    weights = attention_weights(alike, alike, bias, causal=True)[0, :, -1]
    assert weights.diff(dim=1).gt(0).all()  # nearer is heard more
    assert weights[:, -1].diff().lt(0).all()  # the later the head, the farther it hears


def test_with_biases_the_order_matters() -> None:
    x, bias = torch.randn(1, 4, 8, 4), alibi_bias(4, 8, 8)
    assert (attend(x.flip(2), x.flip(2), x.flip(2), bias) - attend(x, x, x, bias).flip(2)).abs().max() > 0.05


def test_no_heads_are_refused() -> None:
    with pytest.raises(ValueError, match="heads is 0"):
        slopes(0)
    with pytest.raises(ValueError, match="heads is -2"):
        alibi_bias(-2, 3, 3)
