"""What attention costs as texts grow: with all pairs written down, without, in a window, and with a cache.

Every place asks every other, so multiplications grow with the square of the length, and if the scores of all
pairs are written down, so does memory. A fused kernel goes through them piece by piece and writes none
(Dao et al. 2022, section 3.1): memory in proportion to the length, operations as before. A window asks the
last few places only: both in proportion (Beltagy, Peters and Cohan 2020, section 3.1). So are they with a
kernel in the softmax's place, whose sums over the past are kept (Katharopoulos et al. 2020, section 3.2). And
who writes a text needs the answer at its last place alone: with keys and values kept, the next token costs in
proportion to what stands there, not to its square (Shazeer 2019, section 2.4).

One layer's attention of two heads, 32 wide, causal, over 128 to 4,096 places:

    plain        scores of all pairs, their softmax, the sum         the whole text
    fused        torch's kernel                                      the whole text
    window       the last 64 places, in blocks                       the whole text
    linear       features in the softmax's place, in blocks of 64    the whole text
    cached       keys and values kept                                the last token
    recomputed   the fused kernel over everything again              the last token

``bytes/L``: the most that tensors held at one time at length L, inputs left out; what a kernel takes and
gives back inside of itself is not seen. ``operations/L``: of matrix products, counted as if nothing were
hidden. ``memory_exponent`` and ``operations_exponent``: slopes of straight lines through their logarithms.
``gap``: largest difference from the plain answer over all lengths, of ``window`` from the plain one with the
same places hidden, of ``linear`` from its own weights of all pairs. ``milliseconds/L``: the fastest of three,
which depends on the machine; nothing is promised of it.
"""

import math
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from fathom.claim import Claim

if TYPE_CHECKING:
    from torch import Tensor

    from fathom.report.markup import Block

CLAIM = Claim(
    sentence="Attention that writes all pairs down needs memory with the square of a length; others do not.",
    rows=("TR08",),
    expect=(
        "memory_exponent: plain >= 1.8",
        "memory_exponent: fused <= 1.2",
        "memory_exponent: window <= 1.2",
        "memory_exponent: linear <= 1.2",
        "memory_exponent: cached <= 1.2",
        "operations_exponent: plain >= 1.9",
        "operations_exponent: fused >= 1.9",
        "operations_exponent: window <= 1.2",
        "operations_exponent: linear <= 1.1",
        "operations_exponent: cached <= 1.1",
        "operations_exponent: recomputed >= 1.9",
        "gap: fused <= 1e-5",
        "gap: window <= 1e-5",
        "gap: linear <= 1e-5",
        "gap: cached <= 1e-5",
        "gap: recomputed <= 1e-5",
    ),
    source="Dao et al. 2022, arXiv 2205.14135; Beltagy, Peters and Cohan 2020, arXiv 2004.05150;"
    " Katharopoulos et al. 2020, arXiv 2006.16236; Shazeer 2019, arXiv 1911.02150",
    builds_on=("scaled_dot_product", "sliding_window", "linear_attention", "key_value_cache"),
    seeds=1,
    differs=(
        "Promises are about counts, which are the same everywhere; seconds are told beside them.",
        "On a processor, whose fused kernel is torch's own and not that of the paper.",
    ),
)

LENGTHS = (128, 256, 512, 1024, 2048, 4096)
HEADS, WIDTH, WINDOW = 2, 32, 64
Work = Callable[[], "Tensor"]


def measure(seed: int) -> dict[str, dict[str, float]]:
    import torch

    found: dict[str, dict[str, float]] = {}
    with torch.no_grad():
        for length in LENGTHS:
            dice = torch.Generator().manual_seed(seed)
            inputs = torch.randn(3, 1, HEADS, length, WIDTH, generator=dice)
            wanted = answers(*inputs)
            for arm, prepare in ways(*inputs).items():
                told = found.setdefault(arm, {"gap": 0.0})
                answer, told[f"bytes/{length}"] = most_bytes(prepare)
                gap = answer - wanted[arm]
                told["gap"] = max(told["gap"], float(gap.abs().max()))
                told[f"operations/{length}"] = operations(prepare())
                told[f"milliseconds/{length}"] = 1e3 * min(seconds(prepare()) for _ in range(3))
    for told in found.values():
        told["memory_exponent"] = exponent(told, "bytes")
        told["operations_exponent"] = exponent(told, "operations")
    return found


