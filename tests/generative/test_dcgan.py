"""DCGAN: the shapes of PyTorch's example, the two players' updates, and what the learner keeps to."""

import copy
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fathom.errors import InputError
from fathom.generative.gans import dcgan
from fathom.training import Parallel

SMALL = dcgan.Config(image_size=16, noise=8, width=8)


def learner(config: dcgan.Config = SMALL, steps: int = 10, **settings: Any) -> dcgan.AdversarialLearner:
    torch.default_generator.manual_seed(0)
    return dcgan.Adversarial(**settings).learner(config.build(), steps, Parallel())


def images(count: int, config: dcgan.Config = SMALL, seed: int = 0) -> Tensor:
    dice = torch.Generator().manual_seed(seed)
    shape = (count, config.channels, config.image_size, config.image_size)
    return torch.randint(0, 256, shape, generator=dice, dtype=torch.uint8)


# -- equal to an independent implementation ---------------------------------------------------------
def example_generator(z: int, maps: int, channels: int) -> nn.Sequential:
    """The generator of PyTorch's example, for 64 x 64 pixels, written down layer by layer."""

    def up(a: int, b: int, stride: int, padding: int) -> nn.ConvTranspose2d:
        return nn.ConvTranspose2d(a, b, 4, stride, padding, bias=False)

    return nn.Sequential(
        up(z, maps * 8, 1, 0), nn.BatchNorm2d(maps * 8), nn.ReLU(),
        up(maps * 8, maps * 4, 2, 1), nn.BatchNorm2d(maps * 4), nn.ReLU(),
        up(maps * 4, maps * 2, 2, 1), nn.BatchNorm2d(maps * 2), nn.ReLU(),
        up(maps * 2, maps, 2, 1), nn.BatchNorm2d(maps), nn.ReLU(),
        up(maps, channels, 2, 1), nn.Tanh(),
    )  # fmt: skip


def example_discriminator(maps: int, channels: int) -> nn.Sequential:
    """The discriminator of PyTorch's example; its sigmoid is left to the loss."""

    def down(a: int, b: int, stride: int = 2, padding: int = 1) -> nn.Conv2d:
        return nn.Conv2d(a, b, 4, stride, padding, bias=False)

    return nn.Sequential(
        down(channels, maps), nn.LeakyReLU(0.2),
        down(maps, maps * 2), nn.BatchNorm2d(maps * 2), nn.LeakyReLU(0.2),
        down(maps * 2, maps * 4), nn.BatchNorm2d(maps * 4), nn.LeakyReLU(0.2),
        down(maps * 4, maps * 8), nn.BatchNorm2d(maps * 8), nn.LeakyReLU(0.2),
        down(maps * 8, 1, 1, 0),
    )  # fmt: skip


def take_weights(theirs: nn.Module, ours: nn.Module) -> None:
    theirs.load_state_dict(dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True)))


