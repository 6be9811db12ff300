"""Walk through a graph backwards.

A graph is a list of numbers in the order in which they were computed; the last one is the result. For each
number you get the list of what it was made of: pairs of a place in the list and the local slope.

`[[], [], [(0, 5.0), (1, 2.0)]]` means: numbers 0 and 1 are inputs, and number 2 was made of both, with the
local slopes 5 and 2.

Return a list with the slope of the result in each number. Use each arrow once.
"""

import torch

from fathom.learn.engine.grade import Answer, Fail, described

Graph = list[list[tuple[int, float]]]

HINTS = (
    "Begin with a list of zeros, one for each number. Which of them do you know at once?",
    "The slope of the result in itself is 1. Then go through the places from the last to the first.",
    "Each number gives to what it was made of: its own slope times the local slope, added to what is there.",
)
PASSED = "This is what loss.backward() does, in any library, with arrays in the place of numbers."


def starter(graph: list[list[tuple[int, float]]]) -> list[float]:
    """The slope of the last number in each number of the graph."""
    raise NotImplementedError


def solution(graph: list[list[tuple[int, float]]]) -> list[float]:
    """The slope of the last number in each number of the graph."""
    slopes = [0.0] * len(graph)
    slopes[-1] = 1.0
    for place in reversed(range(len(graph))):
        for parent, local in graph[place]:
            slopes[parent] += slopes[place] * local
    return slopes


def wrong_overwrites(graph: list[list[tuple[int, float]]]) -> list[float]:
    """A number that is used twice keeps only one of its ways: you wrote = where += is needed."""
    slopes = [0.0] * len(graph)
    slopes[-1] = 1.0
    for place in reversed(range(len(graph))):
        for parent, local in graph[place]:
            slopes[parent] = slopes[place] * local
    return slopes


def wrong_forwards(graph: list[list[tuple[int, float]]]) -> list[float]:
    """Only what the result itself was made of has a slope. It must be passed on.

    Go from the last to the first.
    """
    slopes = [0.0] * len(graph)
    slopes[-1] = 1.0
    for place in range(len(graph)):
        for parent, local in graph[place]:
            slopes[parent] += slopes[place] * local
    return slopes


def wrong_no_start(graph: list[list[tuple[int, float]]]) -> list[float]:
    """All slopes are 0: nothing was there to pass on. The slope of the result in itself is 1."""
    return [0.0] * len(graph)


def wrong_local_only(graph: list[list[tuple[int, float]]]) -> list[float]:
    """You added local slopes and did not multiply them by the slope of the number they lead to."""
    slopes = [0.0] * len(graph)
    slopes[-1] = 1.0
    for place in reversed(range(len(graph))):
        for parent, local in graph[place]:
            slopes[parent] += local
    return slopes


def wrong_added(graph: list[list[tuple[int, float]]]) -> list[float]:
    """You added the local slope to the slope that arrives. Along a way slopes are multiplied."""
    slopes = [0.0] * len(graph)
    slopes[-1] = 1.0
    for place in reversed(range(len(graph))):
        for parent, local in graph[place]:
            slopes[parent] += slopes[place] + local
    return slopes


def case(seed: int) -> tuple[Graph]:
    """Seven numbers, some of which are used more than once."""
    dice = torch.Generator().manual_seed(seed)
    drawn = (torch.rand(9, generator=dice, dtype=torch.float64) + 0.5).tolist()
    graph: Graph = [[], [], [(0, drawn[0]), (1, drawn[1])], [(2, drawn[2])]]
    graph += [[(2, drawn[3]), (1, drawn[4])], [(3, drawn[5]), (4, drawn[6])], [(5, drawn[7]), (0, drawn[8])]]
    return (graph,)


def check_list(answer: Answer, seed: int) -> None:
    found = answer([[], [(0, 2.0)]])
    if not isinstance(found, list) or len(found) != 2:
        told = f"a list of {len(found)}" if isinstance(found, list) else described(found)
        raise Fail(f"For a graph of two numbers return a list of two slopes; yours is {told}")
    if found[1] != 1:
        raise Fail(f"The slope of the result in itself is 1; yours is {found[1]:g}.")


def check_square(answer: Answer, seed: int) -> None:
    found = answer([[], [(0, 3.0), (0, 3.0)]])
    if abs(found[0] - 6) > 1e-9:
        raise Fail(
            f"x times x at x = 3: both factors are number 0, so its slope is 6; yours is {found[0]:g}."
        )


def check_graph(answer: Answer, seed: int) -> None:
    (graph,) = case(seed)
    wanted = solution(graph)
    for place, (mine, right) in enumerate(zip(answer(*case(seed)), wanted, strict=True)):
        if abs(mine - right) > 1e-9:
            raise Fail(f"The slope in number {place} of seven is {right:.4f}; yours is {mine:.4f}.")
