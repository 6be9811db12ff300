"""Deep Q-learning: an agent learns what each action is worth by playing, and keeps a pole upright.

Mnih et al. (2015) let a network estimate Q(s, a), the sum of discounted rewards that follow action a
in state s. The best policy's Q obeys Bellman's equation, so the network is moved towards

    y = r + gamma (1 - ended) max_a' Q'(s', a')                    (their Methods, algorithm 1)

Two things keep this from chasing its own tail: transitions come in random order out of a replay
memory, and Q', the target network, is a copy of Q that is renewed only now and then. The error is
taken with the Huber loss, whose slope is clipped at 1 as in the paper. The agent plays greedily
but for a share epsilon of random actions, which falls from 1 while the first transitions are made.

One batch of the training loop is one whole episode. The learner stores it, then makes a fixed number
of gradient updates for each transition: what does not come out even is carried over as a debt.

Axes used below
    b  batch      o  numbers in an observation      a  actions
    t  transitions of an episode                    u  gradient updates
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.data.environments import Environment
    from fathom.training import Experiment

CARD = Card(
    title="Deep Q-network on CartPole",
    paper="https://doi.org/10.1038/nature14236",
    year=2015,
    summary="Plays, remembers what happened, and learns from random memories what each action is worth.",
    rows=("RL06",),
    differs=(
        "A small dense network on four numbers: the paper reads Atari screens with convolutions.",
        "Adam in place of RMSProp, its rate falling in a line, and gradients no longer than 10: usual today.",
        "Updates follow each episode, a fixed number for each transition: the paper updates while it plays.",
    ),
    oracle="stable-baselines3's DQN: same weights and memories, weights after updates equal to 1e-5",
    exempt={
        "overfits": "a repeated episode does not fix the target, which moves with the network; substitute:"
        " tests/reinforcement/test_dqn_cartpole.py::test_learns_to_repeat_what_it_sees",
    },
    extra="rl",
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the network. The defaults fit CartPole."""

    observation: int = 4
    actions: int = 2
    width: int = 256
    depth: int = 2  # hidden layers

    def __post_init__(self) -> None:
        for name, least in (("observation", 1), ("actions", 2), ("width", 1), ("depth", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be {least} or more")

    def build(self) -> "QNetwork":
        return QNetwork(self)


class QNetwork(nn.Module):
    """The value of every action, from one look at the state."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.cfg = cfg
        sizes = [cfg.observation, *[cfg.width] * cfg.depth, cfg.actions]
        layers: list[nn.Module] = [nn.Linear(sizes[0], sizes[1])]
        for inputs, outputs in pairwise(sizes[1:]):
            layers += [nn.ReLU(), nn.Linear(inputs, outputs)]
        self.layers = nn.Sequential(*layers)
        self.init_weights()

    @torch.no_grad()
    def init_weights(self) -> None:
        """All initialisation in one place.

        every weight   uniform in +-1 / sqrt(fan in)
        every bias     the same
        """
        for layer in self.dense():
            bound = layer.in_features**-0.5
            nn.init.uniform_(layer.weight, -bound, bound)
            nn.init.uniform_(layer.bias, -bound, bound)

    def forward(self, observation: Float[Tensor, "b o"]) -> Float[Tensor, "b a"]:
        return self.layers(observation)

    def dense(self) -> list[nn.Linear]:
        """The layers that have weights, in order."""
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)]

    def player(self) -> Callable[[np.ndarray], int]:
        """The greedy policy as it stands, for one observation at a time.

        NumPy, because a call into torch costs more than these few products: 10 us against 15 to 28
        (2026-11, one core). On the CPU the weights are shared, not copied.
        """
        weights = [(s.weight.detach().cpu().numpy(), s.bias.detach().cpu().numpy()) for s in self.dense()]
        hidden, (matrix, offset) = weights[:-1], weights[-1]

        def act(observation: np.ndarray) -> int:
            x = observation
            for weight, bias in hidden:
                x = weight @ x
                x += bias
                np.maximum(x, 0, out=x)
            return int((matrix @ x + offset).argmax())

        return act


Episode = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Episodes:
    """A batch source: step k of a run is an episode that the learner's network plays.

    The start of episode k comes from (seed, "episode", k) and its random actions from
    (seed, "explore", k); the learner owns the seed. So nothing here is state.
    """

    environment: "Environment"

    def stream(self, learner: Any, start: int) -> Iterator[Episode]:
        step = start
        while True:
            yield self.play(learner, step)
            step += 1

    def play(self, learner: "DeepQLearner", step: int) -> Episode:
        """One episode: observations (t, o), those that follow, actions, rewards, ended (t,)."""
        from fathom.training.randomness import key

        world, act = self.environment, learner.model.player()
        dice = np.random.Generator(np.random.PCG64(key(learner.seed, "explore", step)))
        random = dice.integers(world.actions, size=world.horizon).tolist()
        explore = (dice.random(world.horizon) < learner.epsilons(world.horizon)).tolist()
        seen, actions, rewards = [world.reset(key(learner.seed, "episode", step))], [], []
        ended = False
        while not ended and len(actions) < world.horizon:
            k = len(actions)
            action = random[k] if explore[k] else act(seen[-1])
            observation, reward, ended = world.step(action)
            seen.append(observation)
            actions.append(action)
            rewards.append(reward)
        states = torch.from_numpy(np.stack(seen))
        last = torch.zeros(len(actions))
        last[-1] = float(ended)
        return states[:-1], states[1:], torch.tensor(actions), torch.tensor(rewards).float(), last


class Replay:
    """The last ``capacity`` transitions, in a ring, on the learner's device."""

    def __init__(self, capacity: int, observation: int, device: torch.device) -> None:
        self.capacity, self.written = capacity, 0
        self.columns = {
            "observation": torch.zeros(capacity, observation, device=device),
            "following": torch.zeros(capacity, observation, device=device),
            "action": torch.zeros(capacity, dtype=torch.int64, device=device),
            "reward": torch.zeros(capacity, device=device),
            "ended": torch.zeros(capacity, device=device),
        }

    def __len__(self) -> int:
        return min(self.written, self.capacity)

    def add(self, episode: Episode) -> None:
        """Append an episode; the oldest transitions make room."""
        kept = [column[-self.capacity :] for column in episode]
        device = self.columns["reward"].device
        place = (torch.arange(len(kept[0]), device=device) + self.written) % self.capacity
        for column, rows in zip(self.columns.values(), kept, strict=True):
            column.index_copy_(0, place, rows.to(device))
        self.written += len(kept[0])

    def rows(self, place: Int[Tensor, "u b"]) -> list[Tensor]:
        """The five columns at ``place``, each with the axes (u, b) in front."""
        return [c.index_select(0, place.flatten()).unflatten(0, place.shape) for c in self.columns.values()]

    def state(self) -> dict[str, Any]:
        return {"written": self.written} | {n: c[: len(self)].clone() for n, c in self.columns.items()}

    def load_state(self, state: dict[str, Any]) -> None:
        self.written = int(state["written"])
        for name, column in self.columns.items():
            column[: len(self)].copy_(state[name])


BLOCK = 16  # updates whose targets are computed together: more would not fit the processor's cache


@dataclass(frozen=True, kw_only=True)
class DeepQLearning:
    """How the agent learns. Times are counted in transitions, not in episodes."""

    learning_rate: float = 2.3e-3
    final_rate: float = 0.1  # share of the learning rate that is left at the end; it falls in a line
    batch_size: int = 64
    discount: float = 0.99  # gamma
    capacity: int = 100_000  # transitions remembered
    learning_starts: int = 1_000  # transitions before the first update
    ratio: float = 0.5  # gradient updates for each transition
    target_every: int = 128  # updates between renewals of the target network
    explore_for: int = 8_000  # transitions during which epsilon falls from 1 ...
    epsilon: float = 0.04  # ... to this
    clip_norm: float = 10.0

    def __post_init__(self) -> None:
        for name in ("batch_size", "capacity", "target_every", "explore_for"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        for name in ("learning_rate", "ratio", "clip_norm"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} is {getattr(self, name)}; it must be positive and finite")
        for name in ("final_rate", "discount", "epsilon"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be in [0, 1]")
        if self.learning_starts < 0:
            raise ValueError(f"learning_starts is {self.learning_starts}; it must be 0 or more")

    def learner(self, model: QNetwork, steps: int, parallel: Any) -> "DeepQLearner":
        """The learner of a run of ``steps`` episodes. ``InputError`` where there are several processes."""
        if parallel.world > 1:
            from fathom.errors import InputError

            raise InputError(f"deep Q-learning runs in one process, not {parallel.world}; leave out torchrun")
        return DeepQLearner(self, model, steps, parallel.device)


Layer = tuple[Tensor, Tensor, Tensor, Tensor]  # weight, bias and the gradient of each


def flatten(network: QNetwork) -> tuple[list[Layer], nn.Parameter]:
    """Lay all weights of ``network`` side by side, and their gradients too.

    Adam and the clipping then touch one tensor instead of one for each weight and bias.
    """
    parameters = [p for layer in network.dense() for p in (layer.weight, layer.bias)]
    flat = nn.Parameter(torch.cat([p.detach().flatten() for p in parameters]))
    flat.grad = torch.zeros_like(flat)
    sizes, slopes = [p.numel() for p in parameters], []
    for p, piece, slope in zip(parameters, flat.detach().split(sizes), flat.grad.split(sizes), strict=True):
        p.data = piece.view_as(p)
        slopes.append(slope.view_as(p))
    weights, biases = parameters[::2], parameters[1::2]
    return list(zip(weights, biases, slopes[::2], slopes[1::2], strict=True)), flat


class DeepQLearner:
    """Remembers episodes, and moves the network towards Bellman's equation."""

    def __init__(self, how: DeepQLearning, model: QNetwork, steps: int, device: torch.device) -> None:
        self.how, self.steps, self.device = how, steps, device
        self.model = model
        self.target = QNetwork(model.cfg).to(device).requires_grad_(False)
        self.target.load_state_dict(model.state_dict())
        self.layers, self.flat = flatten(model)
        self.adam = torch.optim.Adam([self.flat], lr=how.learning_rate, fused=True)
        self.modules = {"model": model, "target": self.target}
        self.optimizers = {"adam": self.adam}
        self.replay = Replay(how.capacity, model.cfg.observation, device)
        self.transitions, self.updates, self.debt = 0, 0, 0.0
        # The engine seeds torch's generator for each learner: so the games differ between seeds too.
        self.seed = int(torch.randint(2**62, (), device="cpu"))

    def epsilons(self, count: int) -> np.ndarray:
        """The share of random actions at each of the next ``count`` transitions."""
        progress = (self.transitions + np.arange(count)) / self.how.explore_for
        return 1 + (self.how.epsilon - 1) * progress.clip(0, 1)

    def update(self, batch: Episode, step: int) -> dict[str, Tensor | float]:
        """Store an episode, then make the updates that are due.

        ``loss`` is their mean loss; where none is due yet, the loss of the episode itself.
        """
        reward = batch[3]
        self.replay.add(batch)
        self.transitions += len(reward)
        if self.transitions >= self.how.learning_starts:
            self.debt += self.how.ratio * len(reward)
        left = 1 - step / self.steps
        self.adam.param_groups[0]["lr"] = self.how.learning_rate * (left + (1 - left) * self.how.final_rate)
        losses: list[Tensor] = []
        while self.debt >= 1:
            rest = self.how.target_every - self.updates % self.how.target_every
            count = min(int(self.debt), rest, BLOCK)
            losses.append(self.learn(count))
            self.debt -= count
            self.updates += count
            if count == rest:
                self.target.load_state_dict(self.model.state_dict())
        return {
            "loss": torch.cat(losses).mean() if losses else self.surprise(batch),
            "return": reward.sum(),
            "epsilon": float(self.epsilons(1)[0]),
            "transitions": float(self.transitions),
        }

    @torch.no_grad()
    def surprise(self, episode: Episode) -> Float[Tensor, ""]:
        """The loss of an episode, without learning from it."""
        observation, following, action, reward, ended = (column.to(self.device) for column in episode)
        value = self.model(observation).gather(1, action[:, None])[:, 0]
        return F.huber_loss(value, self.goal(following, reward, ended))

    def goal(self, following: Tensor, reward: Tensor, ended: Tensor) -> Tensor:
        """Bellman's right side for transitions with the axes (...)."""
        best = self.target(following.flatten(0, -2)).amax(dim=-1).view_as(reward)
        return reward + self.how.discount * (1 - ended) * best

    def learn(self, count: int) -> Float[Tensor, "u"]:
        """``count`` gradient updates with one target network; return their losses."""
        place = torch.randint(len(self.replay), (count, self.how.batch_size), device=self.device)
        observation, following, action, reward, ended = self.replay.rows(place)
        with torch.no_grad():  # the target network rests, so all targets can be had at once
            goal = self.goal(following, reward, ended)
            steps = zip(observation, action[..., None], goal[..., None], strict=True)
            errors = torch.stack([self.descend(*step) for step in steps])
        return F.huber_loss(errors, torch.zeros_like(errors), reduction="none").mean(dim=(1, 2))

    def descend(
        self, observation: Float[Tensor, "b o"], action: Int[Tensor, "b 1"], goal: Float[Tensor, "b 1"]
    ) -> Float[Tensor, "b 1"]:
        """One step of Adam on the Huber loss; return Q(s, a) - y as it was before.

        Backpropagation is written out, into gradients that lie side by side: for layers this small
        autograd's bookkeeping took a quarter of the time (2026-11, one core).
        """
        kept, value = [observation], observation
        for weight, bias, _, _ in self.layers:
            value = torch.addmm(bias, kept[-1], weight.t())
            kept.append(value.relu())
        error = value.gather(1, action) - goal
        slope = torch.zeros_like(value).scatter_(1, action, error.clamp(-1, 1) / len(error))
        for (weight, _, weight_slope, bias_slope), x in zip(self.layers[::-1], kept[-2::-1], strict=True):
            torch.mm(slope.t(), x, out=weight_slope)
            torch.sum(slope, dim=0, out=bias_slope)
            if x is not observation:
                slope = (slope @ weight).mul_(x.sign())  # through the ReLU, where it was open
        gradient = self.flat.grad
        assert gradient is not None
        gradient.mul_((self.how.clip_norm / (gradient.norm() + 1e-6)).clamp(max=1))
        self.adam.step()
        return error

    def state(self) -> dict[str, Any]:
        """What a checkpoint needs beside modules and optimizer: memories and counts."""
        counts = {"transitions": self.transitions, "updates": self.updates, "debt": self.debt}
        return {"seed": self.seed, **counts, "replay": self.replay.state()}

    def load_state(self, state: dict[str, Any]) -> None:
        self.seed, self.transitions = int(state["seed"]), int(state["transitions"])
        self.updates, self.debt = int(state["updates"]), float(state["debt"])
        self.replay.load_state(state["replay"])


def tiny() -> "Experiment":
    """The smallest complete run: a corridor whose end is on the right. Tests run it."""
    from fathom.data.environments import Corridor
    from fathom.data.split import Data, InMemory, Tensors
    from fathom.tasks.control import Control
    from fathom.training import Experiment

    corridor, seeds = Corridor(), Tensors((torch.arange(8),))
    return Experiment(
        model=Config(observation=corridor.observation, width=16),
        data=InMemory(Data(train=Episodes(corridor), valid=seeds, test=seeds, facts={"source": "corridor"})),
        task=Control(environment="corridor", observation=corridor.observation),
        learning=DeepQLearning(
            learning_rate=0.01, batch_size=32, capacity=500, learning_starts=20, target_every=8,
            explore_for=200, discount=0.9,
        ),
        steps=40,
    )  # fmt: skip
