"""A deep fully connected network, built so that one thing at a time can be changed and its effect measured.

A hidden layer is a linear map and a bend; Rumelhart, Hinton and Williams (1986) showed how to train a stack
of them. Whether twenty on top of each other learn anything depends on a few choices, each found decades
later and each a switch here: the bend, the size of the first weights, a norm before the bend, and a way
round the layer. Let a(x) = dropout(activation(norm(x))). A layer is

    none      y = a(W x + b)
    residual  y = x + W a(x) + b                    He et al. 2016, arXiv 1603.05027, section 4
    highway   y = t a(W x + b) + (1 - t) x          Srivastava et al. 2015, arXiv 1505.00387, equation 3
              t = sigmoid(V x + c)                  c < 0, so that at first nearly all of x is carried on

All three begin with a layer from the pixels to the width, which has no way round, and end in a linear map to
the classes. The residual net cuts the same chain elsewhere: the first layer is W x + b, and the last map
reads a(x). Without its "x +" it is the plain net, so nothing but the sum differs.

Axes used below
    b  batch      c  channels      h, w  height, width in pixels
    p  numbers of one picture, c h w             d  width of a hidden layer
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fathom.card import Card
from fathom.fundamentals.activations.elu import elu, selu
from fathom.fundamentals.activations.gelu import gelu
from fathom.fundamentals.activations.hardswish import hardswish
from fathom.fundamentals.activations.leaky_relu import leaky_relu
from fathom.fundamentals.activations.mish import mish
from fathom.fundamentals.activations.relu import relu
from fathom.fundamentals.activations.sigmoid import sigmoid
from fathom.fundamentals.activations.swish import swish
from fathom.fundamentals.activations.tanh import tanh
from fathom.fundamentals.initialization.he import he_normal_
from fathom.fundamentals.initialization.lecun import lecun_normal_
from fathom.fundamentals.initialization.orthogonal import orthogonal_
from fathom.fundamentals.initialization.xavier import xavier_normal_, xavier_uniform_
from fathom.fundamentals.normalization.batch_norm import BatchNorm
from fathom.fundamentals.normalization.layer_norm import LayerNorm
from fathom.fundamentals.normalization.rms_norm import RMSNorm
from fathom.fundamentals.regularization.dropout import dropout

if TYPE_CHECKING:
    from fathom.training import Experiment

CARD = Card(
    title="Deep fully connected network",
    paper="https://doi.org/10.1038/323533a0",
    year=1986,
    summary="A stack of dense layers whose activation, first weights, norm and skip are switches to compare.",
    rows=("NF04",),
    builds_on=(
        "sigmoid", "tanh", "relu", "leaky_relu", "elu", "swish", "gelu", "mish", "hardswish",
        "he", "xavier", "lecun", "orthogonal", "batch_norm", "layer_norm", "rms_norm", "dropout",
    ),
    differs=(
        "Ten activations, norms, dropout and skips are of later papers; the one of 1986 has sigmoids only.",
        "Softmax and cross-entropy: the paper takes the squared error of sigmoid outputs.",
        "Branches of a residual net begin smaller by the square root of their number; He et al. let the"
        " norms take care of that, which are a switch of their own here.",
        "A residual branch holds one linear map; that of He et al. holds two convolutions.",
    ),
    oracle="nn.Sequential of torch's own layers, loops over the same weights, sklearn's MLPClassifier;"
    " Keras's dense layers, weights both ways",
)  # fmt: skip

Activation = Literal[
    "sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "swish", "gelu", "mish", "hardswish"
]
Initialization = Literal["he", "xavier", "lecun", "orthogonal", "normal"]
Normalization = Literal["none", "batch", "layer", "rms"]
Skip = Literal["none", "residual", "highway"]
SWITCHES = {
    "activation": Activation,
    "initialization": Initialization,
    "normalization": Normalization,
    "skip": Skip,
}

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": sigmoid, "tanh": tanh, "relu": relu, "leaky_relu": leaky_relu, "elu": elu,
    "selu": selu, "swish": swish, "gelu": gelu, "mish": mish, "hardswish": hardswish,
}  # fmt: skip
NORMS: dict[str, Callable[[int], nn.Module]] = {
    "none": nn.Identity, "batch": BatchNorm, "layer": LayerNorm, "rms": RMSNorm,
}  # fmt: skip
FIRST_WEIGHTS: dict[str, Callable[[Tensor], Tensor]] = {
    "he": he_normal_,
    "xavier": xavier_normal_,
    "lecun": lecun_normal_,
    "orthogonal": lambda weight: orthogonal_(weight, gain=2**0.5),
    "normal": lambda weight: weight.normal_(std=0.01),
}
GATE_BIAS = -3.0  # a highway layer begins by carrying 95 % of its input


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and switches. The default is the plain net that lessons begin with, for digits of 28x28."""

    image_size: int = 28
    channels: int = 1
    classes: int = 10
    width: int = 64
    depth: int = 20  # hidden layers
    activation: Activation = "relu"
    initialization: Initialization = "he"
    normalization: Normalization = "none"
    skip: Skip = "none"
    dropout: float = 0.0  # after each activation

    def __post_init__(self) -> None:
        for name in ("image_size", "channels", "classes", "width", "depth"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        for name, values in SWITCHES.items():
            if getattr(self, name) not in get_args(values):
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}; it must be one of {', '.join(get_args(values))}"
                )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it must be in [0, 1)")

    @property
    def inputs(self) -> int:
        """Numbers of one picture: 784 for digits."""
        return self.channels * self.image_size**2

    def build(self) -> "DeepMLP":
        return DeepMLP(self)


