"""Embed: what a trained model makes of its held-out rows, drawn in the plane."""

import csv
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fathom.errors import InputError, unknown
from fathom.training.run import Run
from fathom.verbs.splits import data_of, finished, labelled

if TYPE_CHECKING:
    from torch import nn

    from fathom.data.split import Split
    from fathom.deployment.artifact import Artifact

METHODS = ("pca", "tsne")
LIMIT = 1000  # rows: t-SNE looks at every pair of them, a thousand times
BATCH = 250


def embed(
    run: str | Path | Run,
    *,
    method: str = "pca",
    layer: str | None = None,
    limit: int = LIMIT,
    perplexity: float = 30.0,
    data: str | Path | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    skip_bad: bool = False,
) -> dict[str, Any]:
    """Features of up to ``limit`` validation rows, reduced to two numbers each, as a table and a picture.

    The features are what goes into ``layer``, a name of ``model.named_modules()``; by default the last linear
    layer. ``method`` is "pca" or "tsne" (with ``perplexity``). ``seed`` chooses the rows if there are more;
    ``data`` names labelled data to take them from instead, of which ``skip_bad`` leaves out what cannot be
    read.

    Writes ``embedding-<method>.csv`` (row, label, x, y) and the page beside it, by default in the run folder,
    else at ``out``, which ends in .html. Returns their paths with ``rows``, ``features``, ``layer``,
    ``neighbours`` (the share of points whose nearest one has the same label, in the plane and before) and
    ``explained`` (the share of variance, PCA) or ``divergence`` (KL in nats, t-SNE). Raises ``InputError``
    for what cannot be drawn.
    """
    if method not in METHODS:
        raise InputError(f"--method {method}: it must be pca or tsne")
    if limit < 3:
        raise InputError(f"--limit {limit}: a picture needs 3 rows or more")
    if out is not None and Path(out).suffix != ".html":
        raise InputError(f"--out {out}: the page is HTML; end its name in .html")
    opened = finished(run)
    artifact, model = opened_model(opened)
    split = labelled(artifact.task, data, skip_bad) if data is not None else data_of(opened).valid
    if split is None:
        raise InputError(f"{opened.folder} kept no validation split; give labelled data with --data PATH")
    where = layer or last_linear(model)
    if where not in dict(model.named_modules()):
        raise unknown("layer", where, [n for n, _ in model.named_modules() if n])
    index = chosen(len(split), limit, seed)
    found, labels = features(artifact, model, where, split, index)
    points, told = reduced(found, method, perplexity)
    told |= {
        "rows": len(labels), "features": found.shape[1], "layer": where, "method": method,
        "neighbours": {"plane": agreement(points, labels), "features": agreement(found, labels)},
    }  # fmt: skip
    page = Path(out) if out else opened.folder / f"embedding-{method}.html"
    table = page.with_suffix(".csv")
    write_table(table, index, labels, points)
    words = ["fathom", "explain", "features", str(opened.folder), "--method", method]
    words += ["--layer", layer] if layer else []
    write_page(page, opened, points, labels, told, shlex.join(words))
    return {"run": str(opened.folder), **told, "table": str(table), "page": str(page)}


def opened_model(run: Run) -> "tuple[Artifact, nn.Module]":
    """The run's artifact and its model as a module, whose layers can be listened to."""
    from fathom.deployment.artifact import describe, find, open_artifact
    from fathom.task import Boundary

    if not describe(find(run.folder))["system"]:
        raise InputError(
            f"{run.folder} trained a module that is not of the catalogue; its layers cannot be looked into"
        )
    artifact = open_artifact(run.folder, "torch", calibrated=False)
    assert isinstance(artifact.network, Boundary)
    return artifact, artifact.network.model


def last_linear(model: "nn.Module") -> str:
    """The name of the linear layer that stands last in ``model``."""
    from torch import nn

    names = [name for name, part in model.named_modules() if isinstance(part, nn.Linear)]
    if not names:
        layers = ", ".join(name for name, part in model.named_modules() if name and not [*part.children()])
        raise InputError(f"the model has no linear layer; choose one with --layer: {layers}")
    return names[-1]


