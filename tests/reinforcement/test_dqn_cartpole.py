"""Deep Q-learning: equal to stable-baselines3, counted randomness, and what the learner must keep to."""

import copy
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fathom.data.environments import CartPole, Corridor
from fathom.errors import InputError
from fathom.recipes.dqn_cartpole import Games
from fathom.reinforcement import dqn_cartpole as dqn
from fathom.training import Parallel
from fathom.training.loop import train

SIZES = dqn.Config(width=32)


def learner(config: dqn.Config = SIZES, **settings: Any) -> dqn.DeepQLearner:
    torch.default_generator.manual_seed(0)
    return dqn.DeepQLearning(**settings).learner(config.build(), 10, Parallel())


def episode(length: int, seed: int = 0) -> dqn.Episode:
    """Drawn transitions; the last one ends."""
    dice = torch.Generator().manual_seed(seed)
    seen = torch.randn(length + 1, 4, generator=dice)
    action = torch.randint(2, (length,), generator=dice)
    ended = torch.zeros(length)
    ended[-1] = 1
    return seen[:-1], seen[1:], action, torch.randn(length, generator=dice), ended


# -- equal to an independent implementation ---------------------------------------------------------
def test_weights_after_updates_equal_those_of_stable_baselines3(monkeypatch: pytest.MonkeyPatch) -> None:
    from stable_baselines3 import DQN
    from stable_baselines3.common.logger import Logger
    from stable_baselines3.common.type_aliases import ReplayBufferSamples

    memories = episode(64)
    ours = learner(SIZES, learning_rate=1e-3, final_rate=1.0, batch_size=64, ratio=0.125, target_every=10**6)
    ours.target.load_state_dict(dqn.QNetwork(SIZES).state_dict())  # a target that differs from the network
    theirs = DQN(
        "MlpPolicy", "CartPole-v1", learning_rate=1e-3, batch_size=64, gamma=0.99, max_grad_norm=10,
        policy_kwargs={"net_arch": [32, 32]}, device="cpu",
    )  # fmt: skip
    for mine, net in ((ours.model, theirs.q_net), (ours.target, theirs.q_net_target)):
        net.load_state_dict(dict(zip(net.state_dict(), mine.state_dict().values(), strict=True)))
    observation, following, action, reward, ended = memories
    sample = ReplayBufferSamples(
        observation, action[:, None], following, ended[:, None], reward[:, None], None
    )
    monkeypatch.setattr(theirs.replay_buffer, "sample", lambda *_, **__: sample)
    theirs.set_logger(Logger(None, []))
    theirs.train(gradient_steps=8, batch_size=64)

    ours.replay.add(memories)
    monkeypatch.setattr(torch, "randint", lambda *_, **__: torch.arange(64).repeat(8, 1))
    ours.learn(8)
    for a, b in zip(ours.model.parameters(), theirs.q_net.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_loss_of_one_update_is_bellmans_error() -> None:
    ours = learner(SIZES, learning_starts=0, ratio=0.25, batch_size=4)
    memories = episode(4)
    before, target = copy.deepcopy(ours.model), copy.deepcopy(ours.target)
    torch.default_generator.manual_seed(3)
    place = torch.randint(4, (1, 4))[0].tolist()
    errors = []
    for i in place:
        observation, following, action, reward, ended = (column[i : i + 1] for column in memories)
        best = 0.0 if ended.item() else target(following).max().item()
        goal = torch.tensor([reward.item() + 0.99 * best])
        errors.append(F.huber_loss(before(observation)[:, int(action)], goal).item())
    torch.default_generator.manual_seed(3)
    metrics = ours.update(memories, 0)
    assert float(metrics["loss"]) == pytest.approx(np.mean(errors), abs=1e-6)


def test_gradient_is_that_of_autograd() -> None:
    ours = learner(SIZES, clip_norm=1e9)
    network = copy.deepcopy(ours.model)
    observation, goal = torch.randn(16, 4), 3 * torch.randn(16, 1)
    action = torch.randint(2, (16, 1))
    F.huber_loss(network(observation).gather(1, action), goal).backward()
    with torch.no_grad():
        ours.descend(observation, action, goal)
    for (_, _, weight, bias), layer in zip(ours.layers, network.dense(), strict=True):
        torch.testing.assert_close(weight, layer.weight.grad, atol=1e-6, rtol=1e-4)
        torch.testing.assert_close(bias, layer.bias.grad, atol=1e-6, rtol=1e-4)


def test_weights_that_lie_side_by_side_are_the_networks_own() -> None:
    ours = learner(SIZES)
    with torch.no_grad():
        ours.flat.fill_(0.25)
    assert all((p == 0.25).all() for p in ours.model.parameters())
    assert ours.flat.numel() == sum(p.numel() for p in ours.model.parameters())


def test_the_player_acts_as_the_network_does() -> None:
    network = learner().model
    act, observations = network.player(), torch.randn(200, 4)
    assert [act(o) for o in observations.numpy()] == network(observations).argmax(dim=1).tolist()


def test_number_of_parameters() -> None:
    with torch.device("meta"):
        network = dqn.Config().build()
    assert sum(p.numel() for p in network.parameters()) == 4 * 256 + 256 + 256 * 256 + 256 + 256 * 2 + 2


# -- what the learner keeps to ----------------------------------------------------------------------
def test_updates_are_made_in_a_fixed_ratio_to_transitions() -> None:
    ours = learner(SIZES, learning_starts=10, ratio=0.3, batch_size=4)
    lengths = [7, 8, 5, 1, 1, 9, 13]
    for step, length in enumerate(lengths):
        ours.update(episode(length, step), step)
    counted = sum(lengths[1:])  # the first episode alone has fewer transitions than learning_starts
    assert ours.updates == int(0.3 * counted)
    assert ours.debt == pytest.approx(0.3 * counted - ours.updates)


def test_the_target_network_is_renewed_only_when_due() -> None:
    ours = learner(SIZES, learning_starts=0, ratio=1.0, batch_size=4, target_every=10)
    first = copy.deepcopy(ours.target.state_dict())
    ours.update(episode(9), 0)
    assert all(
        torch.equal(a, b) for a, b in zip(first.values(), ours.target.state_dict().values(), strict=True)
    )
    ours.update(episode(1), 1)
    now = ours.model.state_dict().values()
    assert all(torch.equal(a, b) for a, b in zip(now, ours.target.state_dict().values(), strict=True))


def test_epsilon_falls_in_a_line_and_stays() -> None:
    ours = learner(SIZES, explore_for=100, epsilon=0.1)
    shares = ours.epsilons(201)
    assert shares[[0, 50, 100, 200]] == pytest.approx([1, 0.55, 0.1, 0.1])
    ours.transitions = 50
    assert ours.epsilons(1)[0] == pytest.approx(0.55)


def test_the_learning_rate_falls_to_its_share() -> None:
    ours = learner(SIZES, learning_rate=1e-3, final_rate=0.1, learning_starts=10**6)
    ours.update(episode(2), 5)
    assert ours.adam.param_groups[0]["lr"] == pytest.approx(0.55e-3)


def test_the_replay_memory_forgets_the_oldest_and_comes_back_whole() -> None:
    memory = dqn.Replay(10, 4, torch.device("cpu"))
    parts = [episode(n, n) for n in (4, 3, 5)]
    for part in parts:
        memory.add(part)
    rewards = torch.cat([part[3] for part in parts])
    assert len(memory) == 10
    assert sorted(memory.columns["reward"].tolist()) == sorted(rewards[-10:].tolist())
    assert memory.columns["reward"][:2].tolist() == rewards[-2:].tolist()
    again = dqn.Replay(10, 4, torch.device("cpu"))
    again.load_state(memory.state())
    assert all(
        torch.equal(a, b) for a, b in zip(memory.columns.values(), again.columns.values(), strict=True)
    )
    memory.add(episode(25))  # longer than the memory
    assert torch.equal(memory.columns["reward"].sort().values, episode(25)[3][-10:].sort().values)


def test_the_state_holds_only_what_is_filled() -> None:
    ours = learner(SIZES, learning_starts=0)
    ours.update(episode(12), 0)
    state = ours.state()
    assert state["replay"]["observation"].shape == (12, 4)
    other = learner(SIZES, learning_starts=0)
    other.load_state(state)
    assert (other.transitions, other.updates, other.debt) == (12, 6, 0.0)
    assert other.seed == ours.seed


def test_an_episode_is_a_function_of_learner_and_step() -> None:
    source, ours = dqn.Episodes(CartPole()), learner()
    late, begun = source.stream(ours, 3), source.stream(ours, 0)
    episodes = [next(begun) for _ in range(5)]
    for expected in episodes[3:]:
        assert all(torch.equal(a, b) for a, b in zip(expected, next(late), strict=True))
    assert len({tuple(e[0][0].tolist()) for e in episodes}) == 5
    observation, following, action, reward, ended = episodes[0]
    assert torch.equal(observation[1:], following[:-1])
    assert reward.tolist() == [1.0] * len(action)
    assert ended.tolist() == [0.0] * (len(action) - 1) + [1.0]


def test_an_episode_that_is_cut_off_has_not_ended() -> None:
    class Endless(Corridor):
        horizon = 3

        def step(self, action: int) -> tuple[np.ndarray, float, bool]:
            return self.look(), 1.0, False

    ours = learner(dqn.Config(observation=2))
    assert dqn.Episodes(Endless()).play(ours, 0)[-1].tolist() == [0.0, 0.0, 0.0]


# -- learning -----------------------------------------------------------------------------------------
class Mirror:
    """Shows 0 or 1; naming it is rewarded. Nothing follows from an action, so values are rewards."""

    horizon, observation, actions = 10, 1, 2
    names: tuple[str, ...] = ("shown",)

    def reset(self, seed: int) -> np.ndarray:
        self.dice = np.random.Generator(np.random.PCG64(seed))
        return self.show()

    def show(self) -> np.ndarray:
        self.shown = int(self.dice.integers(2))
        return np.array([self.shown], dtype=np.float32)

    def step(self, action: int) -> tuple[np.ndarray, float, bool]:
        reward = float(action == self.shown)
        return self.show(), reward, False

    def rule(self, observations: np.ndarray) -> np.ndarray:
        return observations[:, 0].astype(np.int64)


def test_learns_to_repeat_what_it_sees() -> None:
    torch.default_generator.manual_seed(0)
    how = dqn.DeepQLearning(
        learning_rate=5e-3, batch_size=32, capacity=1000, learning_starts=30, ratio=1.0, target_every=20,
        explore_for=200, discount=0.0,
    )  # fmt: skip
    ours = how.learner(dqn.Config(observation=1, width=16).build(), 60, Parallel())
    returns, losses = [], []
    train(
        ours, dqn.Episodes(Mirror()), steps=60,
        observers=[lambda e: returns.append(float(e.metrics["return"])),
                   lambda e: losses.append(float(e.metrics["loss"]))],
    )  # fmt: skip
    values = ours.model(torch.tensor([[0.0], [1.0]]))
    torch.testing.assert_close(values, torch.eye(2), atol=0.05, rtol=0)
    assert np.mean(returns[-10:]) > 9
    assert np.mean(losses[-5:]) < 0.1 * losses[3]


# -- bad input ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("learning_rate", 0.0), ("learning_rate", float("inf")), ("batch_size", 0), ("capacity", 0),
        ("ratio", -1.0), ("target_every", 0), ("explore_for", 0), ("epsilon", 1.5), ("discount", -0.1),
        ("final_rate", 2.0), ("clip_norm", 0.0), ("learning_starts", -1),
    ],
)  # fmt: skip
def test_refuses_settings_that_cannot_be(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"{field} is {value}; it must be"):
        dqn.DeepQLearning(**{field: value})


@pytest.mark.parametrize(("field", "value"), [("observation", 0), ("actions", 1), ("width", 0), ("depth", 0)])
def test_refuses_sizes_that_cannot_be(field: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{field} is {value}; it must be"):
        dqn.Config(**{field: value})


def test_refuses_to_be_distributed() -> None:
    with pytest.raises(InputError, match="one process, not 2"):
        dqn.DeepQLearning().learner(SIZES.build(), 10, SimpleNamespace(world=2, device=torch.device("cpu")))


def test_validation_and_test_episodes_differ() -> None:
    data = Games(valid=20, test=30).load()
    assert data.valid is not None and data.test is not None
    valid, test = (set(s.rows(torch.arange(len(s)))[0].tolist()) for s in (data.valid, data.test))
    assert (len(valid), len(test), len(valid & test)) == (20, 30, 0)
    with pytest.raises(ValueError, match="test is 0; it must be 1 or more"):
        Games(test=0)
