"""DCGAN: two convolutional networks play against each other until forgeries pass for real images.

Goodfellow et al. (2014) let a generator G turn noise z into images and a discriminator D tell them
from real ones; D climbs and G descends

    V = E log D(x) + E log(1 - D(G(z)))                              (their equation 1)

In practice G climbs log D(G(z)) instead, which has the same fixed point and a useful slope when D is
still far ahead (their section 3). Radford, Metz and Chintala (2015) found shapes for which this works
with images: G doubles the side of its maps with strided transposed convolutions, D halves it with
strided ones, there is no pooling and no hidden dense layer, and batch normalisation follows every
layer but G's last and D's first and last. G ends in tanh; D uses leaky ReLUs of slope 0.2.

Axes used below
    b  batch      z  noise      c  channels      h, w  height, width in pixels
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from fathom.card import Card
from fathom.fundamentals.optimizers.weight_averaging import WeightAverage, exponential

if TYPE_CHECKING:
    from fathom.training import Experiment

CARD = Card(
    title="DCGAN",
    paper="https://arxiv.org/abs/1511.06434",
    year=2015,
    summary="A forger and a detective, both convolutional, improve each other until the forgeries convince.",
    rows=("GN03",),
    builds_on=("weight_averaging",),
    differs=(
        "Noise is normal: the paper draws it uniformly from a cube.",
        "The side of the images may be any from 8: 28 pixels are halved to 14, 7 and 3, where 64 end in 4.",
        "Shipped is a moving average of the generator's weights, which flickers less than the last ones.",
        "The recipe's networks are narrower and its learning rates higher: it has minutes, not days.",
    ),
    oracle="the layers of PyTorch's example of a DCGAN, rebuilt, with the same weights; its parameter counts",
    exempt={
        "overfits": "the two losses pull against each other and neither falls to zero; substitute:"
        " tests/generative/test_dcgan.py::test_each_player_wins_when_the_other_rests",
    },
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of both networks. ``width=64, image_size=64, channels=3`` are those of PyTorch's example."""

    image_size: int = 28
    channels: int = 1
    noise: int = 100
    width: int = 32  # maps next to the image; twice as many a level further from it

    def __post_init__(self) -> None:
        for name in ("channels", "noise", "width"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if self.image_size < 8:
            raise ValueError(f"image_size is {self.image_size}; it must be 8 or more pixels")

    @property
    def sides(self) -> list[int]:
        """Sides of the maps, from the image inwards: halved, rounding down, until 4 or less are left."""
        sides = [self.image_size]
        while sides[-1] > 4:
            sides.append(sides[-1] // 2)
        return sides

    @property
    def widths(self) -> list[int]:
        """Maps at each level, from next to the image inwards."""
        return [self.width << level for level in range(len(self.sides) - 1)]

    def build(self) -> "DCGAN":
        return DCGAN(self)


class Generator(nn.Sequential):
    """Noise to image: one layer spreads it over small maps, each further one doubles their side."""

    def __init__(self, cfg: Config) -> None:
        widths, (first, *larger) = [*cfg.widths[::-1], cfg.channels], cfg.sides[::-1]
        layers: list[nn.Module] = [nn.ConvTranspose2d(cfg.noise, widths[0], first, bias=False)]
        for (wide, narrow), side in zip(pairwise(widths), larger, strict=True):
            odd = side % 2  # a side of 7 was halved to 3: doubling alone would give 6
            layers += [nn.BatchNorm2d(wide), nn.ReLU(inplace=True)]
            layers += [
                nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1, output_padding=odd, bias=False)
            ]
        super().__init__(*layers, nn.Tanh())

    def forward(self, input: Float[Tensor, "b z"]) -> Float[Tensor, "b c h w"]:
        return super().forward(input[:, :, None, None])


class Discriminator(nn.Sequential):
    """Image to one number, the logit of "this is real": the generator's shapes backwards."""

    def __init__(self, cfg: Config) -> None:
        widths = cfg.widths
        layers: list[nn.Module] = [
            nn.Conv2d(cfg.channels, widths[0], 4, stride=2, padding=1, bias=False),
            nn.LeakyReLU(0.2, inplace=True),
        ]
        for narrow, wide in pairwise(widths):
            layers += [nn.Conv2d(narrow, wide, 4, stride=2, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(wide), nn.LeakyReLU(0.2, inplace=True)]
        super().__init__(*layers, nn.Conv2d(widths[-1], 1, cfg.sides[-1], bias=False))

    def forward(self, input: Float[Tensor, "b c h w"]) -> Float[Tensor, "b"]:
        return super().forward(input).flatten()


class DCGAN(nn.Module):
    """Both players. Called with noise it generates: that is what is exported and served."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.cfg = cfg
        self.generator = Generator(cfg)
        self.discriminator = Discriminator(cfg)
        self.init_weights()

    @torch.no_grad()
    def init_weights(self) -> None:
        """All initialisation in one place (section 4 of the paper).

        every kernel         normal, std = 0.02
        batch norm, weight   normal around 1, std = 0.02
        batch norm, bias     zeros
        """
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(layer.weight, std=0.02)
            elif isinstance(layer, nn.BatchNorm2d):
                nn.init.normal_(layer.weight, mean=1.0, std=0.02)
                nn.init.zeros_(layer.bias)

    def forward(self, noise: Float[Tensor, "b z"]) -> Float[Tensor, "b c h w"]:
        """Images with values in [-1, 1]."""
        return self.generator(noise)


@dataclass(frozen=True, kw_only=True)
class Adversarial:
    """How the two players learn. Rates and betas default to the paper's (section 4)."""

    generator_rate: float = 2e-4
    discriminator_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    smoothing: float = 0.0  # real images count as 1 - smoothing real (Salimans et al. 2016, section 3.4)
    average: float = 0.0  # decay of the moving average of weights that is shipped; 0: none
    decay: float = 1.0  # share of the run after which both rates fall in a line to zero

    def __post_init__(self) -> None:
        for name in ("generator_rate", "discriminator_rate"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} is {getattr(self, name)}; it must be positive and finite")
        for name in ("smoothing", "average"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be in [0, 1)")
        if not 0 <= self.decay <= 1:
            raise ValueError(f"decay is {self.decay}; it must be in [0, 1]")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas is {self.betas}; it must be two numbers in [0, 1)")

    def learner(self, model: DCGAN, steps: int, parallel: Any) -> "AdversarialLearner":
        """The learner of a run of ``steps`` steps. ``InputError`` where there are several processes."""
        if parallel.world > 1:
            from fathom.errors import InputError

            raise InputError(
                f"the two players learn in one process, not {parallel.world}; leave out torchrun"
            )
        return AdversarialLearner(self, model, steps)


class AdversarialLearner:
    """One step: the discriminator learns to tell real from forged, then the generator to deceive it."""

    def __init__(self, how: Adversarial, model: DCGAN, steps: int) -> None:
        # The same numbers laid out pixel by pixel: convolutions on the CPU were a quarter faster (2026-11).
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.how, self.steps, self.players, self.average = how, steps, model, None
        generator, discriminator = model.generator.parameters(), model.discriminator.parameters()
        self.generator_adam = torch.optim.Adam(generator, how.generator_rate, how.betas, fused=True)
        self.discriminator_adam = torch.optim.Adam(
            discriminator, how.discriminator_rate, how.betas, fused=True
        )
        self.modules: dict[str, nn.Module] = {"model": model}
        if how.average:
            self.average = WeightAverage(model, exponential(how.average, warm=True))
            self.modules["average"] = self.average.model
        self.optimizers = {"generator": self.generator_adam, "discriminator": self.discriminator_adam}

    @property
    def model(self) -> nn.Module:
        """What is evaluated and shipped: the moving average where there is one."""
        return self.average.model if self.average else self.players

    def update(self, batch: tuple[Tensor, ...], step: int) -> dict[str, Tensor | float]:
        """``batch`` is (image, label), image uint8 (b, c, h, w); labels are not looked at."""
        self.players.train()
        left = max(0.0, 1 - step / self.steps)
        share = min(1.0, left / max(1 - self.how.decay, 1 / self.steps))
        self.generator_adam.param_groups[0]["lr"] = share * self.how.generator_rate
        self.discriminator_adam.param_groups[0]["lr"] = share * self.how.discriminator_rate

        real = self.pixels(batch[0])
        fake = self.players(torch.randn(len(real), self.players.cfg.noise, device=real.device))
        told, real_share, fake_share = self.discriminate(real, fake.detach())
        fooled = self.deceive(fake)
        if self.average:
            self.average.update(self.players, step)
        return {
            "loss": told + fooled,
            "discriminator": told,
            "generator": fooled,
            "real_believed": real_share,
            "fake_believed": fake_share,
            "learning_rate": share * self.how.generator_rate,
        }

    def pixels(self, image: UInt8[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Values from -1 to 1, as tanh makes them."""
        return image.float() / 127.5 - 1

    def discriminate(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The discriminator climbs V. Returns -V and the mean of D on either batch.

        Real and forged images go through it one batch after the other: batch normalisation must not
        mix their statistics.
        """
        on_real, on_fake = self.players.discriminator(real), self.players.discriminator(fake)
        wanted = torch.full_like(on_real, 1 - self.how.smoothing)
        loss = F.binary_cross_entropy_with_logits(on_real, wanted) + F.softplus(on_fake).mean()
        self.discriminator_adam.zero_grad(set_to_none=True)
        loss.backward()
        self.discriminator_adam.step()
        return loss.detach(), on_real.detach().sigmoid().mean(), on_fake.detach().sigmoid().mean()

    def deceive(self, fake: Tensor) -> Tensor:
        """The generator climbs log D(G(z)). Returns -log D(G(z)).

        The gradient is taken for its weights alone: the discriminator's would be thrown away.
        """
        parameters = list(self.players.generator.parameters())
        loss = F.softplus(-self.players.discriminator(fake)).mean()
        for parameter, slope in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            parameter.grad = slope
        self.generator_adam.step()
        return loss.detach()


def tiny() -> "Experiment":
    """The smallest complete run: forged bars of four directions. Tests run it."""
    from fathom.data.drawn import bars
    from fathom.tasks.image_generation import ImageGeneration
    from fathom.training import Experiment

    return Experiment(
        model=Config(image_size=16, noise=8, width=8),
        data=bars(size=16, train=256, valid=64),
        task=ImageGeneration(
            labels=("-", "|", "/", "\\"), channels=1, height=16, width=16, noise=8, samples=64
        ),
        learning=Adversarial(generator_rate=2e-3, discriminator_rate=1e-3, average=0.9),
        batch_size=32,
        steps=60,
    )
