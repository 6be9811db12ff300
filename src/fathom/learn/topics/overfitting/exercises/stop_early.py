"""Stop early.

You get the validation losses, one after each epoch, and the patience. Go through them as if they came one by
one. Stop as soon as `patience` losses in a row did not beat the best one so far. Equal is not better.

Return a pair: the place of the best loss, and the place after which you stopped. Places count from 0. If it
never stops, the second one is the last place.
"""

import torch

from fathom.fundamentals.regularization.early_stopping import stopping_point
from fathom.learn.engine.grade import Answer, Fail

HINTS = (
    "Keep three things: the best loss so far, its place, and how many in a row did not beat it.",
    "A better loss sets the counter back to 0; any other adds 1 to it.",
    "When the counter reaches the patience, return at once.",
)
PASSED = "The same place as the library's own early stopping, on every sequence that was tried."


def starter(losses: list[float], patience: int) -> tuple[int, int]:
    """(place of the best loss, place after which it stopped), for one loss or more."""
    raise NotImplementedError


def solution(losses: list[float], patience: int) -> tuple[int, int]:
    """(place of the best loss, place after which it stopped), for one loss or more."""
    best, waited = 0, 0
    for place, loss in enumerate(losses):
        if place == 0 or loss < losses[best]:
            best, waited = place, 0
        else:
            waited += 1
        if waited == patience:
            return best, place
    return best, len(losses) - 1


def wrong_beside_the_last(losses: list[float], patience: int) -> tuple[int, int]:
    """You compared each loss with the one before it. Compare with the best one so far."""
    best, waited = 0, 0
    for place, loss in enumerate(losses):
        if loss < losses[best]:
            best = place
        waited = 0 if place == 0 or loss < losses[place - 1] else waited + 1
        if waited == patience:
            return best, place
    return best, len(losses) - 1


def wrong_not_reset(losses: list[float], patience: int) -> tuple[int, int]:
    """The counter is never set back. A new best begins the waiting anew: they must be in a row."""
    best, waited = 0, 0
    for place, loss in enumerate(losses):
        if place == 0 or loss < losses[best]:
            best = place
        else:
            waited += 1
        if waited == patience:
            return best, place
    return best, len(losses) - 1


def wrong_equal_is_better(losses: list[float], patience: int) -> tuple[int, int]:
    """You took an equal loss as a new best. It did not beat it: use < and not <=."""
    best, waited = 0, 0
    for place, loss in enumerate(losses):
        if loss <= losses[best]:
            best, waited = place, 0
        else:
            waited += 1
        if waited == patience:
            return best, place
    return best, len(losses) - 1


def wrong_one_late(losses: list[float], patience: int) -> tuple[int, int]:
    """You stopped one epoch late: stop when the counter reaches the patience, not when it is beyond it."""
    return solution(losses, patience + 1)


def wrong_last_kept(losses: list[float], patience: int) -> tuple[int, int]:
    """You kept the place where it stopped. The best one lies earlier: that is what is wanted back."""
    _, stopped = solution(losses, patience)
    return stopped, stopped


def wrong_best_of_all(losses: list[float], patience: int) -> tuple[int, int]:
    """You looked at losses that come after the stop. When it stops, nobody knows them yet."""
    _, stopped = solution(losses, patience)
    return min(range(len(losses)), key=lambda place: losses[place]), stopped


def wrong_largest(losses: list[float], patience: int) -> tuple[int, int]:
    """You looked for the largest. A loss is better when it is smaller."""
    return solution([-loss for loss in losses], patience)


SPECIAL = [5.0, 4.0, 4.5, 3.9, 3.9, 4.2, 4.1, 4.0, 3.0, 3.5, 3.6, 3.7, 3.8]


def case(seed: int) -> tuple[list[float], int]:
    dice = torch.Generator().manual_seed(seed)
    falling = torch.linspace(2, 1, 20) + 0.3 * torch.randn(20, generator=dice)
    return falling.tolist(), 3


def observe(answer: Answer, seed: int) -> list[tuple[int, int]]:
    """A sequence with an equal loss, and drawn ones."""
    return [answer(list(SPECIAL), 4), answer(list(SPECIAL), 3), *(answer(*case(s)) for s in range(5))]


def check_pair(answer: Answer, seed: int) -> None:
    found = answer([3.0, 2.0, 1.0], 2)
    if not isinstance(found, tuple) or len(found) != 2:
        raise Fail("Return a pair: (place of the best, place after which it stopped).")
    if found != (2, 2):
        raise Fail(
            f"3, 2, 1 gets better all the time: best at 2, never stopped, so (2, 2); yours is {found}."
        )


def check_waiting(answer: Answer, seed: int) -> None:
    found = answer([3.0, 2.0, 2.5, 2.4, 2.3, 1.0], 3)
    if found != (1, 4):
        raise Fail(
            f"3, 2, 2.5, 2.4, 2.3, 1 with patience 3: three in a row do not beat 2, so it stops after place 4"
            f" with the best at 1; yours is {found}."
        )


def check_sequences(answer: Answer, seed: int) -> None:
    for losses, patience in ((SPECIAL, 3), (SPECIAL, 4), *(case(s) for s in range(5))):
        found, wanted = answer(list(losses), patience), solution(losses, patience)
        assert stopping_point(losses, patience) == wanted[1] + 1
        if found != wanted:
            told = ", ".join(f"{loss:.2f}" for loss in losses)
            raise Fail(f"For {told} with patience {patience} it is {wanted}; yours is {found}.")
