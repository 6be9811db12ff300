"""Cosine annealing and warm restarts against torch's and timm's schedulers, every step."""

from typing import Any

import pytest
from torch.optim import lr_scheduler

from fathom.fundamentals.schedules.cosine_annealing import cosine_annealing, cosine_restarts


@pytest.mark.parametrize("floor", [0.0, 0.02])
def test_one_wave_equals_torch(floor: float, torch_rates: Any) -> None:
    theirs = torch_rates(lambda o: lr_scheduler.CosineAnnealingLR(o, 1000, 0.1 * floor), 1001)
    ours = [0.1 * cosine_annealing(k, 1000, floor) for k in range(1001)]
    # torch goes from rate to rate and divides by 1 + cos, which loses digits near the end
    assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(("first", "stretch"), [(1, 1), (10, 1), (97, 1), (1, 2), (10, 2), (5, 3)])
def test_restarts_equal_torch(first: int, stretch: int, torch_rates: Any) -> None:
    def make(optimizer: Any) -> Any:
        return lr_scheduler.CosineAnnealingWarmRestarts(optimizer, first, stretch, eta_min=0.003)

    theirs = torch_rates(make, 1000)
    ours = [0.1 * cosine_restarts(k, first, stretch, 0.03) for k in range(1000)]
    assert ours == pytest.approx(theirs, rel=1e-12, abs=0)


@pytest.mark.slow
@pytest.mark.parametrize(("first", "stretch", "decay"), [(50, 1.0, 0.5), (20, 2.0, 0.8), (16, 1.5, 1.0)])
def test_restarts_equal_timm(first: int, stretch: float, decay: float, timm_rates: Any) -> None:
    from timm.scheduler import CosineLRScheduler

    def make(optimizer: Any) -> Any:
        return CosineLRScheduler(
            optimizer, t_initial=first, lr_min=0.001, cycle_mul=stretch, cycle_decay=decay, cycle_limit=100
        )

    theirs = timm_rates(make, 300)
    ours = [0.1 * cosine_restarts(k, first, stretch, 0.01, decay) for k in range(300)]
    if stretch == 1.5:  # 16 + 24 + 36 + 54 + 81 steps: the logarithm of timm misses this restart
        assert ours[211] == 0.1 and theirs[211] == pytest.approx(0.001)
        theirs[211] = 0.1
    assert ours == pytest.approx(theirs, rel=1e-12, abs=1e-15)


@pytest.mark.slow
def test_one_wave_equals_timm(timm_rates: Any) -> None:
    from timm.scheduler import CosineLRScheduler

    theirs = timm_rates(lambda o: CosineLRScheduler(o, t_initial=200, lr_min=0.001), 250)
    ours = [0.1 * cosine_annealing(k, 200, 0.01) for k in range(250)]
    assert ours == pytest.approx(theirs, rel=1e-12, abs=0)


def test_ends_and_restarts_are_exact() -> None:
    assert cosine_annealing(0, 7, 0.3) == 1.0
    assert cosine_annealing(7, 7, 0.3) == cosine_annealing(10**9, 7, 0.3) == 0.3
    for power in range(1, 25):  # a logarithm would put some of these into the cycle before
        assert cosine_restarts((3**power - 1) // 2, 1, 3, decay=0.5) == 0.5**power
    assert cosine_restarts(10**9, 10) == 1.0
    assert cosine_restarts(25, 10, 1, floor=0.5, decay=0.1) == 0.5  # its top would lie below the floor


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="step is -1; it must be 0 or more"):
        cosine_annealing(-1, 10)
    with pytest.raises(ValueError, match="steps is 0; it must be positive"):
        cosine_annealing(1, 0)
    with pytest.raises(ValueError, match=r"floor is 2.0; it must be in \[0, 1\]"):
        cosine_annealing(1, 10, 2.0)
    with pytest.raises(ValueError, match="first is 0; it must be positive"):
        cosine_restarts(1, 0)
    for stretch in (0.5, float("inf"), float("nan")):
        with pytest.raises(ValueError, match=r"stretch is .*; it must be 1 or more"):
            cosine_restarts(1, 10, stretch)
    with pytest.raises(ValueError, match=r"decay is 0.0; it must be in \(0, 1\]"):
        cosine_restarts(1, 10, 1, 0.0, 0.0)
