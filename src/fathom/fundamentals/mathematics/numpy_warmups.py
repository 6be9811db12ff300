"""Twenty warm-ups in NumPy: whole arrays in one expression, where a beginner writes loops.

A loop in Python pays for every number what an array operation pays once. The habit to learn
is to say what happens to all entries at once. Each warm-up here is a question (its docstring), the loop that
answers it (``_by_hand``), and the expression that answers it without a loop in Python. The means are few:

    slices and steps     x[::2], x[..., ::-1]            views: nothing is copied
    reductions           x.mean(axis=0)                  an axis goes
    broadcasting         x[:, None] - y[None, :]         an axis of size 1 is stretched
    masks and indices    x[x > 0], table[indices]        entries are picked
    reshape, transpose   (h, w) -> (rows, s, columns, s) the same numbers, other axes
    accumulation         cumsum, maximum.accumulate, bincount

``grade`` runs an answer on cases drawn for the occasion and says what is wrong with the first that fails.

Source: Harris et al., Array Programming with NumPy (2020). The idea of short puzzles that test themselves is
Alexander Rush's, Tensor Puzzles (2022).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="NumPy warm-ups",
    paper="https://doi.org/10.1038/s41586-020-2649-2",
    year=2020,
    summary="Twenty short questions about arrays, graded on cases that the learner has not seen.",
    rows=("MA14",),
    oracle="a loop for each, and NumPy, SciPy or torch where they have the operation",
)

Array = np.ndarray


def squares(count: int) -> Int[Array, "n"]:
    """The squares of 0, 1, ... ``count`` - 1."""
    return np.arange(_at_least("count", count, 0)) ** 2


def squares_by_hand(count: int) -> Int[Array, "n"]:
    return np.array([i * i for i in range(count)], dtype=np.int64)


def every_second_backwards(values: Array) -> Shaped[Array, "half"]:
    """The last of (n,), then the one two places before it, and so on to the front."""
    return _axes("values", values, 1)[::-2]


def every_second_backwards_by_hand(values: Array) -> Shaped[Array, "half"]:
    return np.array([values[i] for i in range(len(values) - 1, -1, -2)], dtype=values.dtype)


def standardize(table: Array) -> Float[Array, "n d"]:
    """Each column of (n, d) less its mean, over its standard deviation; a constant column becomes zeros."""
    table = _axes("table", table, 2, rows=1)
    spread = table.std(axis=0)
    return (table - table.mean(axis=0)) / np.where(spread == 0, 1.0, spread)


def standardize_by_hand(table: Array) -> Float[Array, "n d"]:
    result = np.zeros(table.shape)
    for j in range(table.shape[1]):
        mean = sum(table[:, j]) / len(table)
        spread = (sum((x - mean) ** 2 for x in table[:, j]) / len(table)) ** 0.5
        for i in range(len(table)):
            result[i, j] = (table[i, j] - mean) / spread if spread else 0.0
    return result


def one_hot(labels: Array, classes: int) -> Float[Array, "n classes"]:
    """A row for each of ``labels`` (n,), all zeros but for a 1 at the label."""
    return np.eye(classes)[_labels("labels", labels, classes)]


def one_hot_by_hand(labels: Array, classes: int) -> Float[Array, "n classes"]:
    return np.array([[float(c == label) for c in range(classes)] for label in labels]).reshape(-1, classes)


def accuracy(scores: Array, labels: Array) -> Float[Array, ""]:
    """The share of rows of ``scores`` (n, classes) whose largest entry stands at the row's label; n >= 1."""
    scores = _axes("scores", scores, 2, rows=1)
    _same_length("labels", _labels("labels", labels, scores.shape[1]), scores)
    return np.asarray((scores.argmax(axis=1) == labels).mean())


def accuracy_by_hand(scores: Array, labels: Array) -> Float[Array, ""]:
    right = 0
    for row, label in zip(scores.tolist(), labels, strict=True):
        right += row.index(max(row)) == label
    return np.array(right / len(labels))


def pairwise_distances(left: Array, right: Array) -> Float[Array, "n m"]:
    """The Euclidean distance of each row of (n, d) to each row of (m, d)."""
    left, right = _axes("left", left, 2), _axes("right", right, 2)
    if left.shape[1] != right.shape[1]:
        raise ValueError(f"right has shape {right.shape}; it must have {left.shape[1]} columns, as left has")
    return np.sqrt(((left[:, None, :] - right[None, :, :]) ** 2).sum(axis=2))