class Activated(nn.Module):
    """a(x): what stands between two linear maps."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.norm = NORMS[cfg.normalization](cfg.width)
        self.activation = ACTIVATIONS[cfg.activation]
        self.dropout = cfg.dropout

    def forward(self, x: Float[Tensor, "b d"]) -> Float[Tensor, "b d"]:
        return dropout(self.activation(self.norm(x)), self.dropout, self.training)


class Plain(nn.Module):
    """y = a(W x + b)."""

    def __init__(self, cfg: Config, inputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, cfg.width)
        self.activated = Activated(cfg)

    def forward(self, x: Float[Tensor, "b n"]) -> Float[Tensor, "b d"]:
        return self.activated(self.linear(x))


class Residual(nn.Module):
    """y = x + W a(x) + b: what the layer learns is a correction, and the sum lets gradients pass whole."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.activated = Activated(cfg)
        self.linear = nn.Linear(cfg.width, cfg.width)

    def forward(self, x: Float[Tensor, "b d"]) -> Float[Tensor, "b d"]:
        return x + self.linear(self.activated(x))


class Highway(nn.Module):
    """y = t a(W x + b) + (1 - t) x: each unit chooses, for each input, how much of it to change."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.plain = Plain(cfg, cfg.width)
        self.gate = nn.Linear(cfg.width, cfg.width)

    def forward(self, x: Float[Tensor, "b d"]) -> Float[Tensor, "b d"]:
        return torch.lerp(x, self.plain(x), sigmoid(self.gate(x)))  # x + t (a - x), in one call


class DeepMLP(nn.Module):
    """Pixels to width, ``depth - 1`` layers of that width, and a linear map to the classes."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.cfg = cfg
        count = cfg.depth - 1
        if cfg.skip == "residual":
            self.entry = nn.Linear(cfg.inputs, cfg.width)
            layers = [Residual(cfg) for _ in range(count)] + [Activated(cfg)]
        else:
            self.entry = Plain(cfg, cfg.inputs)
            layers = [Highway(cfg) if cfg.skip == "highway" else Plain(cfg, cfg.width) for _ in range(count)]
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(cfg.width, cfg.classes)
        self.init_weights()

    @torch.no_grad()
    def init_weights(self) -> None:
        """All initialisation in one place. What ``initialization`` says holds for each W, whatever follows.

        he           normal, variance 2 / fan in
        xavier       normal, variance 2 / (fan in + fan out)
        lecun        normal, variance 1 / fan in
        orthogonal   a rotation times sqrt 2: the scale of he, with no direction stretched or crushed
        normal       normal, std = 0.01: the habit before 2010
        residual     a branch's W is divided by sqrt(number of branches), so that their sum keeps its size
        gate         V Xavier uniform, c = -3
        head         normal, variance 1 / fan in
        other biases zeros; norms 1 and 0
        """
        draw = FIRST_WEIGHTS[self.cfg.initialization]
        for module in self.modules():
            if isinstance(module, nn.Linear):
                draw(module.weight)
                nn.init.zeros_(module.bias)
        for module in self.modules():
            if isinstance(module, Residual):
                module.linear.weight.mul_((self.cfg.depth - 1) ** -0.5)
            elif isinstance(module, Highway):
                xavier_uniform_(module.gate.weight)
                nn.init.constant_(module.gate.bias, GATE_BIAS)
        lecun_normal_(self.head.weight)

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b classes"]:
        return self.head(self.layers(self.entry(image.flatten(1))))


