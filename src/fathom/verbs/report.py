"""The report of a run: everything a person wants to see of it, on one page."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fathom import catalog
from fathom.report.intervals import Interval
from fathom.task import Boundary, Evaluation

if TYPE_CHECKING:
    from fathom.verbs.session import Session

NAMED = 5  # of what was skipped; run.json has all
LISTED = 30  # of the entries of a setting, a vocabulary say


def write_report(session: "Session", notes: list[str] | None = None) -> Path:
    """``report.html`` of a trained run: scores from run.json, details computed anew if need be."""
    from fathom.report.page import write
    from fathom.report.run_report import run_report

    run, task = session.run, session.experiment.task
    record = run.record
    data = session.extra.get("data") or session.experiment.data.load()
    split_name = "test" if data.test is not None else "valid"
    split = getattr(data, split_name)
    sections: list[Any] = []
    headline: list[tuple[str, Any, str]] = []
    if split is not None:
        evaluation = session.extra.get(f"evaluation/{split_name}") or evaluate_again(session, split)
        sections = [*baseline_section(session, data), *task.sections(evaluation, split)]
        sections += where_it_looked(session, evaluation, split)
        sections += where_it_looks(session, split)
        sections += dead_units(session, split if data.valid is None else data.valid)
        headline = quoted(record["result"], f"{split_name}/{evaluation.headline}")
    card = card_of(record)
    saw = (record.get("extra") or {}).get("saw", [])  # may hold already what was left out
    page = run_report(
        title=title_of(record),
        subtitle=card.get("idea", ""),
        command=repeat(record["origin"]),
        metrics_jsonl=run.rows,
        evaluation_sections=sections,
        headline=headline,
        cost=cost(record),
        recipe={name: shortened(value) for name, value in record["settings"].items()},
        card=card,
        notes=list(dict.fromkeys([*saw, *left_out(record["data"]), *(notes or [])])),
    )
    write(run.report, page)
    return run.report


def shortened(value: Any) -> Any:
    """A setting as the page shows it: of a long list its beginning, and how many more run.json has."""
    if not isinstance(value, list) or len(value) <= LISTED:
        return value
    return f"{str(value[:LISTED])[:-1]}, ... and {len(value) - LISTED:,} more, which run.json lists]"


def left_out(facts: Mapping[str, Any]) -> list[str]:
    """What could not be read and was skipped (``--skip-bad``): how much of it, the first few by name."""
    skipped = facts.get("skipped") or facts.get("skipped_files")
    if not skipped:
        return []
    if isinstance(skipped, int):
        return [f"{skipped} left out, since they could not be read"]
    named = "; ".join(skipped[:NAMED]) + (" ..." if len(skipped) > NAMED else "")
    return [f"{len(skipped)} left out, since they could not be read: {named}"]


def evaluate_again(session: "Session", split: Any) -> Evaluation:
    """Details for the sections, when a run is finished in a second sitting."""
    from fathom.verbs.finish import trained_model

    task = session.experiment.task
    return task.evaluate(Boundary(task, trained_model(session)), split)


def where_it_looked(session: "Session", evaluation: Evaluation, split: Any) -> list[Any]:
    """The places that spoke for a class on pictures of ``split``; empty where it holds no pictures."""
    from fathom.report.class_maps import class_map_sections
    from fathom.verbs.finish import trained_model

    return class_map_sections(session.experiment.task, trained_model(session), evaluation, split)


def where_it_looks(session: "Session", split: Any) -> list[Any]:
    """The attention maps of the model on texts of ``split``; empty where it has none, or reads no texts."""
    from fathom.report.head_maps import head_map_sections
    from fathom.verbs.finish import trained_model

    return head_map_sections(session.experiment.task, trained_model(session), split)


def dead_units(session: "Session", split: Any) -> list[Any]:
    """What the ReLUs of the model keep shut on the first rows of ``split``; empty where it has none."""
    from fathom.report.dead_units import dead_by_layer, dead_unit_sections
    from fathom.verbs.finish import trained_model

    return dead_unit_sections(*dead_by_layer(session.experiment.task, trained_model(session), split))


def repeat(origin: dict[str, Any]) -> str:
    """The command that makes this run again; empty where live objects were given."""
    words = [w for name, value in origin["settings"] for w in ("--set", f"{name}={value}")]
    if origin["kind"] == "fit" and not origin["own_model"]:
        words += [w for n in ("target", "text") if origin[n] for w in (f"--{n}", origin[n])]
        words += ["--model", origin["system"]] if origin.get("system") else []
        begun = (("--from", origin.get("from")), ("--as", origin.get("from_as")))
        words += [w for option, value in begun if value for w in (option, value)]
        words += ["--skip-bad"] * origin["skip_bad"] + (
            ["--seed", str(origin["seed"])] if origin["seed"] else []
        )
        return shlex.join(["fathom", "fit", origin["path"], *words])
    return shlex.join(["fathom", "train", origin["name"], *words]) if "name" in origin else ""


def quoted(result: dict[str, Any], name: str) -> list[tuple[str, Any, str]]:
    """The headline metric with its interval first, then the other scores of the same split."""
    split = name.partition("/")[0]
    names = [name, *(n for n in result["metrics"] if n.startswith(f"{split}/") and n != name)]
    cards: list[tuple[str, Any, str]] = []
    for metric in names[:4]:
        shown: Any = result["metrics"][metric]
        if metric in result["intervals"]:
            shown = Interval(shown, *result["intervals"][metric])
        cards.append((metric, shown, ""))
    return cards


def baseline_section(session: "Session", data: Any) -> list[Any]:
    """Simple methods on the validation split, beside the model: measured by ``fit``, or now."""
    from fathom.verbs import beside

    run, task = session.run, session.experiment.task
    metrics: dict[str, dict[str, float]] = (run.record.get("extra") or {}).get("baselines", {})
    if not metrics and getattr(task, "beside_simple_methods", False):
        found = beside.measure(task, data)
        beside.keep(found, run.folder)
        metrics = beside.metrics_of(found)
    if not metrics or data.valid is None:
        return []
    ours = session.extra.get("evaluation/valid") or evaluate_again(session, data.valid)
    return beside.section(metrics, beside.kept(run.folder), ours)


def parameters(record: dict[str, Any]) -> str:
    """How many numbers the model has, and how many of them learned where some stood still."""
    total, learned = record["parameters"], record.get("learned")
    if not learned or learned >= total:
        return f"{total:,}"
    return f"{total:,}, of which {learned:,} learned ({learned / total:.2%})"


def cost(record: dict[str, Any]) -> dict[str, str]:
    """Time, memory, size and machine, in words."""
    result = record["result"]
    return {
        "training": f"{result['seconds']:.1f} s",
        "steps": str(record["steps"]),
        "parameters": parameters(record),
        "peak memory": f"{result['memory'] / 2**20:,.0f} MiB" if result["memory"] else "not known",
        "machine": f"{record['machine']['processor']}, {record['threads']} threads, {record['device']}",
        "seed": str(record["seed"]),
        "digest": result["digest"][:16],
        "resumed": f"{len(record.get('resumed', []))} times",
    }


def card_of(record: dict[str, Any]) -> dict[str, Any]:
    """The card of the system, for the foot of the page; empty for a module of one's own."""
    if not record.get("system"):
        return {}
    card = catalog.system(record["system"]).card
    return {
        "system": card.title, "year": str(card.year), "paper": card.paper, "idea": card.summary,
        "equal to": card.oracle, "differs": list(card.differs),
    }  # fmt: skip


def title_of(record: dict[str, Any]) -> str:
    if record.get("system"):
        return f"{catalog.system(record['system']).card.title}: {record['name']}"
    return record["name"]
