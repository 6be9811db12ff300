"""The end of a run: score it, write the artifact, export it, make the report.

``conclude`` writes the result and is done once; ``finish`` makes whatever is missing, so that a run
that was killed between training and report is completed by resuming it.
"""

import sys
from typing import TYPE_CHECKING, Any

from fathom import catalog
from fathom.errors import InputError, MissingExtra
from fathom.task import Boundary, Evaluation, task_name
from fathom.training.run import now

if TYPE_CHECKING:
    from fathom.data.split import Data
    from fathom.verbs.session import Session

LEVEL = 0.95
SHARES = ("mean_average_precision",)  # whose items are slopes: a mean of them drawn anew may leave 0 to 1


def conclude(session: "Session", learner: Any, data: "Data", result: dict[str, Any]) -> None:
    """Score the final model on what was held out (the test split once), and write artifact and result."""
    from fathom.deployment import artifact

    task, run = session.experiment.task, session.run
    network = Boundary(task, learner.model)
    metrics: dict[str, float] = {}
    intervals: dict[str, list[float]] = {}
    for name, split in (("valid", data.valid), ("test", data.test)):
        if split is not None:
            evaluation = task.evaluate(network, split)
            session.extra[f"evaluation/{name}"] = evaluation
            metrics |= {f"{name}/{k}": v for k, v in evaluation.metrics.items()}
            intervals |= {f"{name}/{k}": v for k, v in bootstrap(evaluation).items()}
    session.extra["data"] = data
    system = catalogued(learner.model)
    artifact.write(
        run.model, task=task, model=learner.model, system=system, digest=result["digest"], name=session.name,
        facts={"metrics": metrics, "run": run.folder.name},
    )  # fmt: skip
    run.update(
        result={"metrics": metrics, "intervals": intervals, "memory": peak_memory(), **result},
        system=system, task=task_name(task), trained=now(),
    )  # fmt: skip
    session.extra["model"] = learner.model


def peak_memory() -> int | None:
    """The most memory, in bytes, that this process held; None where the system does not tell (Windows)."""
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def bootstrap(evaluation: Evaluation) -> dict[str, list[float]]:
    """A 95 % interval for each metric that is a mean over items."""
    from fathom.report.intervals import bootstrap_mean

    found: dict[str, list[float]] = {}
    for name, values in evaluation.items.items():
        if name in evaluation.metrics and len(values) > 1:
            interval = bootstrap_mean(values, level=LEVEL)
            found[name] = [float(interval.low), float(interval.high)]
            if name in SHARES:
                found[name] = [min(1.0, max(0.0, end)) for end in found[name]]
    for name, squares in evaluation.roots.items():
        interval = bootstrap_mean(evaluation.items[squares], level=LEVEL)
        found[name] = [max(0.0, float(interval.low)) ** 0.5, float(interval.high) ** 0.5]
    return found


def catalogued(model: Any) -> str | None:
    """The system of the catalogue that ``model`` is, by the file of its class."""
    module = type(model).__module__
    return next(
        (e.name for e in catalog.systems().values() if e.module == module and hasattr(model, "cfg")), None
    )


def finish(session: "Session") -> None:
    """Export and report, where they are missing, and mark the run as finished."""
    from fathom.verbs.report import write_report

    run = session.run
    notes: list[str] = []
    if session.export and not (run.model / "equality.json").is_file():
        try:
            export(session)
        except MissingExtra as error:
            notes.append(f"model.onnx was not made: {error}")
            session.say(notes[-1])
    if not run.report.is_file():
        write_report(session, notes)
    if run.record["state"] != "finished":
        run.update(state="finished", finished=now(), error=None)


def export(session: "Session") -> None:
    """The ONNX file of the run's artifact."""
    from fathom.deployment.export import export as to_onnx

    folder = session.run.model
    equality = to_onnx(folder, session.experiment.task, trained_model(session))
    session.say(f"model.onnx equals the trained model within {equality['largest']:.1e}")


def trained_model(session: "Session") -> Any:
    """The final model: of this sitting, else from the artifact; a module of one's own was given again."""
    from safetensors.torch import load

    from fathom.deployment import artifact

    if "model" in session.extra:
        return session.extra["model"]
    folder = session.run.model
    description = artifact.describe(folder)
    if description["system"]:
        return artifact.load_model(folder, description)
    model = session.experiment.build()
    if (how := getattr(session.experiment.learning, "adaptation", None)) is not None:
        how.apply(model)
    try:
        model.load_state_dict(load((folder / "weights.safetensors").read_bytes()))
    except RuntimeError as error:
        raise InputError(f"this module is not the one that {session.run.folder} trained: {error}") from error
    return model.eval()
