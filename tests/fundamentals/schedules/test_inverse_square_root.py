"""Inverse square root and Noam against the formulas of transformers and the annotated transformer."""

import math
from typing import Any

import pytest
from torch.optim.lr_scheduler import LambdaLR

from fathom.fundamentals.schedules.inverse_square_root import inverse_square_root, noam


@pytest.mark.parametrize(("warmup", "timescale"), [(100, None), (1, None), (100, 10), (0, 10_000), (50, 400)])
def test_equals_transformers(warmup: int, timescale: int | None, torch_rates: Any) -> None:
    scale = timescale or warmup

    def formula(step: int) -> float:
        if step < warmup:
            return float(step) / float(max(1, warmup))
        shift = scale - warmup
        return 1.0 / math.sqrt((step + shift) / scale)

    theirs = torch_rates(lambda o: LambdaLR(o, formula), 1000)
    ours = [0.1 * inverse_square_root(k, warmup, timescale) for k in range(1000)]
    assert ours == pytest.approx(theirs, rel=1e-12, abs=0)


@pytest.mark.slow
@pytest.mark.parametrize(("warmup", "timescale"), [(100, None), (1, None), (100, 10), (50, 400)])
def test_equals_transformers_own(warmup: int, timescale: int | None, transformers_rates: Any) -> None:
    theirs = transformers_rates(
        "get_inverse_sqrt_schedule", 1000, num_warmup_steps=warmup, timescale=timescale
    )
    ours = [0.1 * inverse_square_root(k, warmup, timescale) for k in range(1000)]
    assert ours == pytest.approx(theirs, rel=1e-12, abs=0)


@pytest.mark.parametrize(("width", "warmup", "scale"), [(512, 4000, 1.0), (256, 10, 2.0), (1, 1, 0.5)])
def test_noam_equals_the_annotated_transformer(
    width: int, warmup: int, scale: float, torch_rates: Any
) -> None:
    def rate(step: int, model_size: int, factor: float, warmup: int) -> float:
        if step == 0:
            step = 1
        return factor * (model_size ** (-0.5) * min(step ** (-0.5), step * warmup ** (-1.5)))

    theirs = torch_rates(lambda o: LambdaLR(o, lambda s: rate(s, width, scale, warmup)), 1000, rate=1.0)
    ours = [noam(k, width, warmup, scale) for k in range(1000)]
    assert ours == pytest.approx(theirs, rel=1e-12, abs=0)


def test_properties() -> None:
    assert inverse_square_root(0, 10) == 0.0
    assert inverse_square_root(10, 10) == 1.0
    assert inverse_square_root(10 + 3 * 10, 10) == pytest.approx(0.5)  # halved 3 timescales later
    assert inverse_square_root(10**12, 10) > 0
    assert noam(4000, 512, 4000) == max(noam(k, 512, 4000) for k in range(3900, 4100))
    assert noam(0, 512, 4000) == noam(1, 512, 4000) > 0


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="step is -1; it must be 0 or more"):
        inverse_square_root(-1, 10)
    with pytest.raises(ValueError, match="warmup is -1; it must be 0 or more"):
        inverse_square_root(1, -1)
    with pytest.raises(ValueError, match="timescale is None and warmup is 0; one of them must be positive"):
        inverse_square_root(1, 0)
    with pytest.raises(ValueError, match="timescale is -5 and warmup is 3"):
        inverse_square_root(1, 3, -5)
    with pytest.raises(ValueError, match="step is -1"):
        noam(-1, 512, 10)
    with pytest.raises(ValueError, match="width is 0; it must be 1 or more"):
        noam(1, 0, 10)
    with pytest.raises(ValueError, match=r"warmup is 0 and scale is 1.0; they must be positive"):
        noam(1, 512, 0)
