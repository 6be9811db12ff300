"""Networks on the NumPy engine: from the perceptron of 1958 to an attention block, without torch.

    perceptron   w <- w + (t - y) x, where y = [w x + b > 0]         Rosenblatt 1958
    linear       y = x W + b
    MLP          linear, relu, linear, relu, ..., linear             Rumelhart, Hinton and Williams 1986
    CNN          (convolution, max pool, relu) twice, then linear    LeCun et al. 1998, section II
    LSTM cell    i, f, o = sigmoid and g = tanh of x W + h U + b     Hochreiter and Schmidhuber 1997;
                 c' = f c + i g      h' = o tanh(c')                 Gers, Schmidhuber and Cummins 2000
    attention    softmax(q k^T / sqrt(e)) v, for each head           Vaswani et al. 2017, equation 1
    block        x + attention(norm x), then x + MLP(norm x)         Xiong et al. 2020, figure 1b

A layer holds tensors and is called; ``parameters`` finds every tensor in it. The perceptron needs no
gradients: its rule moves the weights on mistakes only, and ends where a plane parts the classes.
Weight matrices are (in, out), so that a layer is the product x W as it is written above.

Axes used below
    b  batch      s  sequence      d  width      k  heads      e  width of a head, d / k
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fathom.card import Card
from fathom.fundamentals.autograd import Tensor, where
from fathom.fundamentals.autograd_functions import convolution, gelu, layer_norm, max_pool, softmax

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Networks on NumPy",
    paper="https://doi.org/10.1038/323533a0",
    year=1986,
    summary="Perceptron, MLP, CNN, LSTM cell and attention block, small enough to read in one sitting.",
    rows=("NF04",),
    builds_on=("autograd", "autograd_functions"),
    differs=("The paper's units are sigmoids; ours are ReLUs, and there are later kinds of layers too.",),
    oracle="torch.nn.Sequential, LSTMCell and TransformerEncoderLayer with the same weights, values and "
    "gradients in float64; scikit-learn's MLPClassifier and Perceptron",
)


class Layer:
    """Something with parameters that is called: a layer, or a network of layers."""

    def parameters(self) -> list[Tensor]:
        """Every tensor held by this layer, its layers and its lists of them, in the order they were set."""
        found: list[Tensor] = []
        for value in vars(self).values():
            for part in value if isinstance(value, list | tuple) else [value]:
                found += [part] if isinstance(part, Tensor) else []
                found += part.parameters() if isinstance(part, Layer) else []
        return found


class Linear(Layer):
    """x W + b, (..., i) -> (..., o). W is drawn with variance 2 / i, He's for what follows a ReLU; b is 0."""

    def __init__(
        self, inputs: int, outputs: int, generator: np.random.Generator, dtype: type = np.float32
    ) -> None:
        positive(inputs=inputs, outputs=outputs)
        self.weight = drawn((inputs, outputs), inputs, generator, dtype)
        self.bias = Tensor(np.zeros(outputs, dtype), requires_grad=True)

    def __call__(self, x: Tensor) -> Tensor:
        return x @ self.weight + self.bias


class MLP(Layer):
    """Linear layers with ReLUs between them; ``sizes`` are those of input, hidden layers and output."""

    def __init__(
        self, sizes: Sequence[int], generator: np.random.Generator, dtype: type = np.float32
    ) -> None:
        if len(sizes) < 2:
            raise ValueError(f"sizes is {list(sizes)}; an MLP needs those of its input and its output")
        self.layers = [Linear(i, o, generator, dtype) for i, o in itertools.pairwise(sizes)]

    def __call__(self, x: Tensor) -> Tensor:
        """(b, ...) -> (b, outputs): each input is one row of numbers."""
        x = x.reshape(len(x), -1)
        for layer in self.layers[:-1]:
            x = layer(x).relu()
        return self.layers[-1](x)


