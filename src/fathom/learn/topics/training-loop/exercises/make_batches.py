"""Cut an epoch into batches.

You get the row numbers of all examples, already shuffled, and the size of a batch. Return a list of tensors:
the first `size` row numbers, the next `size`, and so on. If the size does not divide the count, the last
batch is smaller. Every example must be in exactly one batch.
"""

import torch
from torch import Tensor

from fathom.learn.engine.grade import Answer, Fail

HINTS = (
    "Where does each batch begin? At 0, at size, at twice the size ...",
    "range(0, len(order), size) counts the beginnings.",
    "order[begin : begin + size] is one batch; behind the end of a tensor a slice simply stops.",
)
PASSED = "Every example once in each epoch, in a new order each time: that is all that SGD asks for."


def starter(order: Tensor, size: int) -> list[Tensor]:
    """For shuffled numbers (n,) return batches of size numbers, the last one with what is left."""
    raise NotImplementedError


def solution(order: Tensor, size: int) -> list[Tensor]:
    """For shuffled numbers (n,) return batches of size numbers, the last one with what is left."""
    return [order[begin : begin + size] for begin in range(0, len(order), size)]


def wrong_dropped(order: Tensor, size: int) -> list[Tensor]:
    """The last examples are in no batch.

    A smaller last batch is fine; examples that are never used are not.
    """
    return [order[begin : begin + size] for begin in range(0, len(order) - size + 1, size)]


def wrong_not_shuffled(order: Tensor, size: int) -> list[Tensor]:
    """You counted 0, 1, 2 ... yourself. The shuffled numbers are what you were given: cut these."""
    return list(torch.arange(len(order)).split(size))


def wrong_count(order: Tensor, size: int) -> list[Tensor]:
    """You made that many batches. The number says how many examples are in one batch."""
    return list(order.tensor_split(size))


def wrong_sliding(order: Tensor, size: int) -> list[Tensor]:
    """Your batches overlap: the next one begins where the last one ends, not one further."""
    return [order[begin : begin + size] for begin in range(len(order) - size + 1)]


def wrong_overlap(order: Tensor, size: int) -> list[Tensor]:
    """Neighbouring batches share an example: a slice ends before its end, so begin + size is enough."""
    return [order[begin : begin + size + 1] for begin in range(0, len(order), size)]


def wrong_padded(order: Tensor, size: int) -> list[Tensor]:
    """You filled up the last batch with examples that were used before. Leave it smaller."""
    whole = torch.cat([order, order[: -len(order) % size]])
    return list(whole.split(size))


def wrong_empty_last(order: Tensor, size: int) -> list[Tensor]:
    """Where the size divides the count, an empty batch is left over at the end."""
    return [order[begin : begin + size] for begin in range(0, len(order) + 1, size)]


def case(seed: int) -> tuple[Tensor, int]:
    return torch.randperm(11, generator=torch.Generator().manual_seed(seed)), 4


def observe(answer: Answer, seed: int) -> tuple[list[Tensor], list[Tensor]]:
    """A count that the size does not divide, and one that it does."""
    order, size = case(seed)
    return answer(order.clone(), size), answer(order[:8].clone(), size)


def check_list(answer: Answer, seed: int) -> None:
    found = answer(*case(seed))
    if not isinstance(found, list | tuple) or not all(isinstance(batch, Tensor) for batch in found):
        raise Fail("Return a list of tensors, one for each batch.")


def check_sizes(answer: Answer, seed: int) -> None:
    sizes = [len(batch) for batch in answer(*case(seed))]
    if sizes != [4, 4, 3]:
        raise Fail(f"11 examples in batches of 4 make batches of 4, 4 and 3; yours have {sizes}.")
    order, _ = case(seed)
    sizes = [len(batch) for batch in answer(order[:8], 4)]
    if sizes != [4, 4]:
        raise Fail(f"8 examples in batches of 4 make two of 4; yours have {sizes}.")


def check_each_once(answer: Answer, seed: int) -> None:
    order, size = case(seed)
    used = torch.cat(list(answer(order.clone(), size))).tolist()
    if sorted(used) != sorted(order.tolist()):
        raise Fail(f"Each of the examples 0 to 10 must be used once; yours are {used}.")
    if used != order.tolist():
        raise Fail(f"Keep the order that you were given, {order.tolist()}; yours is {used}.")