def pairwise_distances_by_hand(left: Array, right: Array) -> Float[Array, "n m"]:
    result = np.zeros((len(left), len(right)))
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            result[i, j] = sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) ** 0.5
    return result


def moving_average(values: Array, width: int) -> Float[Array, "windows"]:
    """The mean of each run of ``width`` neighbours in (n,): n - width + 1 of them."""
    values = _axes("values", values, 1, rows=_at_least("width", width, 1))
    return np.lib.stride_tricks.sliding_window_view(values, width).mean(axis=1)


def moving_average_by_hand(values: Array, width: int) -> Float[Array, "windows"]:
    return np.array([sum(values[i : i + width]) / width for i in range(len(values) - width + 1)])


def clip_outliers(values: Array, low: float, high: float) -> Float[Array, "n"]:
    """Entries of (n,) below ``low`` become ``low``, those above ``high`` become ``high``."""
    if not low <= high:
        raise ValueError(f"low is {low} and high {high}; low must not be above high")
    return _axes("values", values, 1).clip(low, high)


def clip_outliers_by_hand(values: Array, low: float, high: float) -> Float[Array, "n"]:
    return np.array([low if x < low else high if x > high else x for x in values.tolist()])


def masked_mean(values: Array, mask: Array) -> Float[Array, ""]:
    """The mean of the entries of (n,) where ``mask`` (n,) is true; at least one is."""
    values = _axes("values", values, 1)
    if mask.dtype != np.bool_ or mask.shape != values.shape or not mask.any():
        raise ValueError(
            f"mask has dtype {mask.dtype}, shape {mask.shape}; give {values.shape} of bool, one true"
        )
    return np.asarray(values[mask].mean())


def masked_mean_by_hand(values: Array, mask: Array) -> Float[Array, ""]:
    kept = [x for x, keep in zip(values, mask, strict=True) if keep]
    return np.asarray(sum(kept) / len(kept))


def running_maximum(values: Array) -> Float[Array, "n"]:
    """The largest entry of (n,) so far, at each place."""
    return np.maximum.accumulate(_axes("values", values, 1))


def running_maximum_by_hand(values: Array) -> Float[Array, "n"]:
    return np.array([max(values[: i + 1]) for i in range(len(values))])


def class_counts(labels: Array, classes: int) -> Int[Array, "classes"]:
    """How often each of 0 ... ``classes`` - 1 stands in ``labels`` (n,)."""
    return np.bincount(_labels("labels", labels, classes), minlength=classes)


def class_counts_by_hand(labels: Array, classes: int) -> Int[Array, "classes"]:
    counts = np.zeros(classes, dtype=np.int64)
    for label in labels:
        counts[label] += 1
    return counts


def best_places(values: Array, count: int) -> Int[Array, "count"]:
    """The places of the ``count`` largest entries of (n,), largest first; of equal ones the earlier."""
    values = _axes("values", values, 1, rows=_at_least("count", count, 0))
    return np.argsort(-values, kind="stable")[:count]


def best_places_by_hand(values: Array, count: int) -> Int[Array, "count"]:
    order = sorted(range(len(values)), key=lambda i: (-values[i], i))
    return np.array(order[:count], dtype=np.int64)


def batches(rows: Array, size: int) -> Shaped[Array, "batches size d"]:
    """(n, d) in batches of ``size`` rows, in order; the rows left over are dropped."""
    whole = len(_axes("rows", rows, 2)) // _at_least("size", size, 1)
    return rows[: whole * size].reshape(whole, size, rows.shape[1])


def batches_by_hand(rows: Array, size: int) -> Shaped[Array, "batches size d"]:
    whole = [rows[i : i + size] for i in range(0, len(rows) - size + 1, size)]
    return np.array(whole, dtype=rows.dtype).reshape(-1, size, rows.shape[1])