class Convolution(Layer):
    """Kernels (o, c, k, k), drawn as in ``Linear``, that keep the picture's size where k is odd."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, generator: np.random.Generator, dtype: type = np.float32
    ) -> None:
        positive(inputs=inputs, outputs=outputs, kernel=kernel)
        shape = (outputs, inputs, kernel, kernel)
        self.weight = drawn(shape, inputs * kernel * kernel, generator, dtype)
        self.bias = Tensor(np.zeros(outputs, dtype), requires_grad=True)
        self.padding = kernel // 2

    def __call__(self, x: Tensor) -> Tensor:
        return convolution(x, self.weight, self.bias, padding=self.padding)


class SmallCNN(Layer):
    """Pictures (b, 1, side, side) to scores (b, classes), with two convolutions and one linear layer."""

    def __init__(
        self,
        generator: np.random.Generator,
        side: int = 28,
        channels: tuple[int, int] = (8, 16),
        classes: int = 10,
        dtype: type = np.float32,
    ) -> None:
        if side % 4 or side < 4:
            raise ValueError(f"side is {side}; it must be a multiple of 4, since it is halved twice")
        self.first = Convolution(1, channels[0], 5, generator, dtype)
        self.second = Convolution(channels[0], channels[1], 5, generator, dtype)
        self.head = Linear(channels[1] * (side // 4) ** 2, classes, generator, dtype)

    def __call__(self, x: Tensor) -> Tensor:
        x = max_pool(self.first(x), 2).relu()  # the same as relu first, on a quarter of the values
        x = max_pool(self.second(x), 2).relu()
        return self.head(x.reshape(len(x), -1))


class LSTMCell(Layer):
    """One step of an LSTM: x (b, i), h and c (b, w) -> new h and c. The order of gates is i, f, g, o."""

    def __init__(
        self, inputs: int, width: int, generator: np.random.Generator, dtype: type = np.float32
    ) -> None:
        positive(inputs=inputs, width=width)
        self.width = width
        self.from_input = drawn((inputs, 4 * width), 2 * inputs, generator, dtype)
        self.from_output = drawn((width, 4 * width), 2 * width, generator, dtype)
        bias = np.zeros(4 * width, dtype)
        bias[width : 2 * width] = 1  # cells keep what they hold at first (Gers et al. 2000)
        self.bias = Tensor(bias, requires_grad=True)

    def __call__(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        gates = x @ self.from_input + h @ self.from_output + self.bias
        i, f, g, o = (gates[:, n * self.width : (n + 1) * self.width] for n in range(4))
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c


class AttentionBlock(Layer):
    """Self-attention and an MLP, each on normalised input and added to it: (b, s, d) -> (b, s, d)."""

    def __init__(
        self,
        width: int,
        heads: int,
        generator: np.random.Generator,
        causal: bool = False,
        dtype: type = np.float32,
    ) -> None:
        positive(width=width, heads=heads)
        if width % heads:
            raise ValueError(f"heads is {heads}; it must divide width, {width}")
        self.heads, self.causal = heads, causal
        self.query_key_value = Linear(width, 3 * width, generator, dtype)
        self.out = Linear(width, width, generator, dtype)
        self.wide, self.narrow = (
            Linear(i, o, generator, dtype) for i, o in ((width, 4 * width), (4 * width, width))
        )
        self.scales = [Tensor(np.ones(width, dtype), requires_grad=True) for _ in range(2)]
        self.shifts = [Tensor(np.zeros(width, dtype), requires_grad=True) for _ in range(2)]

    def __call__(self, x: Tensor) -> Tensor:
        x = x + self.attend(layer_norm(x, self.scales[0], self.shifts[0]))
        return x + self.narrow(gelu(self.wide(layer_norm(x, self.scales[1], self.shifts[1]))))

    def attend(self, x: Tensor) -> Tensor:
        b, s, d = x.shape
        apart = self.query_key_value(x).reshape(b, s, 3, self.heads, d // self.heads)
        q, k, v = (apart[:, :, n].transpose(0, 2, 1, 3) for n in range(3))  # each (b, k, s, e)
        return self.out(attention(q, k, v, self.causal).transpose(0, 2, 1, 3).reshape(b, s, d))


def attention(q: Tensor, k: Tensor, v: Tensor, causal: bool = False) -> Tensor:
    """softmax(q k^T / sqrt(e)) v over (..., s, e); with ``causal`` no place sees a later one."""
    if q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
        raise ValueError(f"q {q.shape}, k {k.shape} and v {v.shape} do not fit; (..., s, e) alike do")
    scores = q @ k.swapaxes(-1, -2) / float(q.shape[-1]) ** 0.5
    if causal:
        seen = np.tri(q.shape[-2], k.shape[-2], dtype=bool)
        scores = where(seen, scores, -np.inf)
    return softmax(scores) @ v


def perceptron(
    inputs: np.ndarray, labels: np.ndarray, epochs: int = 100
) -> tuple[np.ndarray, float, list[int]]:
    """Rosenblatt's rule: weights, bias and the mistakes of each pass, over (n, d) with labels 0 and 1.

    It stops after a pass without a mistake, which comes if some plane parts the classes (Novikoff 1962).
    Raises ValueError for other labels, or shapes that do not fit.
    """
    if inputs.ndim != 2 or labels.shape != inputs.shape[:1] or not np.isin(labels, (0, 1)).all():
        raise ValueError(
            f"inputs {inputs.shape} and labels {labels.shape} do not fit; (n, d) and (n,) of 0 and 1 do"
        )
    weight, bias, mistakes = np.zeros(inputs.shape[1]), 0.0, []
    while len(mistakes) < epochs and (not mistakes or mistakes[-1]):
        mistakes.append(0)
        for x, label in zip(inputs, labels, strict=True):
            error = int(label) - int(x @ weight + bias > 0)
            weight, bias = weight + error * x, bias + error
            mistakes[-1] += abs(error)
    return weight, bias, mistakes


def drawn(shape: tuple[int, ...], fan_in: int, generator: np.random.Generator, dtype: type) -> Tensor:
    """A parameter with entries from a normal distribution of variance 2 / fan_in (He et al. 2015)."""
    values = generator.normal(0.0, (2 / fan_in) ** 0.5, shape)
    return Tensor(values.astype(dtype), requires_grad=True)


def positive(**sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} is {size}; it must be 1 or more")


def mlp_by_hand(x: np.ndarray, *weights: np.ndarray) -> np.ndarray:
    """An MLP without biases, one neuron at a time."""
    for depth, weight in enumerate(weights):
        sums = [[sum(row * column) for column in weight.T] for row in x]
        x = np.array([[z if depth + 1 == len(weights) else max(z, 0.0) for z in row] for row in sums])
    return x


def lstm_by_hand(
    x: np.ndarray, h: np.ndarray, c: np.ndarray, into: np.ndarray, back: np.ndarray, bias: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """One LSTM step of one sequence, one cell at a time."""
    new_h, new_c = np.zeros_like(h), np.zeros_like(c)
    for n in range(len(c)):
        z = [x @ into[:, m] + h @ back[:, m] + bias[m] for m in range(n, len(bias), len(c))]
        i, f, o = (1 / (1 + np.exp(-z[m])) for m in (0, 1, 3))
        new_c[n] = f * c[n] + i * np.tanh(z[2])
        new_h[n] = o * np.tanh(new_c[n])
    return new_h, new_c


def attention_by_hand(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Causal attention of one head: each place averages the values up to its own, by likeness."""
    out = np.zeros_like(v)
    for place in range(len(q)):
        likeness = [np.exp(q[place] @ k[other] / np.sqrt(q.shape[1])) for other in range(place + 1)]
        for share, value in zip(likeness, v, strict=False):
            out[place] += share / sum(likeness) * value
    return out


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    dice = np.random.default_rng(0)

    def mlp(x: np.ndarray, *weights: np.ndarray) -> np.ndarray:
        network = MLP([len(weight) for weight in weights] + [weights[-1].shape[1]], dice, np.float64)
        for layer, weight in zip(network.layers, weights, strict=True):
            layer.weight = Tensor(weight)
        return network(Tensor(x)).data

    def lstm(x: np.ndarray, h: np.ndarray, c: np.ndarray, *weights: np.ndarray) -> tuple[np.ndarray, ...]:
        cell = LSTMCell(len(x), len(h), dice, np.float64)
        cell.from_input, cell.from_output, cell.bias = (Tensor(weight) for weight in weights)
        return tuple(out.data[0] for out in cell(*(Tensor(part[None]) for part in (x, h, c))))

    def attend(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
        return attention(Tensor(q), Tensor(k), Tensor(v), causal=True).data

    def arrays(*shapes: tuple[int, ...]) -> tuple[np.ndarray, ...]:
        return tuple(dice.normal(size=shape) for shape in shapes)

    yield Twin("MLP", mlp, mlp_by_hand, arrays((4, 3), (3, 5), (5, 2)), gradients=False)
    sizes = (3,), (2,), (2,), (3, 8), (2, 8), (8,)
    yield Twin("LSTM cell", lstm, lstm_by_hand, arrays(*sizes), gradients=False)
    yield Twin("attention", attend, attention_by_hand, arrays((4, 3), (4, 3), (4, 3)), gradients=False)
