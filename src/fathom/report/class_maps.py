"""Where it looked: for some held-out pictures, the places that spoke for the class that was said.

Half of them are the errors of which the model was surest, with the places that spoke for the true class
beside; the others are right answers, the surest of each class. The places are those of Grad-CAM at the last
feature maps of some extent, and as coarse as those (``fundamentals.explanation.grad_cam``). A task that does
not give shares of classes for pictures, and a model without such maps, have no section.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fathom.fundamentals.explanation.grad_cam import grad_cam, last_maps
from fathom.report.classes import worst
from fathom.report.page import Section
from fathom.report.pictures import Gallery, Picture
from fathom.task import Evaluation, Task

EACH = 6  # errors, and as many right answers
PLACES = 25  # that maps should have: of fewer one learns little about where
GLOW = np.array([255.0, 110.0, 0.0])
STRENGTH = 0.7  # of the glow where it is brightest
LEAST = 64  # pixels a side; smaller pictures are enlarged, or the glow would be as coarse as they are


def class_map_sections(task: Task, model: nn.Module, evaluation: Evaluation, split: Any) -> list[Section]:
    """One section, or none; ``evaluation`` is that of ``split``. The model's mode and weights stay."""
    shares, truth = evaluation.detail.get("probabilities"), evaluation.detail.get("labels")
    labels: Sequence[str] = getattr(task, "labels", ())
    if shares is None or truth is None or np.ndim(shares) != 2 or not labels or not len(truth):
        return []
    if not hasattr(split, "rows") or len(split) != len(truth):  # a graph is one row with many answers
        return []
    chosen = torch.tensor([*worst(evaluation, EACH), *surest(shares, truth, EACH)])
    rows = split.rows(chosen) if len(chosen) else ()
    if len(rows) != 2 or rows[0].ndim != 4 or rows[0].dtype != torch.uint8 or rows[0].shape[1] not in (1, 3):
        return []
    said = torch.from_numpy(np.asarray(shares)[chosen.numpy()].argmax(axis=1))
    maps = looked(task, model, rows[0], said, rows[1].long())
    if maps is None:
        return []
    shown = [
        row(picture, *pair, [labels[int(s)], labels[int(t)]])
        for picture, pair, s, t in zip(rows[0], zip(*maps, strict=True), said, rows[1], strict=True)
    ]
    caption = (
        "Each picture, and beside it, glowing, the places that spoke for what was said; where that was wrong,"
        " a third time with those that spoke for the true class. Grad-CAM at the last feature maps: it tells"
        " where the model looked, not whether it was right to."
    )
    return [Section("Where it looked", [Gallery(shown, caption)])]


def surest(shares: Any, truth: Any, count: int) -> list[int]:
    """The right answer of highest confidence in each class, the surest classes first."""
    guessed, confidence = shares.argmax(axis=1), shares.max(axis=1)
    best: dict[int, int] = {}
    for i in np.argsort(-confidence, kind="stable"):
        if guessed[i] == truth[i]:
            best.setdefault(int(truth[i]), int(i))
    return list(best.values())[:count]


def looked(
    task: Task, model: nn.Module, pictures: Tensor, said: Tensor, true: Tensor
) -> tuple[Tensor, Tensor] | None:
    """The maps (b, h, w) for the classes that were said and for the true ones; None where there are none."""
    was = {module: module.training for module in model.modules()}
    weights = next(iter(model.parameters()), torch.zeros(()))
    model.eval()
    try:
        (given,) = task.prepare(pictures.to(weights.device))
        given = given.to(weights.dtype)
        name = last_maps(model, given[:1], PLACES) or last_maps(model, given[:1])
        if name is None:
            return None
        layer = model.get_submodule(name)
        first, second = (
            grad_cam(model, given, c.to(given.device), layer).float().cpu() for c in (said, true)
        )
    except ValueError:  # no scores (b, c): a module of one's own may answer in any form
        return None
    finally:
        for module, training in was.items():
            module.training = training
    return first, second


def row(picture: Tensor, said: Tensor, true: Tensor, names: list[str]) -> Picture:
    """A picture, the places for what was said and, where it was wrong, those for the truth, side by side."""
    wrong = names[0] != names[1]
    large = enlarged(picture)
    parts = [large, glowing(large, said), *([glowing(large, true)] if wrong else [])]
    gap = np.full((large.shape[0], 2, 3), 255, dtype=np.uint8)
    strip = [parts[0], *(piece for part in parts[1:] for piece in (gap, part))]
    told = f"said {names[0]}, is {names[1]}" if wrong else f"said {names[0]}, rightly"
    return Picture(np.concatenate(strip, axis=1), told)


def enlarged(picture: Tensor) -> np.ndarray:
    """As (h, w, 3), the shorter side at least ``LEAST`` pixels, in whole multiples of the pixels it has."""
    times = max(1, -(-LEAST // min(picture.shape[1:])))
    pixels = picture.expand(3, -1, -1).permute(1, 2, 0).numpy()
    return pixels.repeat(times, axis=0).repeat(times, axis=1)


def glowing(picture: np.ndarray, places: Tensor) -> np.ndarray:
    """``picture`` in grey, and ``places`` (h, w) over it as a glow, brightest where they are largest."""
    size = picture.shape[:2]
    smooth = F.interpolate(places[None, None], size=size, mode="bilinear", align_corners=False)[0, 0].numpy()
    share = STRENGTH * (smooth / smooth.max() if smooth.max() > 0 else smooth)[:, :, None]
    grey = picture.astype(float).mean(axis=2, keepdims=True)
    return ((1 - share) * grey + share * GLOW).round().astype(np.uint8)
