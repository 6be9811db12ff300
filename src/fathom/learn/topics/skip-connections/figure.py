"""Three figures: gradients on their way back, nets that learn with and without skips, and a gate's bias."""

import math
from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace

import torch
from torch import Tensor, nn

from fathom.fundamentals.initialization.he import he_normal_
from fathom.fundamentals.initialization.xavier import xavier_normal_
from fathom.fundamentals.losses.cross_entropy import cross_entropy
from fathom.fundamentals.networks.gradient_flow import stack
from fathom.fundamentals.networks.highway import Highway, highway
from fathom.fundamentals.optimizers.sgd import sgd
from fathom.learn.engine.figure import figure, log_slider, slider, whole
from fathom.learn.engine.marks import Curve, Frame, Panel, Scatter, frame, number

WIDTH, BATCH, CLASSES = 24, 48, 10
PARTS = {"relu": 2, "norm": 3, "residual": 1}  # modules that a layer of each kind of stack is made of
NAMES = {"relu": "plain", "norm": "plain with norms", "residual": "with skips", "highway": "highway"}
LEAST, MOST = 1e-18, 1e18  # what is drawn; beyond that nothing more is to be seen


def blocks_of(
    kind: str, depth: int, scale: float, dice: torch.Generator
) -> tuple[list[nn.Module], nn.Module]:
    """The layers of a fresh stack of one kind, one module each, and what stands behind the last of them."""
    parts = list(stack(kind, depth, WIDTH, CLASSES, scale=scale, generator=dice))
    size = PARTS[kind]
    layers = [nn.Sequential(*parts[at * size : (at + 1) * size]) for at in range(depth)]
    return [*layers], nn.Sequential(*parts[depth * size :])


def highways(
    depth: int, scale: float, bias: float, dice: torch.Generator
) -> tuple[list[nn.Module], nn.Module]:
    """As many highway layers, whose gates begin at ``bias``, and a dense layer behind them."""
    layers: list[nn.Module] = []
    with torch.no_grad():
        for _ in range(depth):
            layer = Highway(WIDTH, gate_bias=bias)
            he_normal_(layer.transform.weight, generator=dice).mul_(scale)
            layer.transform.bias.zero_()
            xavier_normal_(layer.gate.weight, generator=dice)
            layers.append(layer)
        last = nn.Linear(WIDTH, CLASSES)
        he_normal_(last.weight, generator=dice)
        last.bias.zero_()
    return layers, last


def arriving(layers: Sequence[nn.Module], rest: nn.Module, x: Tensor, labels: Tensor) -> list[float]:
    """The norm of the loss's gradient in what each layer puts out, as a share of that at the last one."""
    made = []
    for layer in layers:
        x = layer(x)
        made.append(x)
    norms = [float(slope.norm()) for slope in torch.autograd.grad(cross_entropy(rest(x), labels), made)]
    return [min(max(norm / norms[-1], LEAST), MOST) for norm in norms]


@figure(
    depth=whole(2, 56, 30, "layers"),
    scale=log_slider(0.5, 2.0, 0.7, "size of the first weights (of He: 1)"),
    bias=slider(-6.0, 2.0, -3.0, "bias of the gates"),
    seed=whole(0, 9, 0, "seed"),
)
def gradients(c: SimpleNamespace) -> Frame:
    """How much of the gradient is left at each layer on its way back, in four fresh nets."""
    dice = torch.Generator().manual_seed(c.seed)
    x = torch.randn(BATCH, WIDTH, generator=dice)
    labels = torch.randint(CLASSES, (BATCH,), generator=dice)
    found = {kind: arriving(*blocks_of(kind, c.depth, c.scale, dice), x, labels) for kind in PARTS}
    found["highway"] = arriving(*highways(c.depth, c.scale, c.bias, dice), x, labels)
    curves = [
        Curve(
            name=NAMES[kind],
            points=tuple((float(place), number(share)) for place, share in enumerate(shares, 1)),
            tone=tone,
            dashed=kind == "norm",
        )
        for tone, (kind, shares) in enumerate(found.items())
    ]
    low = min(1e-6, *(min(shares) for shares in found.values()))
    high = max(1e6, *(max(shares) for shares in found.values()))
    first = ", ".join(f"{NAMES[kind]} {shares[0]:.2g}" for kind, shares in found.items())
    return frame(
        Panel(
            title="The gradient at each layer, as a share of that at the last",
            marks=tuple(curves),
            x="layer",
            y="share",
            x_range=(1.0, float(c.depth)),
            y_range=(number(low), number(high)),
            log_y=True,
        ),
        say=f"{c.depth} layers. Of the gradient at the last layer there arrives at the first: {first}.",
    )