# Keras numbers its dense layers; the last one is `rewritten` to the head that it is.
UPSTREAMS = {
    "keras": {"dense": "entry.linear", "dense_{i+1}": "layers.{i}.linear", "head": "head"},
}


def rewritten(state: Mapping[str, Tensor], cfg: Config) -> dict[str, Tensor]:
    """``state`` with Keras's last dense layer called the head; pictures in colour are read channels first."""
    numbers = [int(n.split(".")[0].removeprefix("dense_")) for n in state if n.startswith("dense_")]
    last = f"dense_{max(numbers, default=0)}."
    found: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if name == "dense.weight" and tensor.shape[1:] == (cfg.inputs,):
            pixels = tensor.unflatten(1, (cfg.inputs // cfg.channels, cfg.channels))
            tensor = pixels.transpose(1, 2).flatten(1)
        found[name.replace(last, "head.") if name.startswith(last) else name] = tensor
    return found


def keras_arrays(model: DeepMLP) -> dict[str, Any]:
    """The arrays of the same layers in Keras, "dense/kernel"; see `to_keras`.

    Raises ``ValueError`` for a model with norms or skips, which a chain of dense layers has not.
    """
    from fathom.training.keras_layout import to_keras
    from fathom.training.weights import upstream_state

    cfg = model.cfg
    if (cfg.normalization, cfg.skip) != ("none", "none"):
        raise ValueError("a chain of Keras's dense layers has no norms or skips; give a model without")
    found: dict[str, Tensor] = {}
    for name, tensor in upstream_state(model, UPSTREAMS["keras"]).items():
        if name == "dense.weight":
            tensor = tensor.unflatten(1, (cfg.channels, -1)).transpose(1, 2).flatten(1)
        found[name.replace("head.", f"dense_{cfg.depth}.")] = tensor
    return to_keras(found)


def mlp128(weights: Any = None, classes: int = 10, channels: int = 1) -> DeepMLP:
    """The net that most introductions begin with: 784 pixels, 128 rectified units, dropout of 0.2, classes.

    101,770 parameters with 10 classes. ``weights`` is a .safetensors, .h5 or .keras file, a run folder or a
    state dict, with the names of Fathom or Keras; with another number of classes the head starts anew. What
    was taken over is printed and kept as ``load_report``.
    """
    cfg = Config(width=128, depth=1, dropout=0.2, classes=classes, channels=channels)
    model = cfg.build()
    if weights is not None:
        from fathom.training.weights import load_weights

        before = partial(rewritten, cfg=cfg)
        load_weights(model, weights, head=("head",), upstreams=UPSTREAMS, before=before)
    return model


def tiny() -> "Experiment":
    """The smallest complete run: bars of four directions, a second on one core. Tests run it."""
    from fathom.data.drawn import bars
    from fathom.tasks.image_classification import ImageClassification
    from fathom.training import AdamW, CrossEntropy, Experiment, GradientDescent

    return Experiment(
        model=Config(image_size=16, classes=4, width=32, depth=4, normalization="layer", skip="highway"),
        data=bars(size=16, train=256, valid=64),
        task=ImageClassification(labels=("-", "|", "/", "\\"), channels=1, height=16, width=16),
        learning=GradientDescent(objective=CrossEntropy(), optimizer=AdamW(learning_rate=3e-3)),
        batch_size=32,
        steps=60,
    )
