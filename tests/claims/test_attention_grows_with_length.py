"""What is counted is what was held and multiplied, and the promises hold on shorter texts, too."""

import pytest
import torch

from fathom import catalog
from fathom.claim import promise
from fathom.claims import attention_grows_with_length as claim
from fathom.verbs.arms import judged


def test_bytes_are_of_what_is_held_at_one_time() -> None:
    given = torch.zeros(1000)

    def chain() -> torch.Tensor:
        total = given.view(10, 100).t()  # a view of what was there
        for _ in range(5):
            total = total + 1  # the one before is let go
        return total.sum()

    answer, most = claim.most_bytes(lambda: chain)
    assert float(answer) == 5000 and most == 2 * 4000
    _, kept = claim.most_bytes(lambda: lambda: torch.stack([torch.ones(250) for _ in range(4)]))
    assert kept == 2 * 4000


def test_bytes_count_what_was_prepared() -> None:
    def prepare() -> claim.Work:
        kept = torch.zeros(500)
        return lambda: kept[:10].clone()

    assert claim.most_bytes(prepare)[1] == 4 * 510


def test_operations_are_those_of_matrix_products_and_of_fused_kernels() -> None:
    a, b = torch.randn(7, 11), torch.randn(11, 5)
    assert claim.operations(lambda: (a @ b).relu() + 1) == 2 * 7 * 11 * 5
    query = torch.randn(1, 2, 16, 8)
    with torch.no_grad():
        work = claim.ways(query, query, query)
        plain, fused = (claim.operations(work[arm]()) for arm in ("plain", "fused"))
    assert plain == fused == 2 * 2 * (16 * 16 * 8) * 2


@pytest.mark.parametrize("power", [0.0, 1.0, 1.5, 2.0])
def test_exponents_are_slopes(power: float) -> None:
    told = {f"bytes/{n}": 3.0 * n**power for n in claim.LENGTHS}
    assert claim.exponent(told, "bytes") == pytest.approx(power)


def test_promises_hold_on_shorter_texts_and_a_picture_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim, "LENGTHS", (128, 256, 512))
    found = claim.measure(3)
    assert set(found) == {"plain", "fused", "window", "linear", "cached", "recomputed"}
    for text in catalog.claim("attention_grows_with_length").claim.expect:
        assert judged(promise(text), {arm: [told] for arm, told in found.items()})["met"], text
    assert found["recomputed"]["operations/512"] > 100 * found["cached"]["operations/512"]
    assert all(
        "exponent" in block.html() or "power of two" in block.html() for block in claim.picture(0, found)
    )


def test_an_answer_that_differs_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim, "LENGTHS", (128, 256))
    right = claim.answers

    def wrong(*inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        return right(*inputs) | {"window": right(*inputs)["plain"]}

    monkeypatch.setattr(claim, "answers", wrong)
    found = claim.measure(0)
    assert found["window"]["gap"] > 1e-3 and found["cached"]["gap"] < 1e-5
