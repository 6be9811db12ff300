"""Split without leaks.

You get pictures and a seed. Return two tensors of row numbers: the rows to learn from, and the rows to judge
by. The second has one sixth of all rows, rounded down.

- Dice with the given seed decide which rows are held out, and nothing else does.
- Every row is in one of the two, and none is in both.
- A picture may be there twice. All its copies lie on one side. So the second tensor may get a few rows more
  than a sixth.
"""

import torch
from torch import Tensor

from fathom.learn.engine.grade import Answer, Fail, described

HINTS = (
    "picture.numpy().tobytes() is the same for two pictures if, and only if, all their pixels are equal.",
    "Collect the rows of each picture in a dictionary: bytes -> list of rows. Shuffle these lists, not rows.",
    "torch.randperm(n, generator=torch.Generator().manual_seed(seed)) is an order that the seed decides.",
)
PASSED = "No picture is on both sides, and the same seed gives the same split."


def starter(images: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """images: (n, 1, height, width). Return the rows to learn from and the rows to judge by."""
    raise NotImplementedError


def solution(images: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """images: (n, 1, height, width). Return the rows to learn from and the rows to judge by."""
    copies: dict[bytes, list[int]] = {}
    for row, picture in enumerate(images):
        copies.setdefault(picture.numpy().tobytes(), []).append(row)
    groups = list(copies.values())
    learn: list[int] = []
    judge: list[int] = []
    for place in torch.randperm(len(groups), generator=torch.Generator().manual_seed(seed)).tolist():
        side = judge if len(judge) < len(images) // 6 else learn
        side += groups[place]
    return torch.tensor(learn), torch.tensor(judge)


def wrong_copies_apart(images: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """A picture that you judge by has a copy among those you learn from.

    So its answer is known by heart, and the score is too good. Shuffle groups of equal pictures, not rows.
    """
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    return order[len(images) // 6 :], order[: len(images) // 6]


def wrong_always_the_same(images: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Another seed gives the same split: you cut without shuffling.

    Data often comes sorted, by class or by writer. Then one side has what the other lacks.
    """
    learn, judge = solution(images, 0)
    return learn, judge


def wrong_judged_rows_learned(images: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """The rows to judge by are also among those to learn from: you took them, but did not take them away."""
    _, judge = solution(images, seed)
    return torch.arange(len(images)), judge


def wrong_own_dice(images: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """The same seed gives another split each time: your dice did not get it.

    Pass a generator to torch.randperm. Else nobody, not even you, can repeat what you measured.
    """
    return solution(images, int(torch.randint(2**31, ())))


def wrong_copies_thrown_away(images: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Rows are missing on both sides: you kept one row of each picture, and threw its copies away."""
    first: dict[bytes, int] = {}
    for row, picture in enumerate(images):
        first.setdefault(picture.numpy().tobytes(), row)
    rows = torch.tensor(list(first.values()))
    order = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))]
    return order[len(images) // 6 :], order[: len(images) // 6]


def wrong_sides_exchanged(images: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Your first tensor is the small one. The rows to learn from come first: they are five sixths."""
    learn, judge = solution(images, seed)
    return judge, learn


def case(seed: int) -> tuple[Tensor, int]:
    """Three hundred small pictures; sixty of them are copies of others."""
    dice = torch.Generator().manual_seed(seed)
    images = torch.rand(300, 1, 4, 4, generator=dice)
    images[torch.arange(240, 300)] = images[torch.randint(240, (60,), generator=dice)]
    return images, seed


def sides(answer: Answer, seed: int, other: int = 0) -> tuple[list[int], list[int]]:
    """What an answer returns, as lists; ``other`` changes the seed of the split alone."""
    images, given = case(seed)
    learn, judge = answer(images, given + other)
    return learn.tolist(), judge.tolist()


def observe(answer: Answer, seed: int) -> list[bool]:
    """What is wrong, if anything."""
    images, _ = case(seed)
    learn, judge = sides(answer, seed)
    seen = {images[row].numpy().tobytes() for row in learn}
    return [
        bool(set(learn) & set(judge)),
        set(learn) | set(judge) != set(range(len(images))),
        any(images[row].numpy().tobytes() in seen for row in judge),
        sides(answer, seed) != (learn, judge),
        sides(answer, seed, 1) == (learn, judge),
        len(learn) < len(judge),
    ]


def check_kind(answer: Answer, seed: int) -> None:
    made = answer(*case(seed))
    if not isinstance(made, tuple | list) or len(made) != 2:
        raise Fail(f"Two tensors are wanted; what you return is {described(made)}")
    for rows in made:
        if not isinstance(rows, Tensor) or rows.dtype != torch.int64 or rows.dim() != 1:
            raise Fail("Each of the two is a tensor of whole numbers (int64), one for each row.")


def check_every_row_once(answer: Answer, seed: int) -> None:
    learn, judge = sides(answer, seed)
    both = set(learn) & set(judge)
    if both:
        raise Fail(f"Row {min(both)} is on both sides.")
    if sorted(learn + judge) != list(range(300)):
        raise Fail(f"Of 300 rows you return {len(set(learn + judge))}; each is wanted once.")


def check_copies(answer: Answer, seed: int) -> None:
    images, _ = case(seed)
    learn, judge = sides(answer, seed)
    home = {images[row].numpy().tobytes(): row for row in learn}
    for row in judge:
        twin = home.get(images[row].numpy().tobytes())
        if twin is not None:
            raise Fail(f"Rows {twin} and {row} are the same picture, and lie on two sides.")


def check_sizes(answer: Answer, seed: int) -> None:
    _, judge = sides(answer, seed)
    if not 50 <= len(judge) <= 60:
        raise Fail(f"Of 300 rows 50 are to be held out, or a few more for copies; you hold out {len(judge)}.")


def check_seed(answer: Answer, seed: int) -> None:
    first = sides(answer, seed)
    if sides(answer, seed) != first:
        raise Fail("Called twice with the same seed, your function splits in two ways.")
    if sides(answer, seed, 1) == first:
        raise Fail("With another seed your function splits in the same way.")