def ways(query: "Tensor", key: "Tensor", value: "Tensor") -> dict[str, Callable[[], Work]]:
    """For each arm what is done before, which is not measured unless it keeps memory, and what is."""
    from fathom.fundamentals.attention.key_value_cache import KeyValueCache
    from fathom.fundamentals.attention.linear_attention import linear_attention
    from fathom.fundamentals.attention.scaled_dot_product import attend, attention_weights
    from fathom.fundamentals.attention.sliding_window import sliding_window_attention

    def cached() -> Work:
        length = query.shape[2]
        cache = KeyValueCache(layers=1, batch=1, heads=HEADS, rows=length, width=WIDTH)
        cache.admit(length - 1)
        cache.extend(0, key[:, :, :-1], value[:, :, :-1])

        def step() -> "Tensor":
            mask = cache.admit(1)
            return attend(query[:, :, -1:], *cache.extend(0, key[:, :, -1:], value[:, :, -1:]), mask)

        return step

    return {
        "plain": lambda: lambda: attention_weights(query, key, causal=True) @ value,
        "fused": lambda: lambda: attend(query, key, value, causal=True),
        "window": lambda: lambda: sliding_window_attention(query, key, value, WINDOW),
        "linear": lambda: lambda: linear_attention(query, key, value, causal=True, block=WINDOW),
        "cached": cached,
        "recomputed": lambda: lambda: attend(query, key, value, causal=True)[:, :, -1:],
    }


def answers(query: "Tensor", key: "Tensor", value: "Tensor") -> dict[str, "Tensor"]:
    """What each arm should give, from scores of all pairs."""
    from fathom.fundamentals.attention.linear_attention import features
    from fathom.fundamentals.attention.scaled_dot_product import attention_weights
    from fathom.fundamentals.attention.sliding_window import sliding_window_mask

    whole = attention_weights(query, key, causal=True) @ value
    near = sliding_window_mask(query.shape[2], key.shape[2], WINDOW)
    last = whole[:, :, -1:]
    likeness = (features(query) @ features(key).mT).tril()
    return {
        "plain": whole, "fused": whole, "window": attention_weights(query, key, near) @ value,
        "linear": likeness @ value / likeness.sum(dim=-1, keepdim=True),
        "cached": last, "recomputed": last,
    }  # fmt: skip


def most_bytes(prepare: Callable[[], Work]) -> "tuple[Tensor, float]":
    """The answer, and the most bytes that tensors made on the way to it held at one time."""
    from torch import Tensor
    from torch.multiprocessing.reductions import StorageWeakRef
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    held: dict[Any, int] = {}
    most = 0

    class Watching(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            nonlocal most
            given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
            old = {x.untyped_storage().data_ptr() for x in given}
            made = func(*args, **(kwargs or {}))
            for x in tree_leaves(made):
                if isinstance(x, Tensor) and x.untyped_storage().data_ptr() not in old:  # no view
                    held[StorageWeakRef(x.untyped_storage())] = x.untyped_storage().nbytes()
            for gone in [reference for reference in held if reference.expired()]:
                del held[gone]
            most = max(most, sum(held.values()))
            return made

    with Watching():
        answer = prepare()()
    return answer, float(most)


def operations(work: Work) -> float:
    """Multiplications and additions of matrix products, those inside the fused kernel of a processor too."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

    def products(query: Any, key: Any, value: Any, *rest: Any, out_shape: Any = None, **more: Any) -> int:
        return sdpa_flop_count(query, key, value)

    fused: Any = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    with FlopCounterMode(display=False, custom_mapping={fused: products}) as counter:
        work()
    return float(counter.get_total_flops())


def seconds(work: Work) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def exponent(told: Mapping[str, float], what: str) -> float:
    """The slope of the line through the logarithms of ``what`` over those of the lengths, least squares."""
    x = [math.log(length) for length in LENGTHS]
    y = [math.log(told[f"{what}/{length}"]) for length in LENGTHS]
    middle, height = sum(x) / len(x), sum(y) / len(y)
    return sum((a - middle) * (b - height) for a, b in zip(x, y, strict=True)) / sum(
        (a - middle) ** 2 for a in x
    )


def picture(seed: int, found: dict[str, dict[str, float]]) -> "list[Block]":
    """Memory, operations and time over the length, all as powers of two: slopes are exponents."""
    import numpy as np

    from fathom.report.blocks import Table
    from fathom.report.charts import LineChart

    drawn: list[Block] = []
    for what, title in (
        ("bytes", "The most bytes held at one time"),
        ("operations", "Operations of matrix products"),
        ("milliseconds", "Milliseconds, on the machine of the record"),
    ):
        curves = {
            arm: np.array([(math.log2(n), math.log2(told[f"{what}/{n}"])) for n in LENGTHS])
            for arm, told in found.items()
        }
        drawn.append(
            LineChart(curves, x="length, as a power of two", y=f"{what}, as a power of two", caption=title)
        )
    rows = [(arm, told["memory_exponent"], told["operations_exponent"]) for arm, told in found.items()]
    columns = ("", "exponent of memory", "exponent of operations")
    return [*drawn, Table(columns, rows, "Slopes of straight lines through the first two charts.")]
