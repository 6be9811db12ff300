"""The report of one run: its curves, what it reached, what it cost, how it was made. Data in, HTML out."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from fathom.report.blocks import Code, Facts, LineChart, Prose
from fathom.report.markup import Block, Number, is_number
from fathom.report.page import Section, page

SPLITS = ("train", "valid", "test")
TIMES = frozenset({"step", "epoch", "time", "seconds"})  # where a row stands, not what it measured
SPREADING = ("loss", "norm", "perplexity")  # quantities that may fall by orders of magnitude
Curves = dict[str, dict[str, list[tuple[Number, Number]]]]


def curves(rows: Sequence[Mapping[str, Any]]) -> Curves:
    """Rows of metrics.jsonl as metric -> split -> points (step, value).

    ``valid/accuracy`` is the metric ``accuracy`` of the split ``valid``; a name without one of the three
    splits before the slash belongs to ``train``. Values that are not numbers are left out.
    """
    found: Curves = {}
    for row in rows:
        for key, value in row.items():
            if key in TIMES or "step" not in row or not is_number(value):
                continue
            split, slash, name = key.partition("/")
            if not slash or split not in SPLITS:
                split, name = "train", key
            found.setdefault(name, {}).setdefault(split, []).append((row["step"], value))
    return {name: found[name] for name in sorted(found, key=lambda name: _rank(name, found[name]))}


def _rank(name: str, splits: Mapping[str, Any]) -> tuple[int, str]:
    """The loss first, then what was measured on held-out data, then the rest, then the optimizer's."""
    if name == "loss":
        return 0, name
    if name in ("learning_rate", "grad_norm"):
        return 3, name
    return (1 if len(splits) > 1 or "train" not in splits else 2), name


def curve_charts(found: Curves) -> list[Block]:
    """One chart per metric with every split in it; metrics recorded only once become facts."""
    charts: list[Block] = []
    once: dict[str, Number] = {}
    for name, splits in found.items():
        series = {split: splits[split] for split in SPLITS if split in splits}
        if max(map(len, series.values())) < 2:
            once |= {f"{readable(name)} ({split})": points[-1][1] for split, points in series.items()}
            continue
        caption = readable(name)
        charts.append(
            LineChart(series, caption=caption, log_y=spreads(name, series), smooth=name != "learning_rate")
        )
    return [*charts, Facts(once)] if once else charts


def spreads(name: str, series: Mapping[str, Sequence[Sequence[Number]]]) -> bool:
    """Whether a logarithmic axis serves: a loss, norm or perplexity over more than two decades."""
    values = [float(value) for points in series.values() for _, value in points]
    finite = [value for value in values if math.isfinite(value)]
    fits = any(word in name for word in SPREADING) and min(finite, default=0.0) > 0
    return fits and max(finite) > 100 * min(finite)


def readable(name: str) -> str:
    """A metric's or a cost's name as a heading."""
    words = name.replace("_", " ").replace("/", " ").strip()
    return words[:1].upper() + words[1:]


def run_report(
    *,
    title: str,
    metrics_jsonl: Sequence[Mapping[str, Any]],
    evaluation_sections: Sequence[Section],
    headline: Sequence[tuple[str, object, str]],
    cost: Mapping[str, Any],
    recipe: Mapping[str, Any],
    card: Mapping[str, Any],
    notes: Sequence[str],
    subtitle: str = "",
    command: str = "",
    language: str = "en",
) -> str:
    """The page of one run, complete in one file.

    ``metrics_jsonl`` holds rows such as {"step": 50, "valid/accuracy": 0.97}; ``evaluation_sections`` are
    the task's own; ``headline`` is (name, value, note), where a value may be an Interval; ``cost``,
    ``recipe`` (nested) and ``card`` (fields of a Card) are mappings; ``subtitle`` is the
    card's summary unless given; ``command`` repeats the run.
    """
    sections = []
    if notes:
        sections.append(Section("Notes", [Prose("\n".join(f"- {' '.join(note.split())}" for note in notes))]))
    charts = curve_charts(curves(metrics_jsonl))
    if charts:
        sections.append(Section("Learning curves", charts))
    sections += [*evaluation_sections, *_origins(cost, recipe, card, command)]
    subtitle = subtitle or str(card.get("summary", ""))
    return page(title, subtitle, sections, headline=headline, language=language, command=command)


def _origins(
    cost: Mapping[str, Any], recipe: Mapping[str, Any], card: Mapping[str, Any], command: str
) -> list[Section]:
    """Where the numbers come from: what the run cost, how it was set, and what the system is."""
    sections = []
    if cost:
        sections.append(Section("Cost", [Facts({readable(name): value for name, value in cost.items()})]))
    if recipe:
        blocks: list[Block] = [Facts(recipe)]
        blocks += [Code(command, "Repeat this run")] if command else []
        sections.append(Section("Recipe", blocks, "Every setting of this run, including the defaults."))
    if card:
        sections.append(Section("Card", card_blocks(card)))
    return sections


def card_blocks(card: Mapping[str, Any]) -> list[Block]:
    """A system's card: its facts, and its departures from the paper as a list."""
    known = {readable(name): str(value) if name == "year" else value  # a year has no thousands
             for name, value in card.items() if value and name != "differs"}  # fmt: skip
    blocks: list[Block] = [Facts(known)] if known else []
    differs = card.get("differs") or ()
    if differs:
        listed = "\n".join(f"- {' '.join(str(item).split())}" for item in differs)
        blocks.append(Prose(f"Differs from the paper:\n\n{listed}"))
    return blocks
