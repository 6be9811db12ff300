"""Three figures: one window by hand, a whole picture, and a kernel that is learned."""

from collections.abc import Iterator
from types import SimpleNamespace

import torch
from torch import Tensor

from fathom.fundamentals.convolution.convolution import convolution, output_size, surround
from fathom.fundamentals.losses.squared_error import mean_squared_error
from fathom.fundamentals.optimizers.sgd import sgd
from fathom.learn.engine.figure import choice, drawing, figure, log_slider, numbers, slider, whole
from fathom.learn.engine.marks import Curve, Frame, Images, Matrix, Panel, frame, number, pixels, rows

OWN = "your own"
KERNELS = {
    "right minus left": [[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]],
    "lower minus upper": [[-1, -1, -1], [0, 0, 0], [1, 1, 1]],
    "mean of nine": [[1 / 9] * 3] * 3,
    "sharper": [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
    "outline": [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]],
    "nothing but the centre": [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
}


def kernel_of(c: SimpleNamespace) -> Tensor:
    return torch.tensor(c.weights if c.kernel == OWN else KERNELS[c.kernel], dtype=torch.float32)


def small_picture() -> Tensor:
    """Seven by seven: a bright corner piece on dark ground."""
    picture = torch.zeros(7, 7)
    picture[2:6, 2:4] = 1
    picture[4:6, 2:6] = 1
    return picture


def matrix(
    title: str, values: Tensor, row_names: tuple[str, ...] = (), column_names: tuple[str, ...] = ()
) -> Panel:
    shown = rows([[number(round(float(v), 2)) for v in row] for row in values])
    return Panel(title=title, marks=(Matrix(values=shown, row_names=row_names, column_names=column_names),))


def pointed(count: int, places: range) -> tuple[str, ...]:
    """Names for rows or columns: a sign at those in ``places``."""
    return tuple("here" if place in places else "" for place in range(count))


@figure(
    across=whole(0, 8, 1, "move across"),
    down=whole(0, 8, 1, "move down"),
    kernel=choice(
        ("right minus left", "lower minus upper", "mean of nine", "sharper", "outline",
         "nothing but the centre", "your own"),
        "right minus left", "kernel",
    ),
    stride=whole(1, 3, 1, "stride"),
    padding=whole(0, 1, 0, "padding"),
    dilation=whole(1, 2, 1, "dilation"),
    weights=numbers(((0.0, 1.0, 1.0), (-1.0, 0.0, 1.0), (-1.0, -1.0, 0.0)), -9.0, 9.0, 0.01,
                    "your own kernel", chooses=("kernel", "your own")),
)  # fmt: skip
def window(c: SimpleNamespace) -> Frame:
    """The kernel at one place: the window below it, the products, and the whole output."""
    weight = kernel_of(c)
    picture = small_picture()
    settings = {"stride": c.stride, "padding": c.padding, "dilation": c.dilation}
    out = convolution(picture[None, None], weight[None, None], **settings)[0, 0]
    size = output_size(7, 3, **settings)
    row, column = min(c.down, size - 1), min(c.across, size - 1)
    around = surround(picture[None, None], [(c.padding, c.padding)] * 2)[0, 0]
    first_row, first_column = row * c.stride, column * c.stride
    covered = range(first_row, first_row + 2 * c.dilation + 1, c.dilation)
    across = range(first_column, first_column + 2 * c.dilation + 1, c.dilation)
    below = around[list(covered)][:, list(across)]
    products = below * weight
    title, side = "The picture" + (", with zeros around it" if c.padding else ""), len(around)
    three = ("kernel", "kernel", "kernel", "window", "window", "window", "product", "product", "product")
    return frame(
        matrix(title, around, pointed(side, covered), pointed(side, across)),
        matrix(
            f"Kernel times window: the products add up to {float(products.sum()):.2f}",
            torch.cat([weight, below, products]),
            three,
        ),
        matrix(
            f"The output, {size} by {size}",
            out,
            pointed(size, range(row, row + 1)),
            pointed(size, range(column, column + 1)),
        ),
        say=f"row {row}, column {column}: the window {listed(below)} times the kernel {listed(weight)} makes"
        f" {float(products.sum()):.2f}. A kernel of 3 fits at {size} places along 7 pixels.",
    )


def listed(values: Tensor) -> str:
    """Numbers as text, row by row."""
    return " / ".join(" ".join(f"{float(v):.3g}" for v in row) for row in values)


SIDE = 28
DRAWN = 14  # cells along a side of the learner's own; each is 2 by 2 pixels


def inked(rows_of_signs: tuple[str, ...]) -> Tensor:
    """The learner's own drawing, each cell as 2 by 2 pixels."""
    small = torch.tensor([[float(sign) for sign in row] for row in rows_of_signs])
    return small.repeat_interleave(SIDE // DRAWN, 0).repeat_interleave(SIDE // DRAWN, 1)


def painted(name: str) -> Tensor:
    """A picture of 28 by 28 in [0, 1], with soft edges."""
    down, across = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    x, y = (across - 13.5) / 14, (13.5 - down) / 14
    if name == "ring":
        away = ((x**2 + y**2).sqrt() - 0.6).abs()
    elif name == "cross":
        away = torch.minimum((x - y).abs(), (x + y).abs()) / 2**0.5 + (x.abs() > 0.75) + (y.abs() > 0.75)
    elif name == "seven":
        top = (y - 0.6).abs() + (x.abs() - 0.5).clamp(min=0) * 3
        leg = (x - 0.5 * y - 0.2).abs() + ((y + 0.1).abs() - 0.7).clamp(min=0) * 3
        away = torch.minimum(top, leg)
    else:  # a house: walls, and a roof
        walls = torch.maximum((x.abs() - 0.45), (y + 0.25).abs() - 0.45).clamp(min=0)
        roof = torch.maximum(x.abs() + y - 0.8, 0.2 - y).clamp(min=0)
        away = torch.minimum(walls, roof) * 2
    return (1 - 6 * (away - 0.08).clamp(min=0)).clamp(0, 1)


@figure(
    picture=choice(("seven", "ring", "cross", "house", "your own"), "seven", "picture"),
    kernel=choice(
        ("right minus left", "lower minus upper", "mean of nine", "sharper", "outline",
         "nothing but the centre", "your own"),
        "right minus left", "kernel",
    ),
    stride=whole(1, 4, 1, "stride"),
    padding=whole(0, 4, 0, "padding"),
    dilation=whole(1, 4, 1, "dilation"),
    weights=numbers(((0.0, 1.0, 1.0), (-1.0, 0.0, 1.0), (-1.0, -1.0, 0.0)), -9.0, 9.0, 0.01,
                    "your own kernel", chooses=("kernel", "your own")),
    drawn=drawing(
        ("00000000000000", "00000000000000", "00011111111000", "00011111111000", "00011000000000",
         "00011000000000", "00011111110000", "00011111111000", "00000000011000", "00000000011000",
         "00011111111000", "00011111110000", "00000000000000", "00000000000000"),
        "your own picture", chooses=("picture", "your own"),
    ),
)  # fmt: skip
def picture(c: SimpleNamespace) -> Frame:
    """A kernel slides over a whole picture."""
    weight = kernel_of(c)
    image = inked(c.drawn) if c.picture == OWN else painted(c.picture)
    settings = {"stride": c.stride, "padding": c.padding, "dilation": c.dilation}
    out = convolution(image[None, None], weight[None, None], **settings)[0, 0]
    size, total = len(out), float(weight.sum())
    return frame(
        Panel(
            title="The picture", marks=(Images(pictures=pixels([image]), captions=(f"{SIDE} by {SIDE}",)),)
        ),
        matrix(f"The kernel: its weights add up to {total:.2g}", weight),
        Panel(title="The output", marks=(Images(pictures=pixels([out]), captions=(f"{size} by {size}",)),)),
        say=f"({SIDE} + 2 x {c.padding} - {c.dilation} x 2 - 1) / {c.stride}, rounded down, plus 1:"
        f" the output is {size} by {size}. Its numbers: {float(out.min()):.2f} to {float(out.max()):.2f}."
        f"{inked_share(image) if c.picture == OWN else ''}",
    )


def inked_share(image: Tensor) -> str:
    return f" You drew {int(image.sum()) // 4} of {DRAWN**2} cells."


@figure(
    hidden=choice(
        ("right minus left", "lower minus upper", "mean of nine", "sharper", "outline"),
        "right minus left", "hidden kernel",
    ),
    rate=log_slider(0.01, 1.0, 0.08, "learning rate"),
    noise=slider(0.0, 2.0, 0.0, "noise in the answers"),
    seed=whole(0, 9, 0, "seed"),
)  # fmt: skip
def learned(c: SimpleNamespace) -> Iterator[Frame]:
    """A convolution with random weights learns a hidden kernel from pictures and answers."""
    dice = torch.Generator().manual_seed(c.seed)
    hidden = torch.tensor(KERNELS[c.hidden], dtype=torch.float32)
    pictures = torch.randn(8, 1, 10, 10, generator=dice)
    answers = convolution(pictures, hidden[None, None])
    answers = answers + c.noise * torch.randn(answers.shape, generator=dice)
    weight = torch.randn(1, 1, 3, 3, generator=dice).requires_grad_()
    optimizer = sgd([weight], c.rate)
    losses: list[tuple[float, float]] = []
    now = weight.detach()[0, 0].clone()
    for step in range(41):
        loss = mean_squared_error(convolution(pictures, weight), answers)
        losses.append((float(step), number(min(max(float(loss.detach()), 1e-6), 1e4))))
        apart = float((weight.detach()[0, 0] - hidden).abs().max())
        gone = not apart < 100
        if not gone:
            now = weight.detach()[0, 0].clone()
        said = f"step {step}: the loss is {losses[-1][1]:.3g}; no weight is off by more than {apart:.3g}."
        if gone:
            said = f"step {step}: the weights run away. The learning rate is too large."
        yield frame(
            matrix("The learned kernel", now),
            matrix("The hidden one", hidden),
            Panel(
                title="The loss",
                marks=(Curve(name="loss", points=tuple(losses)),),
                x="step",
                y="loss",
                x_range=(0.0, 40.0),
                y_range=(1e-6, 1e4),
                log_y=True,
            ),
            say=said,
        )
        if gone:
            return
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
