"""Documents whose numbers come from records: the marks of README and docs, filled.

    <!-- record: lenet.summary.test/accuracy.mean | .4f -->0.9912<!-- end -->
    <!-- table: systems -->...<!-- end -->
    <!-- file: examples/own_loop.py -->...<!-- end -->

A path walks through a record's JSON; what follows the bar is a Python format. ``benchmarks:NAME`` reads
``benchmarks/results/NAME.json`` instead.
"""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

from fathom import catalog, evidence
from fathom.verbs import goals

ROOT = catalog.ROOT.parents[1]
PEERS = ("torchvision", "timm")  # that have the convolutional families
BESIDE = ", beside "  # before the name of a library that is not the usual one
QUOTED = ("bleu", "mean_average_precision", "retrieval")  # before any other metric of the same record
MARK = re.compile(r"<!-- (record|table|file): ([^>]*?) -->(.*?)<!-- end -->", re.DOTALL)


def documents() -> list[Path]:
    """README and every page below ``docs``."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def write_documents() -> list[Path]:
    """Fill every mark of every document; return the files that changed."""
    changed: list[Path] = []
    for file in documents():
        before = file.read_text(encoding="utf-8")
        after = fill(before)
        if after != before:
            file.write_text(after, encoding="utf-8")
            changed.append(file)
    return changed


def fill(text: str) -> str:
    """``text`` with the content of every mark made anew."""

    def content(match: re.Match[str]) -> str:
        kind, what = match[1], match[2].strip()
        made = {"record": value, "table": table, "file": quoted}[kind](what)
        return f"<!-- {kind}: {what} -->{made}<!-- end -->"

    return MARK.sub(content, text)


def table(what: str) -> str:
    return f"\n{TABLES[what]()}\n"


def quoted(path: str) -> str:
    """A program of the checkout, whole, as a block of code."""
    return f"\n```python\n{(ROOT / path).read_text(encoding='utf-8')}```\n"


def value(what: str) -> str:
    """One number: ``recipe.path.to.it | format``; a dash where it was not measured yet."""
    path, _, form = (part.strip() for part in what.partition("|"))
    name, _, rest = path.partition(".")
    try:
        found: Any = result(name.removeprefix("benchmarks:")) if ":" in name else evidence.records()[name]
        for key in rest.split("."):
            found = found[int(key)] if isinstance(found, list) else found[key]
    except (KeyError, IndexError, FileNotFoundError):
        return "-"
    return format(found, form) if form else str(found)


def result(name: str) -> dict[str, Any]:
    file = ROOT / "benchmarks" / "results" / f"{name}.json"
    return json.loads(file.read_text(encoding="utf-8"))


def systems_table() -> str:
    """One line a system: file, lines, what it equals, what it reached, whether that is fresh."""
    kept = {r["system"]: r for r in reversed(list(evidence.records().values()))}
    rows = ["| system | file | lines | equal to | trained | record |", "|---|---|---|---|---|---|"]
    for entry in sorted(catalog.systems().values(), key=lambda e: e.module):
        record = kept.get(entry.name)
        file = entry.path.relative_to(ROOT).as_posix()
        trained, state = "-", "none yet"
        if record is not None:
            trained = "; ".join(f"{p['metric']} {p['mean']:.4g}" for p in record["expect"]) or headline(
                record
            )
            state = "fresh" if evidence.fresh(record) else "stale"
        elif about := measured_by(*(r for r in catalog.recipes().values() if r.system == entry.name)):
            state = f"none of its own; {about}"
        oracle = entry.card.oracle.replace("|", "/") or "-"
        rows.append(
            f"| {entry.card.title} | [{entry.path.name}]({file}) | {entry.lines} | {oracle}"
            f" | {trained} | {state} |"
        )
    return "\n".join(rows)


def headline(record: dict[str, Any]) -> str:
    name = quoted_metric(record)
    return f"{name} {record['summary'][name]['mean']:.4g}" if name else "-"


def quoted_metric(record: dict[str, Any]) -> str | None:
    """The metric of the test set that is quoted where a recipe promises none."""
    known = [name for name in record["summary"] if name.startswith("test/")]
    return next((f"test/{name}" for name in QUOTED if f"test/{name}" in known), next(iter(known), None))


def measured_by(*recipes: catalog.RecipeEntry) -> str:
    """The claims that run one of these recipes, as an arm or by opening it, each with its state."""
    names, opened = {r.name for r in recipes}, {f"{r.module}.{r.name}" for r in recipes}
    kept, told = evidence.claims(), []
    for name, entry in catalog.claims().items():
        if names & {arm[0] for arm in entry.claim.arms.values()} or opened & {*evidence.imports(entry.path)}:
            state = "not yet"
            if name in kept:
                state = "fresh" if evidence.fresh(kept[name]) else "stale"
            told.append(f"`{name}` ({state})")
    return f"measured by the claim{'s' * (len(told) > 1)} {', '.join(told)}" if told else ""


def unproven_table() -> str:
    """What is promised and has no fresh record, and how much of the roadmap is still to be written."""
    lines: list[str] = []
    kept = evidence.records()
    for name, recipe in catalog.recipes().items():
        record = kept.get(name)
        if record is None:
            about = measured_by(recipe)
            lines.append(f"- recipe `{name}`: no record{about and f' of its own; {about}'}")
        elif not evidence.fresh(record):
            lines.append(f"- recipe `{name}`: its record is older than the code")
        elif not record["met"]:
            missed = ", ".join(f"{p['metric']} {p['mean']:.4g}" for p in record["expect"] if not p["met"])
            lines.append(f"- recipe `{name}`: a promise is not met ({missed})")
    for entry in catalog.systems().values():
        lines += [
            f"- `{entry.name}` is exempt from the contract test {t}: {r}"
            for t, r in entry.card.exempt.items()
        ]
    said = evidence.claims()
    for name in catalog.claims():
        if name not in said:
            lines.append(f"- claim `{name}`: no record")
        elif not evidence.fresh(said[name]):
            lines.append(f"- claim `{name}`: its record is older than the code")
    have = {row for e in catalog.entries().values() for row in e.card.rows}
    total = len(catalog.inventory())
    lines.append(f"- {total - len(have)} of {total} rows of the roadmap have no file yet: `fathom catalog`")
    lines.append("- nothing here was measured on a GPU")
    return "\n".join(lines)


def promises_table() -> str:
    """Every promise of every record beside what was measured; of a recipe without one, what is quoted."""
    rows = [
        "| recipe | metric | promised | measured (mean) | seeds | seconds (median) | met |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, record in evidence.records().items():
        seconds = record["summary"]["seconds"]["median"]
        quoted = None if record["expect"] else quoted_metric(record)
        if quoted is not None:
            rows.append(
                f"| `{name}` | {quoted} | no promise | {record['summary'][quoted]['mean']:.4f}"
                f" | {len(record['runs'])} | {seconds:.0f} | - |"
            )
        for p in record["expect"]:
            bound = f">= {p['at_least']}" if p["at_least"] is not None else f"<= {p['at_most']}"
            word = "yes" if p["met"] else "no"
            rows.append(
                f"| `{name}` | {p['metric']} | {bound} | {p['mean']:.4f} | {len(p['values'])}"
                f" | {seconds:.0f} | {word} |"
            )
    return "\n".join(rows)


def benchmarks_table() -> str:
    """Every benchmark's own rows: what, ours, theirs, ratio with its interval, goal and whether it is met.

    A row that was measured on several processors, each with a file of its own, names them.
    """
    rows = ["| what | ours | the other | ratio (95 % interval) | goal | met |", "|" + "---|" * 6]
    files = sorted((ROOT / "benchmarks" / "results").glob("*.json"))
    records = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    times = Counter(row["what"] for kept in records for row in kept.get("rows", []))
    for kept in records:
        for row in kept.get("rows", []):
            told = [str(row[k]) for k in ("what", "ours", "other", "ratio", "goal")]
            if times[row["what"]] > 1:
                told[0] += f" ({row['about']['machine']['processor']})"
            rows.append(f"| {' | '.join([*told, goals.met(row, kept['details'])])} |")
    return "\n".join(rows)


def primitives_table() -> str:
    """Every primitive: its rows of the roadmap, what it equals, how far it is from its plain twin."""
    kept = evidence.primitives()
    rows = [
        "| primitive | rows | equal to | largest gap to its twin | tests | record |",
        "|---|---|---|---|---|---|",
    ]
    for entry in sorted(catalog.primitives().values(), key=lambda e: e.module):
        record = kept.get(entry.name)
        gap, tests, state = "-", "-", "none yet"
        if record is not None:
            twins = record["twins"].values()
            gap = f"{max(max(t['value'], t['gradient'] or 0.0) for t in twins):.1e}"
            tests = str(record["passed"])
            state = "fresh" if record["code"] == evidence.entry_hash(entry.name) else "stale"
        file = f"../{entry.path.relative_to(ROOT).as_posix()}"
        oracle = entry.card.oracle.replace("|", "/")
        rows.append(
            f"| [{entry.card.title}]({file}) | {', '.join(entry.card.rows)} | {oracle} | {gap} | {tests}"
            f" | {state} |"
        )
    return "\n".join(rows)


def claims_table() -> str:
    """Every claim: what a lesson says, what had to be seen, what was seen, and whether it held."""
    kept = evidence.claims()
    rows = [
        "| claim | rows | had to show | showed (95 % interval) | seeds | held | record |",
        "|" + "---|" * 7,
    ]
    for name, entry in catalog.claims().items():
        record = kept.get(name)
        seen = {found["text"]: found for found in record["expect"]} if record else {}
        for i, text in enumerate(entry.claim.expect):
            shown, word, state = "-", "-", "none yet"
            if record is not None:
                state = "fresh" if evidence.fresh(record) else "stale"
            if text in seen:  # a record of before may know other expectations
                found = seen[text]
                shown = found.get("why", "-")
                if found["mean"] is not None:
                    shown = f"{found['mean']:.4g} ({found['low']:.4g} to {found['high']:.4g})"
                word = "yes" if found["met"] else "**no**"
            first = f"{entry.claim.sentence} (`{name}`)" if i == 0 else ""
            about = ", ".join(entry.claim.rows) if i == 0 else ""
            rows.append(
                f"| {first} | {about} | `{text}` | {shown} | {entry.claim.seeds} | {word} | {state} |"
            )
    return "\n".join(rows)


def models_table() -> str:
    """Every published size: how large, how good as published, how equal, how fast beside others."""
    from fathom.verbs.published_sizes import accuracies, sizes

    models = result("models")["details"]["models"]
    speeds = {row["what"].lower().replace("-", ""): row["ratio"] for row in result("architectures")["rows"]}
    rows = [
        "| size | file | parameters | multiply-adds (picture) | top-1 / top-5 of weights, as published"
        " | equal to | logits apart | gradients apart | training step | inference | ONNX inference |",
        "|" + "---|" * 11,
    ]
    for size, facts in models.items():
        path = catalog.systems()[facts["system"]].path.relative_to(ROOT).as_posix()
        same = facts["equal_to"]
        named = [(library, other["name"]) for library, other in same.items()]
        apart = {kind: max(other[kind] for other in same.values()) for kind in ("logits", "gradients")}
        told = [
            next((r for what, r in speeds.items() if what.startswith(f"{size.replace('_', '')}:")
                  and f"milliseconds, {kind}" in what and BESIDE not in what), "-")
            for kind in ("training step", "inference", "onnx inference")
        ]  # fmt: skip
        rows.append(
            f"| `{size}` | [{facts['system']}.py](../{path}) | {facts['parameters']:,}"
            f" | {facts['multiply_adds'] / 1e9:.2f} G ({facts['side']})"
            f" | {accuracies(sizes()[size])} | {', '.join(f'{library} `{name}`' for library, name in named)}"
            f" | {apart['logits']:.1e} | {apart['gradients']:.1e} | {' | '.join(told)} |"
        )
    return "\n".join(rows)


def families_table() -> str:
    """Convolutional networks twice: with the same switches; ours as they come, theirs as advised."""
    defaults = ratios("architecture_defaults")
    rows = [
        "| what | same switches as torchvision's | same switches as timm's"
        " | our defaults, torchvision in its better layout | our defaults, timm in its better layout |",
        "|" + "---|" * 5,
    ]
    same = ratios("architectures")
    for what, ratio in same.items():
        if ": milliseconds, " in what and "ONNX" not in what and BESIDE not in what:
            told = [ratio, same.get(f"{what}{BESIDE}timm", "-")]
            told += [defaults.get(f"{what}, our defaults, {peer} at its best", "-") for peer in PEERS]
            rows.append(f"| {what.replace(' milliseconds,', '')} | {' | '.join(told)} |")
    return "\n".join(rows)


def texts_table() -> str:
    """Models of text twice: with the same switches; ours as they come, transformers at its best."""
    defaults = ratios("language_defaults")
    rows = [
        "| what | same switches as transformers' | our defaults, transformers at its best |",
        "|" + "---|" * 3,
    ]
    for what, ratio in ratios("language_models").items():
        second = defaults.get(f"{what}, our defaults")
        if second:
            rows.append(f"| {what.replace(' milliseconds,', '')} | {ratio} | {second} |")
    return "\n".join(rows)


def ratios(name: str) -> dict[str, str]:
    """What the rows of a benchmark are called, and their ratios, marked where the goal was missed.

    None of one that was not measured yet.
    """
    try:
        kept = result(name)
    except FileNotFoundError:
        return {}
    return {row["what"]: goals.mark(row, kept["details"]) for row in kept["rows"]}


def photographs_table() -> str:
    """What recipes on CIFAR-10 reach, the best first."""
    rows = [
        "| recipe | system | test accuracy (lowest to highest seed; of one seed its 95 % interval) | seeds"
        " | parameters | minutes of training | record |",
        "|" + "---|" * 7,
    ]
    kept = [r for r in evidence.records().values() if r["data"].get("source") == "cifar10"]
    for record in sorted(kept, key=lambda r: -r["summary"]["test/accuracy"]["mean"]):
        accuracy = record["summary"]["test/accuracy"]
        low, high = accuracy["low"], accuracy["high"]
        if len(record["runs"]) == 1:
            low, high = record["runs"][0]["intervals"]["test/accuracy"]
        state = "fresh" if evidence.fresh(record) else "stale"
        threads = "1 thread" if record["threads"] == 1 else f"{record['threads']} threads"
        rows.append(
            f"| `{record['recipe']}` | {record['system']} | {accuracy['mean']:.4f} ({low:.4f} to {high:.4f})"
            f" | {len(record['runs'])} | {record['parameters']:,}"
            f" | {record['summary']['seconds']['median'] / 60:.1f} ({threads}) | {state} |"
        )
    return "\n".join(rows)


TABLES = {
    "models": models_table,
    "families": families_table,
    "texts": texts_table,
    "photographs": photographs_table,
    "claims": claims_table,
    "primitives": primitives_table,
    "systems": systems_table,
    "unproven": unproven_table,
    "promises": promises_table,
    "benchmarks": benchmarks_table,
}


def check(file: Path) -> list[str]:
    """Numbers with a unit of measurement that stand outside marks and code."""
    text = file.read_text(encoding="utf-8")
    bare = MARK.sub("", re.sub(r"`[^`\n]*`", "", re.sub(r"```.*?```", "", text, flags=re.DOTALL)))
    unit = r"(%|s\b|ms\b|MB\b|x\b|accuracy\b|loss\b|BLEU\b|F1\b)"
    places = [m[0] for m in re.finditer(rf"(?<![\w.])\d+(?:\.\d+)?\s?{unit}", bare)]
    return [f"{file.name}: {place!r} stands outside a record mark" for place in places]
