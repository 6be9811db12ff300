"""House prices in Ames, five-fold: the network beside simpler methods on the same folds.

All methods see the same encoded features, fitted on each fold's training rows alone, and learn the
logarithm of the price. Intervals are 95 % bootstrap intervals over houses, paired where two are compared.

    python benchmarks/house_prices.py --seeds 1 --threads 2 --out house_prices.json
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: one line for each method, the best first."""
    lines = [
        "| method | RMSE, dollars | 95 % interval | MAE | network's RMSE / its | 95 % interval | p (MAE) |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        low, high = row["rmse_interval"]
        less, more = row["ratio_interval"]
        chance = f"{row['p']:.3f}" if "p" in row else "-"
        lines.append(
            f"| {row['method']} | {row['rmse']:,.0f} | {low:,.0f} to {high:,.0f} | {row['mae']:,.0f} | "
            f"{row['ratio']:.3f} | {less:.3f} to {more:.3f} | {chance} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1, help="each draws its own folds and weights")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="write the numbers as JSON")
    args = parser.parse_args()

    import torch

    from fathom.recipes.house_prices import check_house_prices, rows_of

    torch.set_num_threads(args.threads)
    results = []
    for seed in range(args.seeds):
        began = time.process_time()
        found = check_house_prices(seed)
        found["processor seconds"] = time.process_time() - began
        results.append({"seed": seed, **found})
        print(
            f"seed {seed}: {found['processor seconds']:.0f} CPU seconds\n{table(rows_of(found))}",
            flush=True,
        )
    if args.out:
        args.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
