"""Control: environments, playing in lock step, scores, refusals and the report."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from fathom.data.environments import CartPole, Corridor, environment
from fathom.data.split import Data, Tensors
from fathom.deployment import preprocessing
from fathom.errors import InputError, MissingExtra
from fathom.reinforcement import dqn_cartpole
from fathom.task import Arrays, Options, Task
from fathom.tasks.control import Control, play

SEEDS = Tensors((torch.arange(6) + 100,))


def lean(arrays: Arrays) -> Arrays:
    """Values that prefer to push where the pole leans and falls to."""
    right = arrays["observation"][:, 2] + 0.5 * arrays["observation"][:, 3]
    return {"values": np.stack([-right, right], axis=1)}


def test_cartpole_is_gymnasiums() -> None:
    import gymnasium

    ours, theirs = CartPole(), gymnasium.make("CartPole-v1")
    seen = ours.reset(5)
    np.testing.assert_array_equal(seen, theirs.reset(seed=5)[0])
    for action in [0, 1, 1, 0] * 20:
        seen, reward, ended = ours.step(action)
        expected = theirs.step(action)
        np.testing.assert_array_equal(seen, expected[0])
        assert (reward, ended) == (expected[1], expected[2])
        if ended:
            break
    assert ours.horizon == 500


def test_corridor_ends_on_the_right() -> None:
    world = Corridor()
    assert world.reset(2)[0] == pytest.approx(2 / 7)
    outcomes = [world.step(1)[1:] for _ in range(5)]
    assert outcomes == [(-0.1, False)] * 4 + [(1.0, True)]
    world.reset(0)
    assert world.step(0)[0][0] == 0  # there is a wall on the left


def test_lock_step_equals_one_by_one() -> None:
    together = play("CartPole-v1", lean, range(4))
    alone = [play("CartPole-v1", lean, [seed])[0] for seed in range(4)]
    for a, b in zip(together, alone, strict=True):
        for name in ("observation", "values", "reward"):
            np.testing.assert_array_equal(a[name], b[name])
    assert play("CartPole-v1", lean, []) == []


def test_score_is_the_mean_return() -> None:
    evaluation = Control().evaluate(lean, SEEDS)
    assert evaluation.metrics["return"] == evaluation.items["return"].mean() == evaluation.score
    assert evaluation.metrics["worst"] == evaluation.items["return"].min()
    assert len(evaluation.items["return"]) == 6
    assert evaluation.metrics["return"] > 450  # this rule is known to balance


def test_baselines_are_weak_and_repeatable() -> None:
    data = Data(train=None, valid=SEEDS)
    first, second = Control().baselines(data), Control().baselines(data)
    assert set(first) == {"random actions", "rule of thumb"}
    for name, evaluation in first.items():
        assert evaluation.metrics == second[name].metrics
        assert 5 < evaluation.metrics["return"] < 100
    assert Control().baselines(Data(train=None)) == {}


def test_answers_and_refusals_of_single_items() -> None:
    task = Control()
    items = [preprocessing.apply(task.preprocessing(), item) for item in ([0, 0, 0.1, 0], [0, 0, -0.1, 0])]
    answers = task.respond(lean, items)
    assert [a["action"] for a in answers] == [1, 0]
    assert answers[0]["values"] == pytest.approx([-0.1, 0.1])
    for bad, words in (
        ([1, 2], r"takes \[4\]"),
        ([0, 0, 0, float("nan")], "NaN"),
        ([1e300] * 4, "too large"),
        ("up", "text"),
    ):
        with pytest.raises(InputError, match=words):
            preprocessing.apply(task.preprocessing(), bad)


def test_is_a_task_that_reads_no_files(tmp_path: Path) -> None:
    task = Control()
    assert isinstance(task, Task)
    assert Control.recognise(tmp_path, Options()) is None
    with pytest.raises(InputError, match="by playing, not from files; run fathom train dqn_cartpole"):
        Control.read(tmp_path, Options())
    with pytest.raises(InputError, match="scored by playing"):
        task.read_labelled(tmp_path, Options())


def test_refuses_unknown_environments_and_sizes() -> None:
    with pytest.raises(InputError, match="did you mean 'CartPole-v1'"):
        Control(environment="CartPole")
    with pytest.raises(ValueError, match="observation is 3; CartPole-v1 has 4"):
        Control(observation=3)
    with pytest.raises(InputError, match="there is no environment 'chess'"):
        environment("chess")


def test_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(MissingExtra, match=r"fathom-dl\[rl\]"):
        CartPole()


def test_experiment_suits_the_task() -> None:
    made = Control(environment="corridor", observation=2).experiment(Data(train=None, valid=SEEDS), seed=3)
    assert (made.seed, made.keep, made.model) == (3, "best", dqn_cartpole.Config(observation=2))


def test_report_shows_returns_and_the_worst_episode() -> None:
    task = Control()
    evaluation = task.evaluate(lean, SEEDS)
    html = "".join(block.html() for section in task.sections(evaluation, SEEDS) for block in section.blocks)
    assert "pole angle (rad)" in html and "Episodes by their return" in html
    short = Control(environment="corridor", observation=2)
    evaluation = short.evaluate(lambda a: {"values": np.tile([0.0, 1.0], (len(a["observation"]), 1))}, SEEDS)
    assert len(short.sections(evaluation, SEEDS)) == 2
