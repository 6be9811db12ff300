"""SpecAugment: bands of a spectrogram are hidden, in frequency and in time.

Park et al. (2019, section 2) treat the spectrogram as a picture whose axes mean something. A mask of f
neighbouring frequencies stands for a bad line, one of t moments for a dropped packet; a recogniser that still
hears the word has learned more of it. Lengths and places are drawn uniformly, with numbers u and v in [0, 1):

    length = u F             F the parameter, at most the share p of the axis
    first  = v (n - length)  of n lines; masked are floor(first) <= line < floor(first) + floor(length)

So a mask has at most F - 1 lines where F is a whole number, as in torchaudio, whose conventions these are.
The paper's warp in time is left out, as there: its authors found that it matters least (their section 5).

Axes used below
    b  spectrograms      *c  channels, if any      f  frequencies      t  time
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="SpecAugment",
    paper="https://arxiv.org/abs/1904.08779",
    year=2019,
    summary="Hides bands of frequency and of time in a spectrogram, so that a recogniser learns context.",
    rows=("RN07",),
    differs=(
        "No warp in time.",
        "A longest mask above the size of the axis means that size; torchaudio then leaves the axis.",
    ),
    oracle="the rule of torchaudio.functional.mask_along_axis_iid, written out again for the same draws:"
    " torchaudio is no package of the tests",
)


def mask_bounds(
    numbers: Tensor, size: int, longest: int, *, share: float = 1.0
) -> tuple[Int[Tensor, "*s"], Int[Tensor, "*s"]]:
    """First line and one past the last of masks on an axis of ``size``, from ``numbers`` (*s, 2) in [0, 1).

    A mask is shorter than ``longest`` and than ``share`` of the axis, unless it is empty. Raises
    ``ValueError`` for numbers outside [0, 1), longest below 0, and a share outside [0, 1].
    """
    if numbers.ndim < 1 or numbers.shape[-1] != 2 or not numbers.is_floating_point():
        raise ValueError(
            f"numbers is {numbers.dtype} of shape {tuple(numbers.shape)}; it must be floating, (*s, 2)"
        )
    if not bool(((numbers >= 0) & (numbers < 1)).all()):
        raise ValueError("numbers holds one outside [0, 1)")
    if longest < 0:
        raise ValueError(f"longest is {longest}; it must be 0 or more")
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share}; it must be in [0, 1]")
    most = min(longest, int(size * share))
    length = numbers[..., 0] * most
    first = (numbers[..., 1] * (size - length)).long()
    return first, first + length.long()


def mask_axis(
    spectrogram: Tensor, first: Tensor, end: Tensor, *, axis: str, value: float | Tensor = 0.0
) -> Float[Tensor, "b *c f t"]:
    """``spectrogram`` (b, *c, f, t) with lines ``first`` to before ``end`` of ``axis`` set to ``value``.

    ``axis`` is "frequency" or "time". ``first`` and ``end`` are (b,) or (b, *c): the same for all channels of
    a spectrogram, or each its own.
    """
    if spectrogram.ndim < 3 or not spectrogram.is_floating_point():
        raise ValueError(
            f"spectrogram is {spectrogram.dtype} of shape {tuple(spectrogram.shape)}; "
            "it must be floating, (b, *c, f, t)"
        )
    if axis not in ("frequency", "time"):
        raise ValueError(f"axis is {axis!r}; it must be 'frequency' or 'time'")
    leading = spectrogram.shape[:-2]
    for name, bound in (("first", first), ("end", end)):
        if bound.is_floating_point() or bound.shape not in (leading, leading[:1]):
            raise ValueError(
                f"{name} is {bound.dtype} of shape {tuple(bound.shape)}; give whole numbers, (b, *c)"
            )
    first, end = (x.reshape(*x.shape, *[1] * (spectrogram.ndim - x.ndim)) for x in (first, end))
    count = spectrogram.shape[-2 if axis == "frequency" else -1]
    lines = torch.arange(count, device=spectrogram.device)
    lines = lines[:, None] if axis == "frequency" else lines
    hidden = (lines >= first) & (lines < end)
    return torch.where(hidden, torch.as_tensor(value).to(spectrogram), spectrogram)


def spec_augment(
    spectrogram: Tensor,
    numbers: Tensor,
    *,
    time_masks: int = 2,
    longest_time: int = 100,
    frequency_masks: int = 2,
    longest_frequency: int = 27,
    share: float = 1.0,
    zeros: bool = True,
) -> Float[Tensor, "b *c f t"]:
    """``spectrogram`` (b, *c, f, t) with several masks in time, then in frequency (LD of its table 1).

    ``numbers`` (b, time_masks + frequency_masks, 2) are uniform in [0, 1). Masked is 0, or without ``zeros``
    the mean of the spectrogram, each its own. Raises ``ValueError`` as `mask_bounds` and `mask_axis` do.
    """
    if numbers.shape != (len(spectrogram), time_masks + frequency_masks, 2):
        raise ValueError(
            f"numbers has shape {tuple(numbers.shape)}; "
            f"it must be ({len(spectrogram)}, {time_masks + frequency_masks}, 2)"
        )
    every = tuple(range(1, spectrogram.ndim))
    value = spectrogram.new_zeros(()) if zeros else spectrogram.mean(every, keepdim=True)
    for i in range(time_masks + frequency_masks):
        axis = "time" if i < time_masks else "frequency"
        size = spectrogram.shape[-1 if axis == "time" else -2]
        longest = longest_time if axis == "time" else longest_frequency
        first, end = mask_bounds(numbers[:, i], size, longest, share=share)
        spectrogram = mask_axis(spectrogram, first, end, axis=axis, value=value)
    return spectrogram


def mask_axis_by_hand(
    spectrogram: Float[Tensor, "b f t"], numbers: Float[Tensor, "b 2"], longest: int, share: float, axis: str
) -> Float[Tensor, "b f t"]:
    """Spectrogram by spectrogram, line by line."""
    masked = spectrogram.clone()
    for n, (u, v) in enumerate(numbers.tolist()):
        size = spectrogram.shape[1 if axis == "frequency" else 2]
        length = u * min(longest, int(size * share))
        first = int(v * (size - length))
        for line in range(first, first + int(length)):
            if axis == "frequency":
                masked[n, line, :] = 0
            else:
                masked[n, :, line] = 0
    return masked


def spec_augment_by_hand(
    spectrogram: Float[Tensor, "b f t"],
    numbers: Float[Tensor, "b 2 2"],
    longest_time: int,
    longest_frequency: int,
) -> Float[Tensor, "b f t"]:
    """One mask in time and one in frequency."""
    masked = mask_axis_by_hand(spectrogram, numbers[:, 0], longest_time, 1.0, "time")
    return mask_axis_by_hand(masked, numbers[:, 1], longest_frequency, 1.0, "frequency")


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    spectrogram = torch.randn(5, 6, 9, dtype=torch.float64, generator=dice)
    numbers = torch.rand(5, 2, 2, generator=dice)

    def one(x: Tensor, longest: int, share: float, axis: str) -> Tensor:
        size = x.shape[1 if axis == "frequency" else 2]
        return mask_axis(x, *mask_bounds(numbers[:, 0], size, longest, share=share), axis=axis)

    def plain(x: Tensor, longest: int, share: float, axis: str) -> Tensor:
        return mask_axis_by_hand(x, numbers[:, 0], longest, share, axis)

    yield Twin("in frequency", one, plain, (spectrogram, 5, 1.0, "frequency"))
    yield Twin("at most half", one, plain, (spectrogram, 9, 0.5, "time"))
    yield Twin(
        "both",
        lambda x: spec_augment(
            x, numbers, time_masks=1, longest_time=8, frequency_masks=1, longest_frequency=6
        ),
        lambda x: spec_augment_by_hand(x, numbers, 8, 6),
        (spectrogram,),
    )
