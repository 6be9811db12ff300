"""Paired timing: A B A B ..., the ratio pair by pair, its median and an interval of the median.

Machines drift; two runs side by side in time drift together, so ratios of neighbours are compared, never
times of different minutes.
"""

import argparse
import json
import os
import random
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def paired(ours: Callable[[], float], other: Callable[[], float], pairs: int) -> dict[str, Any]:
    """Run both in turn, order alternating; each returns seconds or a rate. The ratio is ours / other."""
    a: list[float] = []
    b: list[float] = []
    for i in range(pairs):
        if i % 2:
            b.append(other())
            a.append(ours())
        else:
            a.append(ours())
            b.append(other())
    return compared(a, b)


def compared(a: list[float], b: list[float]) -> dict[str, Any]:
    """What came of pairs: ours ``a``, the other's ``b``."""
    ratios = [x / y for x, y in zip(a, b, strict=True)]
    low, high = median_interval(ratios)
    return {
        "ours": a, "other": b, "ratios": ratios, "ratio": statistics.median(ratios), "low": low, "high": high,
        "ours_median": statistics.median(a), "other_median": statistics.median(b),
    }  # fmt: skip


def median_interval(values: list[float], level: float = 0.95, draws: int = 5000) -> tuple[float, float]:
    """A bootstrap interval of the median."""
    dice = random.Random(0)
    drawn = sorted(statistics.median(dice.choices(values, k=len(values))) for _ in range(draws))
    cut = int((1 - level) / 2 * draws)
    return drawn[cut], drawn[-1 - cut]


def spread(values: list[float], form: str = ".1f") -> str:
    """Median, lowest and highest in words."""
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def shown(ratio: dict[str, Any]) -> str:
    return f"{ratio['ratio']:.3f} ({ratio['low']:.3f} to {ratio['high']:.3f})"


def arguments(text: str | None, parts: Sequence[str] = ()) -> argparse.Namespace:
    """What the caller asks for; of ``parts`` it may name those to measure, all of them otherwise."""
    return options(text, parts).parse_args()


def options(text: str | None, parts: Sequence[str] = ()) -> argparse.ArgumentParser:
    """The options that ``arguments`` reads, for a program that has more of them."""
    parser = argparse.ArgumentParser(description=text)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", help="the result as JSON (default: benchmarks/results/<name>.json)")
    if parts:
        parser.add_argument("--only", nargs="+", choices=parts, default=list(parts))
    return parser


def keep(name: str, rows: list[dict[str, str]], details: dict[str, Any], out: str | None = None) -> None:
    """Print the rows, and write them with everything behind them.

    Rows of an earlier call stay where this one measured only some of them; each has its own date and load.
    """
    from fathom.training.run import machine, now, versions

    file = Path(out) if out else RESULTS / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    about = {"machine": machine(), "versions": versions(), "measured": now(), "load": os.getloadavg()[0]}
    earlier = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {"rows": [], "details": {}}
    kept = {row["what"]: row for row in earlier["rows"]}
    for row in rows:
        print(" | ".join(row.values()), flush=True)
        kept[row["what"]] = row | {"about": about}
    record = {"rows": list(kept.values()), "details": earlier["details"] | details}
    file.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