def chosen(count: int, limit: int, seed: int) -> np.ndarray:
    """Which rows are drawn: all, or ``limit`` of them by the dice of ``seed``, in order."""
    from fathom.training.randomness import permutation

    if count < 3:
        raise InputError(f"the split has {count} rows; a picture needs 3 or more")
    return np.sort(permutation(count, seed, 0)[:limit].numpy()) if count > limit else np.arange(count)


@contextmanager
def listening(layer: "nn.Module") -> Iterator[list[Any]]:
    """A list that receives what goes into ``layer``, a tensor for each call."""
    heard: list[Any] = []
    handle = layer.register_forward_pre_hook(lambda module, given: heard.append(given[0].detach().cpu()))
    try:
        yield heard
    finally:
        handle.remove()


def features(
    artifact: "Artifact", model: "nn.Module", layer: str, split: "Split", index: np.ndarray
) -> tuple[np.ndarray, list[str]]:
    """What goes into ``layer`` for the rows ``index`` of ``split``, (n, d) in float64, and their labels."""
    import torch

    names = [port.name for port in artifact.task.inputs()]
    collected: list[np.ndarray] = []
    labels: list[str] = []
    with listening(model.get_submodule(layer)) as heard:
        for first in range(0, len(index), BATCH):
            *inputs, target = split.rows(torch.from_numpy(index[first : first + BATCH]))
            heard.clear()
            artifact.network({n: v.numpy() for n, v in zip(names, inputs, strict=True)})
            if not heard:
                raise InputError(f"layer {layer!r} is not used where the model answers; choose another")
            labels += named(artifact, target)
            got = heard[-1]
            if not torch.is_tensor(got) or not len(got) or len(got) != len(target):
                shape = tuple(got.shape) if torch.is_tensor(got) else type(got).__name__
                raise InputError(f"layer {layer!r} is given {shape} for {len(target)} rows; choose another")
            collected.append(got.reshape(len(got), -1).double().numpy())
    return np.concatenate(collected), labels


def named(artifact: "Artifact", target: Any) -> list[str]:
    """The labels of rows by name; ``InputError`` where the targets are no labels."""
    names = getattr(artifact.task, "labels", None)
    if names is None or target.ndim != 1 or target.is_floating_point():
        raise InputError(f"{artifact.name} does not tell labels apart: there is nothing to colour points by")
    return [str(names[i]) for i in target.tolist()]


def reduced(found: np.ndarray, method: str, perplexity: float) -> tuple[np.ndarray, dict[str, Any]]:
    """The points (n, 2), and how much of the features is in them."""
    from fathom.fundamentals.mathematics import dimension_reduction

    try:
        if method == "pca":
            points = dimension_reduction.pca_embedding(found, 2)
            return points, {"explained": float(points.var(axis=0).sum() / found.var(axis=0).sum())}
        most = max(1.0, (len(found) - 1) / 3)  # beyond it nearly all points would be neighbours
        made = dimension_reduction.tsne(found, perplexity=min(perplexity, most))
        return made.points, {"divergence": made.divergence}
    except ValueError as error:
        raise InputError(f"these features cannot be drawn: {error}") from error


def agreement(points: np.ndarray, labels: list[str]) -> float:
    """The share of points whose nearest other point has the same label."""
    names = np.array(labels)
    hits = 0
    centred = points - points.mean(axis=0)
    squares = (centred**2).sum(axis=1)
    for i in range(len(points)):
        distance = squares - 2 * centred @ centred[i]
        distance[i] = np.inf
        hits += int(names[distance.argmin()] == names[i])
    return hits / len(points)


def write_table(place: Path, index: np.ndarray, labels: list[str], points: np.ndarray) -> None:
    """``row, label, x, y``: the row of the split, and its point."""
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = place.with_name(f".{place.name}.{os.getpid()}")
    with draft.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(("row", "label", "x", "y"))
        for row, label, (x, y) in zip(index.tolist(), labels, points.tolist(), strict=True):
            writer.writerow((row, label, repr(x), repr(y)))
    os.replace(draft, place)


def write_page(
    place: Path, run: Run, points: np.ndarray, labels: list[str], told: dict[str, Any], command: str
) -> None:
    from fathom.report.embedding_report import embedding_report
    from fathom.report.page import write
    from fathom.verbs.report import title_of

    write(place, embedding_report(title=title_of(run.record), points=points, labels=labels, told=told,
                                  command=command))  # fmt: skip