COUNT, STEPS = 200, 60


def slices(seed: int) -> tuple[Tensor, Tensor]:
    """Points around the middle of a cake of six slices, and whether each lies on an odd or an even one."""
    dice = torch.Generator().manual_seed(100 + seed)
    angle = 2 * math.pi * torch.rand(COUNT, generator=dice)
    away = 0.5 + torch.rand(COUNT, generator=dice)
    return torch.stack([angle.cos() * away, angle.sin() * away], dim=1), (3 * angle).sin().gt(0).long()


def learner(kind: str, depth: int, scale: float, dice: torch.Generator) -> nn.Sequential:
    """A first layer from two numbers to the width, then a stack of one kind."""
    first = nn.Linear(2, WIDTH)
    with torch.no_grad():
        he_normal_(first.weight, generator=dice)
        first.bias.zero_()
    return nn.Sequential(first, stack(kind, depth, WIDTH, 2, scale=scale, generator=dice))


@figure(
    depth=whole(2, 40, 30, "layers"),
    scale=log_slider(0.5, 1.5, 0.7, "size of the first weights (of He: 1)"),
    rate=log_slider(0.003, 0.3, 0.05, "learning rate"),
    seed=whole(0, 9, 0, "seed"),
)
def learning(c: SimpleNamespace) -> Iterator[Frame]:
    """Three nets of equal depth learn the slices of a cake."""
    x, labels = slices(c.seed)
    dice = torch.Generator().manual_seed(c.seed)
    nets = {kind: learner(kind, c.depth, c.scale, dice) for kind in PARTS}
    optimizers = {kind: sgd(net.parameters(), c.rate) for kind, net in nets.items()}
    losses: dict[str, list[tuple[float, float]]] = {kind: [] for kind in nets}
    right = dict.fromkeys(nets, 0.0)
    for step in range(STEPS + 1):
        for kind, net in nets.items():
            scores = net(x)
            loss = cross_entropy(scores, labels)
            right[kind] = float((scores.argmax(dim=1) == labels).float().mean())
            value = float(loss.detach().nan_to_num(HIGHEST).clamp(LOWEST, HIGHEST))
            losses[kind].append((float(step), number(value)))
            optimizers[kind].zero_grad()
            loss.backward()
            optimizers[kind].step()
        if step % 4 == 0:
            yield frame(loss_panel(losses), say=f"step {step}: of {COUNT} points get right: {told(right)}.")


LOWEST, HIGHEST = 1e-3, 10.0  # losses that are drawn


def told(right: Mapping[str, float]) -> str:
    return ", ".join(f"{NAMES[kind]} {share:.0%}" for kind, share in right.items())


def loss_panel(losses: Mapping[str, Sequence[tuple[float, float]]]) -> Panel:
    return Panel(
        title="The loss while they learn",
        marks=tuple(
            Curve(name=NAMES[kind], points=tuple(found), tone=tone, dashed=kind == "norm")
            for tone, (kind, found) in enumerate(losses.items())
        ),
        x="step",
        y="loss",
        x_range=(0.0, float(STEPS)),
        y_range=(LOWEST, HIGHEST),
        log_y=True,
    )


@figure(
    bias=slider(-8.0, 4.0, -2.0, "bias of the gate"),
    layers=whole(1, 56, 20, "layers"),
)
def gate(c: SimpleNamespace) -> Frame:
    """What a fresh gate carries on: in one layer, and through all of them."""
    biases = torch.linspace(-8, 4, 49)
    carried = highway(torch.ones(49), torch.zeros(49), biases)  # of x = 1, where the layer itself says 0
    through = carried**c.layers
    mine = float(highway(torch.ones(1), torch.zeros(1), torch.tensor([c.bias])))
    across = [number(bias) for bias in biases]
    return frame(
        Panel(
            title="The share that is carried on",
            marks=(
                Curve(name="by one layer", points=tuple(zip(across, map(number, carried), strict=True))),
                Curve(
                    name=f"by {c.layers} layers",
                    points=tuple(zip(across, map(number, through), strict=True)),
                    tone=1,
                ),
                Scatter(points=((c.bias, number(mine)), (c.bias, number(mine**c.layers))), classes=(0, 1)),
            ),
            x="bias of the gate",
            y="share",
            x_range=(-8.0, 4.0),
            y_range=(0.0, 1.0),
        ),
        say=f"bias {c.bias:.2f}: one layer carries {mine:.3f} of its input on,"
        f" {c.layers} layers {mine**c.layers:.3g}.",
    )