@pytest.mark.parametrize("training", [True, False])
def test_networks_equal_those_of_pytorchs_example(training: bool) -> None:
    config = dcgan.Config(image_size=64, channels=3, noise=10, width=4)
    torch.default_generator.manual_seed(1)
    ours = config.build().train(training)
    forger, critic = example_generator(10, 4, 3).train(training), example_discriminator(4, 3).train(training)
    take_weights(forger, ours.generator)
    take_weights(critic, ours.discriminator)
    noise, image = torch.randn(5, 10), torch.randn(5, 3, 64, 64)
    made, told = ours(noise), ours.discriminator(image)
    torch.testing.assert_close(made, forger(noise[:, :, None, None]), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(told, critic(image).flatten(), atol=1e-5, rtol=1e-5)
    (made.square().mean() + told.square().mean()).backward()
    (forger(noise[:, :, None, None]).square().mean() + critic(image).square().mean()).backward()
    theirs = [*forger.parameters(), *critic.parameters()]
    for a, b in zip(ours.parameters(), theirs, strict=True):
        torch.testing.assert_close(a.grad, b.grad, atol=1e-4, rtol=1e-4)


def test_sizes_of_pytorchs_example() -> None:
    with torch.device("meta"):
        model = dcgan.Config(image_size=64, channels=3, width=64).build()
    counts = [sum(p.numel() for p in part.parameters()) for part in (model.generator, model.discriminator)]
    assert counts == [3_576_704, 2_765_568]


@pytest.mark.parametrize(
    ("size", "sides"),
    [(8, [8, 4]), (28, [28, 14, 7, 3]), (32, [32, 16, 8, 4]), (37, [37, 18, 9, 4]), (64, [64, 32, 16, 8, 4])],
)
def test_maps_double_up_to_the_image(size: int, sides: list[int]) -> None:
    config = dcgan.Config(image_size=size, noise=5, width=2, channels=3)
    assert config.sides == sides and config.widths == [2, 4, 8, 16][: len(sides) - 1]
    model = config.build()
    made = model(torch.randn(2, 5))
    assert made.shape == (2, 3, size, size)
    assert made.abs().max() <= 1
    assert model.discriminator(made).shape == (2,)


def test_one_update_equals_the_two_players_steps_written_out() -> None:
    ours = learner(SMALL, generator_rate=1e-3, discriminator_rate=2e-3, smoothing=0.1)
    players = copy.deepcopy(ours.players)
    batch = images(6)
    forger = torch.optim.Adam(players.generator.parameters(), lr=1e-3, betas=(0.5, 0.999))
    critic = torch.optim.Adam(players.discriminator.parameters(), lr=2e-3, betas=(0.5, 0.999))

    torch.default_generator.manual_seed(7)
    metrics = ours.update((batch, torch.zeros(6)), 0)

    torch.default_generator.manual_seed(7)
    fake = players.generator(torch.randn(6, 8))
    on_real = players.discriminator(batch / 127.5 - 1).sigmoid()
    on_fake = players.discriminator(fake.detach()).sigmoid()
    told = -(0.9 * on_real.log() + 0.1 * (1 - on_real).log()).mean() - (1 - on_fake).log().mean()
    told.backward()
    critic.step()
    fooled = -players.discriminator(fake).sigmoid().log().mean()
    forger.zero_grad()
    fooled.backward()
    forger.step()
    assert float(metrics["discriminator"]) == pytest.approx(told.item(), rel=1e-5)
    assert float(metrics["generator"]) == pytest.approx(fooled.item(), rel=1e-5)
    for a, b in zip(ours.players.parameters(), players.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


# -- what the learner keeps to ------------------------------------------------------------------------
def test_each_player_wins_when_the_other_rests() -> None:
    ours = learner(SMALL, generator_rate=5e-3, discriminator_rate=2e-3)
    real, noise = ours.pixels(images(8)), torch.randn(8, 8)
    resting = ours.players.generator(noise).detach()
    told = [float(ours.discriminate(real, resting)[0]) for _ in range(60)]
    assert told[-1] < 0.1 * told[0]

    fooled = [float(ours.deceive(ours.players.generator(noise))) for _ in range(120)]
    assert fooled[-1] < 0.1 * fooled[0]


def test_a_players_step_leaves_the_other_alone() -> None:
    ours = learner()
    before = [p.clone() for p in ours.players.generator.parameters()]
    ours.discriminate(ours.pixels(images(4)), torch.zeros(4, 1, 16, 16))
    assert all(torch.equal(a, b) for a, b in zip(before, ours.players.generator.parameters(), strict=True))
    before = [p.clone() for p in ours.players.discriminator.parameters()]
    ours.deceive(ours.players.generator(torch.randn(4, 8)))
    assert all(
        torch.equal(a, b) for a, b in zip(before, ours.players.discriminator.parameters(), strict=True)
    )


def test_smoothing_asks_for_less_than_certainty() -> None:
    plain, smooth = learner(smoothing=0.0), learner(smoothing=0.2)
    real, fake = torch.randn(4, 1, 16, 16), torch.randn(4, 1, 16, 16)
    logits = [part.players.discriminator(x) for part in (plain,) for x in (real, fake)]
    zero, one = torch.zeros(4), torch.ones(4)
    for part, wanted in ((plain, one), (smooth, 0.8 * one)):
        expected = F.binary_cross_entropy_with_logits(logits[0], wanted)
        expected = expected + F.binary_cross_entropy_with_logits(logits[1], zero)
        assert float(part.discriminate(real, fake)[0]) == pytest.approx(expected.item(), rel=1e-4)


def test_rates_fall_in_a_line_over_the_last_part() -> None:
    ours = learner(SMALL, steps=100, generator_rate=1e-3, discriminator_rate=4e-3, decay=0.5)
    rates = []
    for step in (0, 50, 75, 99):
        ours.update((images(2),), step)
        rates.append(ours.generator_adam.param_groups[0]["lr"])
    assert rates == pytest.approx([1e-3, 1e-3, 0.5e-3, 0.02e-3])
    assert ours.discriminator_adam.param_groups[0]["lr"] == pytest.approx(0.08e-3)
    steady = learner(SMALL, steps=100)
    steady.update((images(2),), 99)
    assert steady.generator_adam.param_groups[0]["lr"] == pytest.approx(2e-4)


def test_the_average_is_what_is_shipped() -> None:
    plain, averaged = learner(steps=100), learner(steps=100, average=0.9)
    assert plain.model is plain.players and set(plain.modules) == {"model"}
    assert averaged.model is averaged.modules["average"] is not averaged.players
    assert isinstance(averaged.model, dcgan.DCGAN)
    averaged.update((images(4),), 50)
    gap = [
        (a - b).abs().max()
        for a, b in zip(averaged.model.parameters(), plain.players.parameters(), strict=True)
    ]
    assert 0 < max(gap) < 1e-4  # a part of one small step


def test_noise_comes_from_the_steps_generator() -> None:
    one, two = learner(), learner()
    for part, seed in ((one, 5), (two, 6)):
        torch.default_generator.manual_seed(seed)
        part.update((images(4),), 0)
    first, second = (next(part.players.generator.parameters()) for part in (one, two))
    assert not torch.equal(first, second)


# -- bad input ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("size", [0, 7])
def test_refuses_sides_that_are_too_small(size: int) -> None:
    with pytest.raises(ValueError, match=f"image_size is {size}; it must be 8 or more"):
        dcgan.Config(image_size=size)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("generator_rate", 0.0), ("discriminator_rate", float("nan")), ("smoothing", 1.0), ("average", -0.1),
        ("decay", 1.5), ("betas", (0.5, 1.0)),
    ],
)  # fmt: skip
def test_refuses_settings_that_cannot_be(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{field} is .*; it must be"):
        dcgan.Adversarial(**{field: value})


def test_refuses_to_be_distributed() -> None:
    with pytest.raises(InputError, match="one process, not 4"):
        dcgan.Adversarial().learner(SMALL.build(), 10, SimpleNamespace(world=4))
