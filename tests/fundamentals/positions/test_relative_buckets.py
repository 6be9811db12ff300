"""Relative positions in buckets against T5's: every distance, every direction, biases and all."""

import pytest
import torch

from fathom.fundamentals.attention.scaled_dot_product import attend
from fathom.fundamentals.positions.relative_buckets import RelativeBuckets, relative_bucket


@pytest.mark.parametrize("both_ways", [True, False])
@pytest.mark.parametrize(("buckets", "farthest"), [(32, 128), (8, 20), (64, 1000), (4, 3)])
def test_buckets_are_t5s(both_ways: bool, buckets: int, farthest: int) -> None:
    from transformers.models.t5.modeling_t5 import T5Attention

    distance = torch.arange(-3000, 3001)
    theirs = T5Attention._relative_position_bucket(distance, both_ways, buckets, farthest)
    ours = relative_bucket(distance, buckets=buckets, farthest=farthest, both_ways=both_ways)
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("both_ways", [True, False])
def test_biases_are_t5s(both_ways: bool) -> None:
    from transformers import T5Config
    from transformers.models.t5.modeling_t5 import T5Attention

    config = T5Config(num_heads=3, d_kv=4, d_model=12, is_decoder=not both_ways)
    theirs = T5Attention(config, has_relative_attention_bias=True, layer_idx=0)
    torch.nn.init.normal_(theirs.relative_attention_bias.weight)
    ours = RelativeBuckets(3, both_ways=both_ways)
    ours.load_state_dict(theirs.relative_attention_bias.state_dict())
    torch.testing.assert_close(ours(200, 200), theirs.compute_bias(200, 200)[0], rtol=0, atol=0)
    last = theirs.compute_bias(3, 50, past_seen_tokens=47)
    torch.testing.assert_close(ours(3, 50), last[0], rtol=0, atol=0)


def test_only_distances_count() -> None:
    bias = RelativeBuckets(2)(40, 40)
    assert torch.equal(bias[:, 1:, 1:], bias[:, :-1, :-1])


def test_near_distances_are_told_apart_and_far_ones_are_not() -> None:
    bucket = relative_bucket(-torch.arange(1000), both_ways=False)
    assert bucket[:16].tolist() == list(range(16))
    assert bucket[128:].eq(31).all() and bucket.diff().ge(0).all()
    assert set(bucket.tolist()) == set(range(32))
    ahead = relative_bucket(torch.arange(1, 50), both_ways=False)
    assert ahead.eq(0).all()


def test_with_biases_the_order_matters_and_learns() -> None:
    x, layer = torch.randn(1, 2, 6, 4), RelativeBuckets(2)
    torch.nn.init.normal_(layer.weight)
    moved, bias = x.flip(2), layer(6, 6)
    assert (attend(moved, moved, moved, bias) - attend(x, x, x, bias).flip(2)).abs().max() > 0.05
    attend(x, x, x, bias).square().sum().backward()
    assert layer.weight.grad is not None
    seen = layer.weight.grad.abs().sum(dim=1).ne(0)
    assert seen.nonzero().flatten().tolist() == [0, 1, 2, 3, 4, 5, 17, 18, 19, 20, 21]


def test_bad_sizes_are_refused() -> None:
    distance = torch.arange(3)
    for wrong, words in (
        (lambda: relative_bucket(distance, buckets=6), "buckets is 6; it must be a multiple of 4"),
        (lambda: relative_bucket(distance, buckets=0, both_ways=False), "buckets is 0"),
        (lambda: relative_bucket(distance, farthest=8), "farthest is 8; it must be above 8"),
        (lambda: RelativeBuckets(0), "heads is 0"),
        (lambda: RelativeBuckets(2, buckets=5), "buckets is 5"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
