"""Predict the size.

You get the number of pixels along one side of a picture, the size of the kernel, the stride, the padding on
either side, and the dilation. Return at how many places along this side the kernel fits. You may take for
granted that it fits at one place at least.
"""

from fathom.fundamentals.convolution.convolution import output_size
from fathom.learn.engine.grade import Answer, Fail, described

HINTS = (
    "How many pixels are there with padding? How many does the kernel span when its weights lie d apart?",
    "A kernel of 3 with dilation 2 spans 5 pixels: 2 (3 - 1) + 1.",
    "(pixels - span) // stride says how often it can move on. The first place comes on top.",
)
PASSED = "The same as the library's, for a few hundred settings."


def starter(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """The number of places at which the kernel fits along one side."""
    raise NotImplementedError


def solution(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """The number of places at which the kernel fits along one side."""
    span = dilation * (kernel - 1) + 1
    return (size + 2 * padding - span) // stride + 1


def wrong_no_first_place(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """One too few: you counted the moves. The first place comes on top."""
    return solution(size, kernel, stride, padding, dilation) - 1


def wrong_one_side(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """You counted the padding once. There are zeros on both sides."""
    return (size + padding - dilation * (kernel - 1) - 1) // stride + 1


def wrong_rounded_up(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """You rounded up. A kernel that hangs over the border does not fit there: round down."""
    return -(-(size + 2 * padding - dilation * (kernel - 1) - 1) // stride) + 1


def wrong_a_fraction(size: int, kernel: int, stride: int, padding: int, dilation: int) -> float:
    """You did not round. There is no half place: // divides and rounds down."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1


def wrong_no_dilation(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """The dilation is not used. With weights 2 apart a kernel of 3 spans 5 pixels."""
    return (size + 2 * padding - kernel) // stride + 1


def wrong_span(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """You took d times k for the span. Between k weights there are k - 1 gaps: d (k - 1) + 1."""
    return (size + 2 * padding - dilation * kernel) // stride + 1


def wrong_one_inside(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """The 1 of the first place was divided as well. Divide first, then add it."""
    return (size + 2 * padding - dilation * (kernel - 1)) // stride


def wrong_stride_ignored(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """The stride is not used. With a stride of 2 the kernel skips every second place."""
    return size + 2 * padding - dilation * (kernel - 1)


def case(seed: int) -> tuple[int, int, int, int, int]:
    return 28 + seed, 3, 2, 1, 2


def settings(seed: int) -> list[tuple[int, int, int, int, int]]:
    """All small settings at which the kernel fits."""
    found = []
    for size in (7 + seed, 28 + seed):
        for kernel in (1, 2, 3, 5):
            for stride in (1, 2, 3):
                for padding in (0, 1, 2):
                    for dilation in (1, 2):
                        if dilation * (kernel - 1) + 1 <= size + 2 * padding:
                            found.append((size, kernel, stride, padding, dilation))
    return found


def observe(answer: Answer, seed: int) -> list[float]:
    """The answers to all of them."""
    return [float(answer(*given)) for given in settings(seed)]


def check_plain(answer: Answer, seed: int) -> None:
    found = answer(28, 3, 1, 0, 1)
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise Fail(f"Return a whole number; yours is {described(found)}")
    if found != 26:
        raise Fail(f"Along 28 pixels a kernel of 3 fits at 26 places; you say {found}.")


def check_all(answer: Answer, seed: int) -> None:
    for size, kernel, stride, padding, dilation in settings(seed):
        wanted = output_size(size, kernel, stride=stride, padding=padding, dilation=dilation)
        found = answer(size, kernel, stride, padding, dilation)
        if found != wanted:
            raise Fail(
                f"{size} pixels, kernel {kernel}, stride {stride}, padding {padding}, dilation {dilation}: it"
                f" fits at {wanted} places; you say {found}."
            )


def check_whole(answer: Answer, seed: int) -> None:
    if not isinstance(answer(*case(seed)), int):
        raise Fail("Return a whole number: // divides and rounds down.")
