"""LeNet-5: convolutions that share weights across the image, read by a small classifier.

LeCun et al. (1998) alternate convolutions, which look for the same small pattern everywhere, with
subsampling, which forgets exactly where it was found. Two such pairs turn 32x32 pixels into 16
maps of 5x5; a third convolution covers those whole and yields 120 numbers; two dense layers give
the ten classes. With full connections from S2 to C3 the network has 61,706 parameters. The paper
connects each map of C3 to some maps of S2 only (Table I), to break symmetry and save work;
``sparse`` does that.

Axes used below
    b  batch      c  channels      h, w  height, width in pixels
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.training import Experiment

CARD = Card(
    title="LeNet-5",
    paper="https://doi.org/10.1109/5.726791",
    year=1998,
    summary="Reads handwritten digits with shared convolutions, pooling and a small dense classifier.",
    rows=("CL04",),
    differs=(
        "Plain average pooling: the paper's subsampling also learns a coefficient and a bias for each map.",
        "Softmax over a dense layer: the paper measures the distance to fixed 7x12 bitmaps (section III).",
        "tanh without the paper's scaling 1.7159 tanh(2x/3) (Appendix A), so the usual initialisation fits.",
    ),
    oracle="nn.Sequential of torch's own layers, same weights; shapes and counts of the paper's Figure 2;"
    " Keras's layers, weights both ways",
)

# Table I: the maps of S2 that feed each of the 16 maps of C3.
TABLE_I = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5), (0, 1, 2, 3, 4, 5),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the model. The defaults are the paper's for digits of 28x28 pixels."""

    image_size: int = 28
    channels: int = 1
    classes: int = 10
    sparse: bool = False  # connect S2 to C3 as Table I says, instead of fully

    def __post_init__(self) -> None:
        if self.image_size < 12 or self.image_size % 4:
            raise ValueError(f"image_size is {self.image_size}; it must be a multiple of 4, 12 or more")
        for name in ("channels", "classes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")

    @property
    def map_size(self) -> int:
        """Side of the maps that C5 covers whole: 5 for digits."""
        return (self.image_size // 2 - 4) // 2

    def build(self) -> "LeNet":
        return LeNet(self)


class SparseConvolution(nn.Conv2d):
    """A convolution some of whose connections are cut: their weights stay zero."""

    connected: Tensor

    def __init__(self, inputs: int, table: tuple[tuple[int, ...], ...], kernel_size: int) -> None:
        super().__init__(inputs, len(table), kernel_size)
        connected = torch.zeros(len(table), inputs, 1, 1)
        for output, chosen in enumerate(table):
            connected[output, list(chosen)] = 1
        self.register_buffer("connected", connected)

    def forward(self, input: Float[Tensor, "b c h w"]) -> Float[Tensor, "b maps rows columns"]:
        return F.conv2d(input, self.weight * self.connected, self.bias)


class LeNet(nn.Module):
    """Layers carry the paper's names: C for convolution, S for subsampling, F for fully connected."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.cfg = cfg
        # Digits of 28 pixels are padded to the paper's 32, so that strokes reach the centre of C1's fields.
        self.c1 = nn.Conv2d(cfg.channels, 6, kernel_size=5, padding=2)
        self.s2 = nn.AvgPool2d(2)
        self.c3 = SparseConvolution(6, TABLE_I, 5) if cfg.sparse else nn.Conv2d(6, 16, kernel_size=5)
        self.s4 = nn.AvgPool2d(2)
        self.c5 = nn.Conv2d(16, 120, kernel_size=cfg.map_size)
        self.f6 = nn.Linear(120, 84)
        self.output = nn.Linear(84, cfg.classes)
        self.init_weights()

    @torch.no_grad()
    def init_weights(self) -> None:
        """All initialisation in one place.

        every weight   Xavier uniform, gain 5/3 for tanh (the output layer: gain 1)
        every bias     zeros
        """
        for layer in (self.c1, self.c3, self.c5, self.f6, self.output):
            gain = 1.0 if layer is self.output else nn.init.calculate_gain("tanh")
            nn.init.xavier_uniform_(layer.weight, gain=gain)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b classes"]:
        x = self.s2(torch.tanh(self.c1(image)))
        x = self.s4(torch.tanh(self.c3(x)))
        x = torch.tanh(self.c5(x)).flatten(1)
        return self.output(torch.tanh(self.f6(x)))


# The same layers as keras.Sequential numbers them: two convolutions and three dense layers. The third
# convolution covers its maps whole, which makes it a dense layer there.
UPSTREAMS = {
    "keras": {"conv2d": "c1", "conv2d_1": "c3", "dense": "c5", "dense_1": "f6", "dense_2": "output"},
}


def rewritten(state: Mapping[str, Tensor], cfg: Config) -> dict[str, Tensor]:
    """``state`` with Keras's first dense layer, on maps flattened channels last, as a convolution."""
    found = dict(state)
    weight = found.get("dense.weight")
    if weight is not None and weight.shape[1:] == (16 * cfg.map_size**2,):
        maps = weight.unflatten(1, (cfg.map_size, cfg.map_size, 16))
        found["dense.weight"] = maps.permute(0, 3, 1, 2).contiguous()
    return found


def keras_arrays(model: LeNet) -> dict[str, Any]:
    """The arrays of the same network in Keras, "conv2d/kernel"; see `to_keras`.

    Raises ``ValueError`` for the sparse net, whose layer Keras has not.
    """
    from fathom.training.keras_layout import to_keras
    from fathom.training.weights import upstream_state

    if model.cfg.sparse:
        raise ValueError("Keras has no layer for Table I; give a model with sparse=False")
    found = upstream_state(model, UPSTREAMS["keras"])
    found["dense.weight"] = found["dense.weight"].permute(0, 2, 3, 1).flatten(1)
    return to_keras(found)


# Weights of our own that the package itself carries, made by tools/make_weights.py; no network is needed.
WEIGHTS: dict[str, dict[str, dict[str, Any]]] = {
    "lenet5": {
        "MNIST": {
            "upstream": "fathom",
            "file": "lenet5_mnist.safetensors",
            "sha256": "db5f2ccf40ccefcef5d651a801859133c22c53a1bf53d7ca4be184ede8e1fc4e",
            "licence": "CC BY-SA 3.0, as that of the digits it was trained on",
            "accuracy": {"top-1": 99.29},  # per cent of the 10,000 test digits
            "preprocessing": {"crop": 28, "mean": (0.1307,), "deviation": (0.3081,), "ink": "light"},
        }
    }
}


def lenet5(weights: Any = None, classes: int = 10, channels: int = 1) -> LeNet:
    """LeNet-5 for 28x28 pixels: 61,706 parameters with 10 classes and 1 channel.

    ``weights`` is "MNIST", a .safetensors, .h5 or .keras file, a run folder or a state dict, with the names
    of Fathom or Keras; with another number of classes the output layer starts anew. What was taken over is
    printed and kept as ``load_report``.
    """
    cfg = Config(classes=classes, channels=channels)
    model = cfg.build()
    if weights is not None:
        from fathom.training.weights import load_weights

        known = WEIGHTS["lenet5"]
        given = carried(weights) if isinstance(weights, str) and weights in known else weights
        before = partial(rewritten, cfg=cfg)
        load_weights(model, given, head=("output",), upstreams=UPSTREAMS, published=known, before=before)
    return model


def carried(name: str) -> Any:
    """The tensors of a file that the package carries, with what its entry of ``WEIGHTS`` tells."""
    from importlib import resources

    from fathom.training.weights import read_safetensors, told_by

    facts = WEIGHTS["lenet5"][name]
    folder = resources.files("fathom") / "data" / "embedded" / "weights"
    with resources.as_file(folder / facts["file"]) as file:
        return told_by(facts, read_safetensors(file).state)


def tiny() -> "Experiment":
    """The smallest complete run: bars of four directions, a second on one core. Tests run it."""
    from fathom.data.drawn import bars
    from fathom.tasks.image_classification import ImageClassification
    from fathom.training import AdamW, CrossEntropy, Experiment, GradientDescent

    return Experiment(
        model=Config(image_size=16, classes=4),
        data=bars(size=16, train=256, valid=64),
        task=ImageClassification(labels=("-", "|", "/", "\\"), channels=1, height=16, width=16),
        learning=GradientDescent(objective=CrossEntropy(), optimizer=AdamW(learning_rate=3e-3)),
        batch_size=32,
        steps=60,
    )