def tiles(image: Array, size: int) -> Shaped[Array, "tiles size size"]:
    """An image (h, w) cut into squares of ``size``, row by row; h and w are multiples of it."""
    height, width = _axes("image", image, 2).shape
    if height % _at_least("size", size, 1) or width % size:
        raise ValueError(f"size is {size}; the image of {height} x {width} is not a multiple of it")
    return image.reshape(height // size, size, width // size, size).swapaxes(1, 2).reshape(-1, size, size)


def tiles_by_hand(image: Array, size: int) -> Shaped[Array, "tiles size size"]:
    height, width = image.shape
    corners = [(top, left) for top in range(0, height, size) for left in range(0, width, size)]
    return np.array([image[top : top + size, left : left + size] for top, left in corners]).reshape(
        -1, size, size
    )


def mirror(images: Array) -> Shaped[Array, "n h w"]:
    """Each of (n, h, w) with left and right exchanged."""
    return _axes("images", images, 3)[:, :, ::-1]


def mirror_by_hand(images: Array) -> Shaped[Array, "n h w"]:
    result = images.copy()
    for j in range(images.shape[2]):
        result[:, :, j] = images[:, :, images.shape[2] - 1 - j]
    return result


def channels_first(images: Array) -> Shaped[Array, "n c h w"]:
    """(n, h, w, c), as files hold images, to (n, c, h, w), as networks read them."""
    return _axes("images", images, 4).transpose(0, 3, 1, 2)


def channels_first_by_hand(images: Array) -> Shaped[Array, "n c h w"]:
    n, h, w, c = images.shape
    result = np.zeros((n, c, h, w), dtype=images.dtype)
    for channel in range(c):
        result[:, channel] = images[:, :, :, channel]
    return result


def look_up(table: Array, tokens: Array) -> Float[Array, "b t d"]:
    """The row of ``table`` (v, d) for each of ``tokens`` (b, t): an embedding."""
    _labels("tokens", tokens.reshape(-1), len(_axes("table", table, 2)))
    return table[_axes("tokens", tokens, 2)]


def look_up_by_hand(table: Array, tokens: Array) -> Float[Array, "b t d"]:
    return np.stack([np.stack([table[token] for token in row]) for row in tokens])


def group_sums(values: Array, groups: Array, count: int) -> Float[Array, "count"]:
    """The sum of (n,) over each of the groups 0 ... ``count`` - 1 named in ``groups`` (n,)."""
    values = _axes("values", values, 1)
    _same_length("groups", _labels("groups", groups, count), values)
    return np.bincount(groups, weights=values, minlength=count)


def group_sums_by_hand(values: Array, groups: Array, count: int) -> Float[Array, "count"]:
    sums = np.zeros(count)
    for value, group in zip(values, groups, strict=True):
        sums[group] += value
    return sums


def look_back(count: int) -> Bool[Array, "n n"]:
    """True where column j is not after row i: what a reader at place i has seen of ``count`` places."""
    places = np.arange(_at_least("count", count, 0))
    return places[:, None] >= places[None, :]


def look_back_by_hand(count: int) -> Bool[Array, "n n"]:
    rows = [[j <= i for j in range(count)] for i in range(count)]
    return np.array(rows, dtype=np.bool_).reshape(count, count)


def running_mean(values: Array) -> Float[Array, "n"]:
    """The mean of all entries of (n,) so far, at each place."""
    values = _axes("values", values, 1)
    return np.cumsum(values) / np.arange(1, len(values) + 1)


def running_mean_by_hand(values: Array) -> Float[Array, "n"]:
    return np.array([sum(values[: i + 1]) / (i + 1) for i in range(len(values))])


Case = Callable[[np.random.Generator], tuple[Any, ...]]
WARMUPS: dict[str, tuple[Callable[..., Array], Callable[..., Array], Case]] = {
    "squares": (squares, squares_by_hand, lambda g: (int(g.integers(0, 20)),)),
    "every_second_backwards": (
        every_second_backwards, every_second_backwards_by_hand, lambda g: (g.normal(size=g.integers(1, 12)),)
    ),
    "standardize": (standardize, standardize_by_hand, lambda g: (g.normal(3, 2, size=(7, 3)) * [1, 0, 5],)),
    "one_hot": (one_hot, one_hot_by_hand, lambda g: (g.integers(0, 4, size=6), 5)),
    "accuracy": (
        accuracy, accuracy_by_hand, lambda g: (1.0 * g.integers(0, 9, size=(8, 3)), g.integers(0, 3, size=8))
    ),
    "pairwise_distances": (
        pairwise_distances,
        pairwise_distances_by_hand,
        lambda g: (g.normal(size=(4, 3)), g.normal(size=(5, 3))),
    ),
    "moving_average": (
        moving_average, moving_average_by_hand, lambda g: (g.normal(size=9), int(g.integers(1, 9)))
    ),
    "clip_outliers": (
        clip_outliers, clip_outliers_by_hand, lambda g: (g.normal(size=9), -0.5, float(g.uniform(0, 1)))
    ),
    "masked_mean": (
        masked_mean, masked_mean_by_hand, lambda g: (g.normal(size=8), g.permutation(8) < g.integers(1, 8))
    ),
    "running_maximum": (running_maximum, running_maximum_by_hand, lambda g: (g.normal(size=10) - 1,)),
    "class_counts": (class_counts, class_counts_by_hand, lambda g: (g.integers(0, 4, size=12), 6)),
    "best_places": (
        best_places, best_places_by_hand, lambda g: (1.0 * g.integers(0, 5, size=9), int(g.integers(1, 9)))
    ),
    "batches": (batches, batches_by_hand, lambda g: (g.normal(size=(g.integers(6, 20), 3)), 4)),
    "tiles": (tiles, tiles_by_hand, lambda g: (g.normal(size=(6, 2 * g.integers(1, 6))), 2)),
    "mirror": (mirror, mirror_by_hand, lambda g: (g.normal(size=(2, 3, 5)),)),
    "channels_first": (channels_first, channels_first_by_hand, lambda g: (g.normal(size=(2, 4, 5, 3)),)),
    "look_up": (look_up, look_up_by_hand, lambda g: (g.normal(size=(7, 3)), g.integers(0, 7, size=(2, 4)))),
    "group_sums": (group_sums, group_sums_by_hand, lambda g: (g.normal(size=9), g.integers(0, 4, size=9), 5)),
    "look_back": (look_back, look_back_by_hand, lambda g: (int(g.integers(0, 8)),)),
    "running_mean": (running_mean, running_mean_by_hand, lambda g: (g.normal(size=9),)),
}  # fmt: skip


@dataclass(frozen=True)
class Grade:
    """Whether an answer is right, and if not, what is wrong with it, in one sentence."""

    passed: bool
    hint: str = ""


def grade(name: str, answer: Callable[..., Any], *, seed: int = 0, cases: int = 5) -> Grade:
    """Run ``answer`` on hidden cases of the warm-up ``name``, drawn from ``seed``, and compare with the loop.

    An answer that raises, or that changes what it was given, fails too. ValueError for an unknown name.
    """
    if name not in WARMUPS:
        raise ValueError(f"name is {name!r}; it must be one of {', '.join(WARMUPS)}")
    _, by_hand, draw = WARMUPS[name]
    dice = np.random.default_rng(seed)
    for _ in range(_at_least("cases", cases, 1)):
        inputs = draw(dice)
        given = [x.copy() if isinstance(x, Array) else x for x in inputs]
        wanted = by_hand(*inputs)
        try:
            found = np.asarray(answer(*given))
        except Exception as problem:  # whatever a learner's code raises is a failed case, not ours
            return Grade(False, f"raised {type(problem).__name__}: {problem}")
        if found.shape != wanted.shape:
            return Grade(False, f"gave shape {found.shape} where {wanted.shape} was asked for")
        if found.dtype.kind != wanted.dtype.kind:
            return Grade(False, f"gave dtype {found.dtype} where {wanted.dtype} was asked for")
        if not np.allclose(found, wanted, rtol=1e-9, atol=1e-12):
            return Grade(False, f"gave {found.tolist()} where {wanted.tolist()} is right")
        if any(isinstance(x, Array) and not np.array_equal(x, y) for x, y in zip(inputs, given, strict=True)):
            return Grade(False, "changed its input; work on a copy, or with operations that make a new array")
    return Grade(True)


def _axes(name: str, value: Array, axes: int, rows: int = 0) -> Array:
    if value.dtype.kind not in "iuf":
        raise ValueError(f"{name} has dtype {value.dtype}; it must hold real numbers")
    if value.ndim != axes or len(value) < rows:
        raise ValueError(
            f"{name} has shape {value.shape}; it must have {axes} axes, the first of {rows} or more"
        )
    return value


def _at_least(name: str, value: int, least: int) -> int:
    if value < least:
        raise ValueError(f"{name} is {value}; it must be {least} or more")
    return value


def _labels(name: str, labels: Array, classes: int) -> Array:
    if labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise ValueError(
            f"{name} has dtype {labels.dtype}, shape {labels.shape}; it must be one row of integers"
        )
    if ((labels < 0) | (labels >= classes)).any():
        raise ValueError(
            f"{name} holds {labels.min()} to {labels.max()}; each must be from 0 to {classes - 1}"
        )
    return labels


def _same_length(name: str, value: Array, other: Array) -> None:
    if len(value) != len(other):
        raise ValueError(f"{name} has {len(value)} entries; it must have {len(other)}")


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    dice = np.random.default_rng(1)
    for name, (ours, by_hand, draw) in WARMUPS.items():
        yield Twin(name, partial(_real, ours), partial(_real, by_hand), draw(dice), gradients=False)


def _real(function: Callable[..., Array], *inputs: Any) -> Float[Array, "..."]:
    return function(*inputs).astype(np.float64)  # counts and truth values compare as numbers
