"""Write the forward pass of a network.

You get examples and a list of layers. Each layer is a pair of a weight (units, inputs) and a bias (units,).
Send the examples through all layers. After every layer **but the last** comes a ReLU: what is negative
becomes 0.
"""

import itertools

import torch
from torch import Tensor

from fathom.learn.engine.grade import Answer, Fail, must_be_tensor

HINTS = (
    "Keep one table and replace it: what comes out of a layer goes into the next.",
    "One layer is x @ weight.T + bias, and the ReLU is .clamp(min=0).",
    "Go through layers[:-1] with a ReLU after each, then through layers[-1] without.",
)
PASSED = "An MLP, whole: the same numbers as the library's own network with these weights."


def starter(x: Tensor, layers: list[tuple[Tensor, Tensor]]) -> Tensor:
    """For x (examples, inputs) and layers (weight, bias) return (examples, units of the last layer)."""
    raise NotImplementedError


def solution(x: Tensor, layers: list[tuple[Tensor, Tensor]]) -> Tensor:
    """For x (examples, inputs) and layers (weight, bias) return (examples, units of the last layer)."""
    for weight, bias in layers[:-1]:
        x = (x @ weight.T + bias).clamp(min=0)
    weight, bias = layers[-1]
    return x @ weight.T + bias


def wrong_relu_at_the_end(x: Tensor, layers: list[tuple[Tensor, Tensor]]) -> Tensor:
    """The last layer has a ReLU as well. Then the answer can never be negative: leave it out there."""
    return solution(x, layers).clamp(min=0)


def wrong_no_relu(x: Tensor, layers: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Nothing is bent. Without a ReLU between the layers the whole network is one layer."""
    for weight, bias in layers:
        x = x @ weight.T + bias
    return x


def wrong_relu_before(x: Tensor, layers: list[tuple[Tensor, Tensor]]) -> Tensor:
    """You bent the input before each layer. What is negative in x is lost then.

    Bend what comes out instead.
    """
    for weight, bias in layers:
        x = x.clamp(min=0) @ weight.T + bias
    return x


def wrong_hidden(x: Tensor, layers: list[tuple[Tensor, Tensor]]) -> Tensor:
    """You returned what the last hidden layer puts out. The last layer itself is missing."""
    for weight, bias in layers[:-1]:
        x = (x @ weight.T + bias).clamp(min=0)
    return x


def wrong_first_only(x: Tensor, layers: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Each layer took the examples themselves. It must take what the layer before it put out."""
    made = x
    for weight, bias in layers[:-1]:
        made = (x @ weight.T + bias).clamp(min=0)
    weight, bias = layers[-1]
    return made @ weight.T + bias


def wrong_bias_after_relu(x: Tensor, layers: list[tuple[Tensor, Tensor]]) -> Tensor:
    """You added the bias after the ReLU. It belongs to the weighted sum: it decides where the bend is."""
    for weight, bias in layers[:-1]:
        x = (x @ weight.T).clamp(min=0) + bias
    weight, bias = layers[-1]
    return x @ weight.T + bias


def wrong_one_relu(x: Tensor, layers: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Only the first layer is bent. Each layer but the last has a ReLU of its own."""
    for place, (weight, bias) in enumerate(layers):
        x = x @ weight.T + bias
        if place == 0 and len(layers) > 1:
            x = x.clamp(min=0)
    return x


def network(seed: int, sizes: tuple[int, ...]) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
    dice = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=dice, dtype=torch.float64)

    return draw(5, sizes[0]), [(draw(n, m), draw(n)) for m, n in itertools.pairwise(sizes)]


def case(seed: int) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
    """Three layers of one width, so that every mistake runs."""
    return network(seed, (4, 4, 4, 4))


def check_one_layer(answer: Answer, seed: int) -> None:
    x, layers = network(seed, (3, 2))
    found = must_be_tensor(answer(x, layers), (5, 2), "The result of one layer with 2 units")
    compare(found, solution(x, layers), "one layer alone, which is the last")


def check_three_layers(answer: Answer, seed: int) -> None:
    x, layers = case(seed)
    found = must_be_tensor(answer(x, layers), (5, 4), "The result of three layers")
    compare(found, solution(x, layers), "three layers")


def check_other_sizes(answer: Answer, seed: int) -> None:
    x, layers = network(seed, (3, 6, 2, 1))
    found = must_be_tensor(
        answer(x, layers), (5, 1), "The result for 3 inputs, layers of 6 and 2, and 1 output"
    )
    compare(found, solution(x, layers), "layers of 6, 2 and 1 units")


def compare(found: Tensor, wanted: Tensor, what: str) -> None:
    if not torch.allclose(found, wanted, 1e-6, 1e-9):
        example, unit = divmod(int((found - wanted).abs().argmax()), found.shape[1])
        raise Fail(
            f"For {what}, output {unit} of example {example} is {float(wanted[example, unit]):.4f};"
            f" yours is {float(found[example, unit]):.4f}."
        )
