"""Count what is learned.

You get the sizes of a network: of its input, of its hidden layers and of its output. `[2, 8, 1]` is a network
with 2 inputs, 8 hidden units and 1 output. Return how many numbers it learns: all weights and all biases.
"""

import itertools

from fathom.learn.engine.grade import Answer, Fail, described

HINTS = (
    "Between two neighbouring sizes there is one layer. How many weights does it have?",
    "A weight for each pair of an input and a unit, and a bias for each unit.",
    "itertools.pairwise([2, 8, 1]) gives (2, 8) and (8, 1).",
)
PASSED = "For 784 pixels, 128 units and 10 classes it gives 101,770: the network of most introductions."


def starter(sizes: list[int]) -> int:
    """The number of weights and biases of a network with these sizes, two or more."""
    raise NotImplementedError


def solution(sizes: list[int]) -> int:
    """The number of weights and biases of a network with these sizes, two or more."""
    return sum(m * n + n for m, n in itertools.pairwise(sizes))


def wrong_no_biases(sizes: list[int]) -> int:
    """The biases are missing: each unit has one."""
    return sum(m * n for m, n in itertools.pairwise(sizes))


def wrong_bias_of_inputs(sizes: list[int]) -> int:
    """You counted a bias for each input of a layer. It is the units that have one."""
    return sum(m * n + m for m, n in itertools.pairwise(sizes))


def wrong_one_bias(sizes: list[int]) -> int:
    """You counted one bias for each layer. Each unit of it has its own."""
    return sum(m * n + 1 for m, n in itertools.pairwise(sizes))


def wrong_all_sizes(sizes: list[int]) -> int:
    """The inputs have biases in your count. They are given numbers: nothing is learned there."""
    return sum(m * n for m, n in itertools.pairwise(sizes)) + sum(sizes)


def wrong_added(sizes: list[int]) -> int:
    """You added the sizes. Every input is joined to every unit: that is a product."""
    return sum(m + n for m, n in itertools.pairwise(sizes))


def wrong_units(sizes: list[int]) -> int:
    """You counted units. What is learned are the weights on the lines between them, and a bias for each."""
    return sum(sizes[1:])


def wrong_hidden_only(sizes: list[int]) -> int:
    """The last layer is missing: from the last hidden units to the output there are weights too."""
    return sum(m * n + n for m, n in itertools.pairwise(sizes[:-1]))


def case(seed: int) -> tuple[list[int]]:
    return ([3 + seed, 7, 5, 2 + seed],)


def check_whole(answer: Answer, seed: int) -> None:
    found = answer([3, 2])
    if isinstance(found, bool) or not isinstance(found, int):
        raise Fail(f"Return a whole number; yours is {described(found)}")
    if found != 8:
        raise Fail(
            f"With 3 inputs and 2 units there are 6 weights and 2 biases, 8 in all; you counted {found}."
        )


def check_deep(answer: Answer, seed: int) -> None:
    (sizes,) = case(seed)
    found = answer(list(sizes))
    if found != solution(sizes):
        raise Fail(f"A network of the sizes {sizes} learns {solution(sizes)} numbers; you counted {found}.")


def check_digits(answer: Answer, seed: int) -> None:
    found = answer([784, 128, 10])
    if found != 101770:
        raise Fail(f"The sizes 784, 128, 10 make 101770; you counted {found}.")
