"""Runs side by side: what differs between them, what each reached, and whether the difference is real."""

from collections.abc import Mapping, Sequence
from typing import Any

from fathom.errors import InputError
from fathom.report.blocks import BarChart, Facts, LineChart, Prose, Table, Verdict
from fathom.report.intervals import Interval
from fathom.report.markup import Block, Number, is_number, number
from fathom.report.page import Section, page
from fathom.report.run_report import readable, spreads

CHARTS = 6  # metrics drawn as bars; the table holds all of them
WIDEST = 8  # runs that stand side by side
VERDICTS = 4  # tests told in words; the table holds all of them
REAL = 0.05  # p-values below are called a difference


def compare_report(
    *,
    runs: Sequence[Mapping[str, Any]],
    differences: Mapping[str, tuple] | None,
    tests: Sequence[Mapping[str, Any]],
    command: str = "",
    title: str = "",
    pairs: str = "items",
    leading: Sequence[Section] = (),
    language: str = "en",
) -> str:
    """The page that compares runs.

    Each run maps ``name``, ``metrics`` (name -> number or Interval), ``curves`` (name -> points (x, y)),
    ``bands`` (name -> low and high of each point), ``cost`` and ``recipe``; all but the name may be missing.
    ``differences`` maps a setting to its value in each run, in their order; None where what differs is code,
    not settings. Each test maps ``metric``, ``a``, ``b`` (names of runs) and the fields of a PairedTest,
    whose difference is a - b over ``pairs``. The sections ``leading`` come before all others. Raises
    InputError for fewer than two runs, names that repeat, or a difference without one value per run.
    """
    names = [str(run["name"]) for run in runs]
    _check(names, differences or {})
    sections = [*leading]
    if differences is not None:
        sections.append(Section("What differs", _differences(names, differences)))
    sections.append(Section("Results", [*_results(names, runs), *_bars(names, runs)]))
    if tests:
        sections.append(Section("Is the difference real?", _tests(tests, pairs)))
    charts = _curves(names, runs)
    if charts:
        sections.append(Section("Learning curves", charts))
    costs = _side_by_side(names, [run.get("cost") or {} for run in runs], "Cost")
    if costs:
        sections.append(Section("Cost", [costs]))
    recipes: list[Block] = []
    for name, run in zip(names, runs, strict=True):
        recipes += [Facts({name: run["recipe"]})] if run.get("recipe") else []
    if recipes:
        sections.append(Section("Recipes", recipes))
    title = title or f"{' and '.join(names) if len(names) == 2 else f'{len(names)} runs'} compared"
    return page(title, _counted(differences), sections, language=language, command=command)


def _counted(differences: Mapping[str, tuple] | None) -> str:
    if differences is None:
        return ""
    return "1 setting differs." if len(differences) == 1 else f"{number(len(differences))} settings differ."


def _check(names: Sequence[str], differences: Mapping[str, tuple]) -> None:
    if len(names) < 2 or len(set(names)) < len(names):
        raise InputError(
            f"a comparison was given the runs {list(names)}; give two or more, each its own name"
        )
    for setting, values in differences.items():
        if len(values) != len(names):
            raise InputError(
                f"the difference {setting!r} has {len(values)} values for {len(names)} runs; give one per run"
            )


def _differences(names: Sequence[str], differences: Mapping[str, tuple]) -> list[Block]:
    if not differences:
        return [Prose("The recipes are equal in every setting.")]
    return [Table(("setting", *names), [(setting, *values) for setting, values in differences.items()])]


def _results(names: Sequence[str], runs: Sequence[Mapping[str, Any]]) -> list[Block]:
    table = _side_by_side(names, [run.get("metrics") or {} for run in runs], "Metrics")
    return [table] if table else [Prose("No metrics were recorded.")]


def _bars(names: Sequence[str], runs: Sequence[Mapping[str, Any]]) -> list[Block]:
    charts: list[Block] = []
    for metric in _keys([run.get("metrics") or {} for run in runs])[:CHARTS]:
        held: dict[str, Number | Interval] = {}
        for name, run in zip(names, runs, strict=True):
            value: Any = (run.get("metrics") or {}).get(metric)
            if isinstance(value, Interval) or is_number(value):
                held[name] = value
        if len(held) < 2:
            continue
        ends = [(value.low, value.high) for value in held.values() if isinstance(value, Interval)]
        values = [value.estimate if isinstance(value, Interval) else value for value in held.values()]
        whiskers = ends if len(ends) == len(held) else None
        charts.append(BarChart(list(held), values, whiskers, readable(metric)))
    return charts


def _tests(tests: Sequence[Mapping[str, Any]], pairs: str) -> list[Block]:
    blocks: list[Block] = []
    rows = []
    for test in tests:
        real = test["p_value"] < REAL
        ends = f"[{number(test['low'])}, {number(test['high'])}]"
        chance = "p < 0.001" if test["p_value"] < 0.001 else f"p = {test['p_value']:.2g}"
        gap = f"{test['a']} minus {test['b']} is {number(test['difference'])} {ends}"
        text = f"{readable(test['metric'])}: {gap}, {chance}. " + (
            "The difference is larger than chance explains."
            if real
            else "These data cannot tell the two apart."
        )
        blocks.append(Verdict(text))
        rows.append((test["metric"], test["a"], test["b"], test["difference"], ends, test["p_value"],
                     test["n"], test["method"]))  # fmt: skip
    columns = ("metric", "a", "b", "a - b", "interval", "p", pairs, "method")
    return [*blocks[:VERDICTS], Table(columns, rows, f"Paired tests on the same {pairs}")]


def _curves(names: Sequence[str], runs: Sequence[Mapping[str, Any]]) -> list[Block]:
    charts: list[Block] = []
    for metric in _keys([run.get("curves") or {} for run in runs]):
        series = {
            name: run["curves"][metric]
            for name, run in zip(names, runs, strict=True)
            if metric in (run.get("curves") or {})
        }
        bands = {run["name"]: run["bands"][metric] for run in runs if metric in (run.get("bands") or {})}
        log = spreads(metric, series)
        charts.append(LineChart(series, caption=readable(metric), log_y=log, bands=bands, smooth=not bands))
    return charts


def _side_by_side(names: Sequence[str], mappings: Sequence[Mapping[str, Any]], caption: str) -> Table | None:
    """A column for each run; beyond ``WIDEST`` of them a row for each, which a screen can hold."""
    if len(names) > WIDEST:
        keys = _keys(mappings)
        across = [
            (name, *(held.get(key) for key in keys)) for name, held in zip(names, mappings, strict=True)
        ]
        align = ("left", *("right" for _ in keys))
        return Table(("name", *map(readable, keys)), across, caption, align) if keys else None
    rows = [(readable(key), *(mapping.get(key) for mapping in mappings)) for key in _keys(mappings)]
    align = ("left", *("right" for _ in names))
    return Table(("name", *names), rows, caption, align) if rows else None


def _keys(mappings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Every key, in the order in which the runs first name it."""
    return list(dict.fromkeys(key for mapping in mappings for key in mapping))
