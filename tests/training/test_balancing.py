"""Rare classes: balanced losses, the focal loss, the balanced sampler, and what ``fit`` decides."""

import copy
import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fathom.applications.tabular.house_prices import EachMember
from fathom.architectures.convolutional import lenet
from fathom.cli.command import main
from fathom.data.graphs import communities
from fathom.data.loading import Shuffled, repeats
from fathom.data.split import Data, InMemory, Part, Tensors, class_numbers
from fathom.data.transforms import Shift
from fathom.errors import InputError
from fathom.reinforcement import dqn_cartpole
from fathom.settings import flatten, override
from fathom.task import Boundary
from fathom.tasks.vector_classification import VectorClassification
from fathom.training import (
    SGD,
    AdamW,
    CrossEntropy,
    Experiment,
    Focal,
    GradientDescent,
    Live,
    MeanSquaredError,
    Parallel,
    train,
)
from fathom.training.checkpoint import digest
from fathom.verbs.balance import LOSS, SAMPLER, balance
from fathom.verbs.fit import build, fit
from fathom.verbs.train import resume
from fathom.verbs.train import train as train_verb

COUNTS = (400, 40, 8)


def rare(counts: tuple[int, ...] = COUNTS) -> Tensors:
    """Three overlapping clouds of points, of very different sizes."""
    dice = torch.Generator().manual_seed(5)
    label = torch.cat([torch.full((n,), k) for k, n in enumerate(counts)])
    label = label[torch.randperm(len(label), generator=dice)]
    corner = torch.tensor([[0.0, 0.0], [1.5, 0.0], [0.0, 1.5]])[label]
    return Tensors((corner + torch.randn(len(label), 2, generator=dice), label))


def experiment(objective: Any = None, **changes: Any) -> Experiment:
    """A linear classifier of the clouds; evaluated on as many points of each."""
    split, even = rare(), rare((60, 60, 60))
    learning = GradientDescent(objective=objective or CrossEntropy(), optimizer=AdamW(learning_rate=0.05))
    settings: dict[str, Any] = {
        "model": Live(nn.Linear(2, 3)), "data": InMemory(Data(split, even, even)), "learning": learning,
        "task": VectorClassification(labels=("common", "rare", "rarest"), inputs_count=2), "steps": 120,
        "batch_size": 32,
    }  # fmt: skip
    return Experiment(**settings | changes)


def logits_and_labels(count: int = 24) -> tuple[Tensor, Tensor]:
    dice = torch.Generator().manual_seed(2)
    return torch.randn(count, 3, generator=dice).double(), torch.randint(3, (count,), generator=dice)


# -- the losses -------------------------------------------------------------------------------------


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_weights_are_the_balanced_ones_and_the_mean_is_over_rows(smoothing: float) -> None:
    logits, label = logits_and_labels()
    objective = CrossEntropy(balance="weights", counts=COUNTS, label_smoothing=smoothing)
    loss, metrics = objective(nn.Identity(), (logits, label))
    weight = torch.tensor([sum(COUNTS) / (3 * n) for n in COUNTS], dtype=torch.float64)
    rows = [
        F.cross_entropy(z[None], y[None], weight, label_smoothing=smoothing, reduction="sum")
        for z, y in zip(logits, label, strict=True)
    ]
    torch.testing.assert_close(loss, torch.stack(rows).mean(), rtol=1e-12, atol=1e-12)
    assert metrics["accuracy"] == (logits.argmax(1) == label).float().mean()


def test_over_the_training_set_every_class_has_the_same_say() -> None:
    """With one loss for all rows, each class adds a third of it."""
    _, label = rare().columns
    same = torch.zeros(len(label), 3)
    whole, _ = CrossEntropy(balance="weights", counts=COUNTS)(nn.Identity(), (same, label))
    assert float(whole) == pytest.approx(float(torch.tensor(3.0).log()), rel=1e-6)
    for k in range(3):
        part = label == k
        own, _ = CrossEntropy(balance="weights", counts=COUNTS)(nn.Identity(), (same[part], label[part]))
        assert float(own) * int(part.sum()) == pytest.approx(float(whole) * len(label) / 3, rel=1e-5)


def test_logits_are_shifted_by_the_logarithm_of_the_share() -> None:
    logits, label = logits_and_labels()
    loss, metrics = CrossEntropy(balance="logits", counts=COUNTS)(nn.Identity(), (logits, label))
    share = torch.tensor(COUNTS, dtype=torch.float64) / sum(COUNTS)
    torch.testing.assert_close(loss, F.cross_entropy(logits + share.log(), label), rtol=1e-12, atol=1e-12)
    assert metrics["accuracy"] == (logits.argmax(1) == label).float().mean()  # of the logits as they are


@pytest.mark.parametrize("how", ["weights", "logits"])
def test_mixed_labels_and_half_precision_are_taken(how: Any) -> None:
    logits, label = logits_and_labels()
    objective = CrossEntropy(balance=how, counts=COUNTS)
    hard, _ = objective(nn.Identity(), (logits, label))
    soft, _ = objective(nn.Identity(), (logits, F.one_hot(label, 3).double()))
    torch.testing.assert_close(soft, hard, rtol=1e-12, atol=1e-12)
    for dtype in (torch.float16, torch.bfloat16):
        short, _ = objective(nn.Identity(), (logits.to(dtype), label))
        assert short.dtype == torch.float32 and float(short) == pytest.approx(float(hard), rel=2e-2)


def test_focal_without_focus_is_cross_entropy_and_with_it_cares_less_for_what_is_right() -> None:
    logits, label = logits_and_labels()
    plain, _ = CrossEntropy()(nn.Identity(), (logits, label))
    torch.testing.assert_close(Focal(gamma=0.0)(nn.Identity(), (logits, label))[0], plain)
    weighted = CrossEntropy(balance="weights", counts=COUNTS)(nn.Identity(), (logits, label))[0]
    focal = Focal(gamma=0.0, balance="weights", counts=COUNTS)(nn.Identity(), (logits, label))[0]
    torch.testing.assert_close(focal, weighted)
    p = logits.softmax(1)[torch.arange(24), label]
    torch.testing.assert_close(
        Focal(gamma=2.0)(nn.Identity(), (logits, label))[0], (-((1 - p) ** 2) * p.log()).mean()
    )
    with pytest.raises(ValueError, match=r"target\.shape"):
        Focal()(nn.Identity(), (logits, F.one_hot(label, 3).double()))


def test_members_of_a_table_ensemble_are_balanced_each() -> None:
    logits, label = logits_and_labels()
    members = torch.stack([logits, logits.flip(0)], dim=1)
    for how in ("weights", "logits"):
        each = [
            CrossEntropy(balance=how, counts=COUNTS)(nn.Identity(), (members[:, m], label))[0] for m in (0, 1)
        ]
        loss, _ = EachMember(balance=how, counts=COUNTS)(nn.Identity(), (members, label))
        torch.testing.assert_close(loss, (each[0] + each[1]) / 2)


@pytest.mark.parametrize("parts", [2, 5])
@pytest.mark.parametrize(
    "objective",
    [
        CrossEntropy(balance="weights", counts=COUNTS, label_smoothing=0.1),
        CrossEntropy(balance="logits", counts=COUNTS),
        Focal(balance="weights", counts=COUNTS),
    ],
)
def test_accumulated_gradients_equal_those_of_the_big_batch(objective: Any, parts: int) -> None:
    dice = torch.Generator().manual_seed(3)
    batch = torch.randn(24, 2, generator=dice).double(), torch.randint(3, (24,), generator=dice)
    model = nn.Linear(2, 3).double()
    how = GradientDescent(objective=objective, optimizer=SGD(learning_rate=0.1, momentum=0.0))
    whole = how.learner(copy.deepcopy(model), 10, Parallel())
    pieces = dataclasses.replace(how, accumulate=parts).learner(copy.deepcopy(model), 10, Parallel())
    torch.testing.assert_close(
        pieces.update(batch, 0)["loss"].double(), whole.update(batch, 0)["loss"], rtol=1e-6, atol=1e-7
    )
    for a, b in zip(whole.raw.parameters(), pieces.raw.parameters(), strict=True):
        torch.testing.assert_close(b.grad, a.grad, rtol=1e-6, atol=1e-9)


REFUSED = [
    (lambda: CrossEntropy(balance="sampler"), "balance"),  # type: ignore[arg-type]
    (lambda: Focal(balance="logits"), "balance"),  # type: ignore[arg-type]
    (lambda: Focal(gamma=-1.0), "gamma is -1.0; it must be 0 or more"),
    (lambda: CrossEntropy(balance="weights", counts=(3, 0)), r"counts are below 1 for classes \[1\]"),
    (lambda: CrossEntropy(balance="weights")(nn.Identity(), logits_and_labels()), "an Experiment counts"),
    (lambda: CrossEntropy(balance="weights", counts=(3, 2))(nn.Identity(), logits_and_labels()), "3 classes"),
    (lambda: CrossEntropy(balance="logits", counts=(3, 2))(nn.Identity(), logits_and_labels()), "3 classes"),
    (lambda: EachMember(balance="weights")(nn.Identity(), logits_and_labels()), "counts is empty"),
    (lambda: experiment(sampling="fair"), "sampling"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "said"), REFUSED)
def test_settings_refuse_nonsense(make: Any, said: str) -> None:
    with pytest.raises((ValueError, TypeError), match=said):
        make()


# -- who counts -------------------------------------------------------------------------------------


def test_an_experiment_counts_its_training_rows_where_it_must() -> None:
    plain = experiment()
    assert plain.counted() is plain
    asked = experiment(CrossEntropy(balance="weights"))
    told = asked.counted()
    assert told.learning.objective == CrossEntropy(balance="weights", counts=COUNTS)
    assert told.counted() is told
    assert asked.learner().objective.counts == COUNTS  # whoever asks for a learner need not know
    assert asked.canary().learning.objective.counts == COUNTS  # of all rows, not of those it sings with


def test_what_cannot_be_counted_is_refused() -> None:
    rows, label = rare().columns
    without = Tensors((rows[label != 1], label[label != 1]))
    with pytest.raises(InputError, match=r"needs a training row of each class; there is none of rare$"):
        experiment(CrossEntropy(balance="logits"), data=InMemory(Data(without))).learner()
    numbers = InMemory(Data(Tensors((rows, rows[:, 0]))))
    with pytest.raises(InputError, match="needs class numbers as targets"):
        experiment(CrossEntropy(balance="weights"), data=numbers).learner()
    with pytest.raises(InputError, match="needs class numbers as targets"):
        experiment(sampling="balanced", data=numbers).source(numbers.load())
    game = dqn_cartpole.tiny()
    with pytest.raises(InputError, match="this data makes batches"):
        dataclasses.replace(game, sampling="balanced").source(game.data.load())


def test_class_numbers_are_found_without_reading_where_possible() -> None:
    split = rare()
    label = split.columns[1]

    class Read:
        """Rows that must be asked for."""

        def __len__(self) -> int:
            return len(label)

        def rows(self, index: Tensor) -> tuple[Any, ...]:
            return split.rows(index)

    some = torch.tensor([5, 3, 3])
    for whole in (split, Read()):
        found, part = class_numbers(whole), class_numbers(Part(whole, some))
        assert found is not None and torch.equal(found, label)
        assert part is not None and torch.equal(part, label[some])
    graphs = communities(nodes=20, features=4, classes=2, train=2, valid=1).load().train
    assert class_numbers(graphs) is None  # the labels of nodes, of which a row has many
    assert class_numbers(object()) is None


def test_settings_name_the_ways_and_none_is_a_word() -> None:
    made = override(experiment(), "balance", "weights")
    assert made.learning.objective.balance == "weights"
    assert override(made, "balance", "none") == experiment(model=made.model, data=made.data)
    assert override(made, "sampling", "balanced").sampling == "balanced"
    with pytest.raises(InputError, match=r"takes 'none' or 'weights' or 'logits' \(now 'weights'\), not 'fa"):
        override(made, "balance", "fair")
    assert flatten(made)["learning.objective.counts"] == ()


def test_a_run_records_the_counts_and_resumes_to_the_same_bits(tmp_path: Path) -> None:
    weights = nn.Linear(2, 3).state_dict()

    def fresh() -> Experiment:
        model = nn.Linear(2, 3)
        model.load_state_dict(weights)
        return experiment(
            CrossEntropy(balance="weights"), model=Live(model), sampling="balanced", steps=40,
            evaluate_every=10,
        )  # fmt: skip

    straight = train_verb(fresh(), out=tmp_path / "straight", export=False)

    def stop(event: Any) -> None:
        if event.steps == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_verb(fresh(), out=tmp_path / "run", export=False, observers=[stop])
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["settings"]["learning.objective.counts"] == list(COUNTS)
    assert record["settings"]["sampling"] == "balanced"
    assert resume(tmp_path / "run", experiment=fresh(), export=False).digest == straight.digest


# -- the sampler ------------------------------------------------------------------------------------


def source(**changes: Any) -> Shuffled:
    return Shuffled(**{"split": rare(), "batch_size": 30, "seed": 3, "sampling": "balanced"} | changes)


def take(stream: Any, count: int) -> list[tuple[Tensor, ...]]:
    return [next(stream) for _ in range(count)]


def test_every_class_is_drawn_equally_often_and_every_row_of_it() -> None:
    labels = torch.cat([b[1] for b in take(source().stream(None, 0), 400)])
    shares = torch.bincount(labels, minlength=3) / len(labels)
    assert (shares - 1 / 3).abs().max() < 5 * (2 / 9 / len(labels)) ** 0.5  # five standard deviations
    label = rare().columns[1]
    visits = torch.bincount(torch.cat([source().order(e) % len(label) for e in range(300)]))
    for k, count in enumerate(COUNTS):
        expected = 300 * len(label) / 3 / count
        own = visits[label == k].double()
        assert float(own.mean()) == pytest.approx(expected, rel=0.02)
        assert (own - expected).abs().max() < 6 * expected**0.5


def test_probabilities_are_those_of_the_primitive() -> None:
    label = rare().columns[1]
    expected = torch.tensor([1 / (3 * COUNTS[k]) for k in label.tolist()], dtype=torch.float64)
    torch.testing.assert_close(source().chances, expected, rtol=1e-12, atol=0)


def test_a_stream_may_begin_anywhere_with_any_workers_and_processes() -> None:
    plain = source(augment=(), batch_size=100)
    whole = take(plain.stream(None, 0), 11)  # over two epochs of four steps
    for start in (1, 4, 9):
        for a, b in zip(whole[start:], take(plain.stream(None, start), 11 - start), strict=True):
            assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    for a, b in zip(whole, take(dataclasses.replace(plain, workers=1).stream(None, 0), 11), strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    halves = [take(dataclasses.replace(plain, rank=r, world=2).stream(None, 0), 5) for r in (0, 1)]
    for k in range(5):
        joined = [torch.cat([halves[0][k][i], halves[1][k][i]]) for i in (0, 1)]
        assert all(torch.equal(a, b) for a, b in zip(whole[k], joined, strict=True))


def test_each_visit_of_a_row_is_augmented_in_its_own_way() -> None:
    assert repeats(torch.tensor([5, 7, 5, 5, 7])).tolist() == [0, 0, 1, 2, 1]
    image = torch.arange(2 * 81, dtype=torch.uint8).reshape(2, 1, 9, 9)
    split = Tensors((image[[0] * 30 + [1]], torch.tensor([0] * 30 + [1])))
    batch, label = next(source(split=split, batch_size=31, augment=(Shift(pixels=3),)).stream(None, 0))
    rare_one = batch[label == 1]
    assert len(rare_one) > 8
    assert len({tuple(p.flatten().tolist()) for p in rare_one}) > len(rare_one) // 2


def test_shuffled_order_is_what_it_was() -> None:
    from fathom.training.randomness import permutation

    for epoch in range(3):
        order = source(sampling="shuffled").order(epoch)
        assert torch.equal(order, permutation(sum(COUNTS), 3, epoch))


# -- what it is good for ----------------------------------------------------------------------------


def test_balanced_learning_finds_the_rare() -> None:
    """On as many rows of each class, all four remedies beat the loss that counts rows alike."""

    def accuracy(**how: Any) -> float:
        torch.manual_seed(0)
        made = experiment(**how | {"model": Live(nn.Linear(2, 3))})
        data, learner = made.data.load(), made.learner()
        train(learner, made.source(data), steps=made.steps, seed=made.seed)
        return made.task.evaluate(Boundary(made.task, learner.model), data.valid).metrics["accuracy"]

    plain = accuracy()
    assert plain < 0.5
    assert accuracy(objective=CrossEntropy(balance="weights")) > plain + 0.2
    assert accuracy(objective=CrossEntropy(balance="logits")) > plain + 0.2
    assert accuracy(objective=Focal(balance="weights")) > plain + 0.2
    assert accuracy(sampling="balanced") > plain + 0.2


def test_plain_settings_give_the_bits_that_they_gave() -> None:
    """``balance`` and ``sampling`` at their defaults, against the update written out."""
    tiny = dataclasses.replace(lenet.tiny(), steps=6)
    learner = tiny.learner()
    train(learner, tiny.source(tiny.data.load()), steps=6, seed=tiny.seed)
    by_hand = tiny.build()
    optimizer = tiny.learning.optimizer.build(by_hand)
    stream = tiny.source(tiny.data.load()).stream(None, 0)
    for _ in range(6):
        image, label = next(stream)
        optimizer.zero_grad()
        F.cross_entropy(by_hand.train()(image), label).backward()
        optimizer.step()
    assert digest(dict(learner.raw.state_dict())) == digest(dict(by_hand.state_dict()))


# -- fit --------------------------------------------------------------------------------------------


def table(file: Path, counts: dict[str, int]) -> Path:
    """A table whose label follows from its first column, more or less."""
    dice = torch.Generator().manual_seed(1)
    with file.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["size", "weight", "state"])
        for place, (name, count) in enumerate(counts.items()):
            for size, weight in torch.randn(count, 2, generator=dice).tolist():
                writer.writerow([f"{size + 2 * place:.3f}", f"{weight:.3f}", name])
    return file


def proposed(file: Path) -> tuple[Experiment, Data]:
    origin: dict[str, Any] = {
        "task": "tabular_classification", "path": str(file), "target": "state", "text": None,
        "skip_bad": False, "seed": 0, "settings": [],
    }  # fmt: skip
    return build(origin, None, None, None, lambda line: None)


def test_auto_counts_says_and_decides(tmp_path: Path) -> None:
    said: list[str] = []
    uneven = proposed(table(tmp_path / "uneven.csv", {"fine": 500, "broken": 30}))
    assert balance("auto", *uneven, said.append) == [(LOSS, "weights")]
    assert said.pop() == (
        "balance: class 'fine' has 400 training rows and 'broken' has 24, 17 to 1: the loss weighs each class"
        " by its rarity"
    )
    made = override(uneven[0], *balance("auto", *uneven, said.append)[0]).counted(uneven[1])
    assert made.learning.objective == EachMember(balance="weights", counts=(24, 400))  # by name: broken, fine
    even = proposed(table(tmp_path / "even.csv", {"fine": 300, "broken": 30}))
    said.clear()
    assert balance("auto", *even, said.append) == []  # ten to one is not above it
    assert said == ["balance: class 'fine' has 240 training rows and 'broken' has 24: near enough, so nothing"
                    " is balanced"]  # fmt: skip
    same = proposed(table(tmp_path / "same.csv", {"fine": 40, "broken": 40}))
    said.clear()
    assert balance("auto", *same, said.append) == []
    assert said == ["balance: each of 2 classes has 32 training rows; nothing is balanced"]
    assert balance("none", *uneven, said.append) == []
    assert balance("sampler", *uneven, said.append) == [SAMPLER]
    assert balance("logits", *uneven, said.append) == [(LOSS, "logits")]
    with pytest.raises(InputError, match="balance is 'fair'; it must be one of none, auto"):
        balance("fair", *uneven, said.append)


def test_auto_where_the_loss_knows_no_weights_or_there_are_no_classes() -> None:
    said: list[str] = []
    data = experiment().data.load()
    own = experiment(MeanSquaredError())
    assert balance("auto", own, data, said.append) == [SAMPLER]
    assert "every class is drawn equally often" in said.pop()
    with pytest.raises(InputError, match="this loss weighs no classes; take --balance sampler"):
        balance("weights", own, data, said.append)
    rows, label = rare().columns
    numbers = Data(Tensors((rows, rows[:, 0])))
    assert balance("auto", own, numbers, said.append) == []
    assert said.pop() == "balance: there are no classes here, so nothing is balanced"
    with pytest.raises(InputError, match="this data has no classes; leave it out"):
        balance("sampler", own, numbers, said.append)
    without = Data(Tensors((rows[label != 2], label[label != 2])))
    assert balance("auto", own, without, said.append) == []
    assert "class 'rarest' has no training row" in said.pop()


def test_the_command_line_knows_the_ways(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "somewhere", "--balance", "fair"]) == 2
    assert "none, auto, weights, logits, sampler" in capsys.readouterr().err.replace("'", "")


@pytest.mark.slow
def test_fit_balances_by_itself_and_resumes(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = table(tmp_path / "t.csv", {"fine": 500, "broken": 25})
    command = ["fit", str(file), "--target", "state", "--set", "steps=60", "--no-export"]
    assert main([*command, "--balance", "auto", "--out", str(tmp_path / "run")]) == 0
    assert "20 to 1: the loss weighs each class by its rarity" in capfd.readouterr().err
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["settings"]["learning.objective.balance"] == "weights"
    assert record["settings"]["learning.objective.counts"] == [20, 400]
    assert record["origin"]["settings"][-1] == [LOSS, "weights"]
    plain = fit(file, target="state", steps=60, out=tmp_path / "plain", export=False)

    def stop(event: Any) -> None:
        if event.steps == 55:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(file, target="state", steps=60, balance="auto", out=tmp_path / "half", observers=[stop])
    half = resume(tmp_path / "half", export=False)
    assert half.digest == record["result"]["digest"] != plain.digest


@pytest.mark.slow
def test_weights_and_chances_equal_scikit_learn() -> None:
    import numpy as np
    from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight

    label = rare().columns[1].numpy()
    weight = compute_class_weight("balanced", classes=np.arange(3), y=label)
    logits, some = logits_and_labels()
    ours, _ = CrossEntropy(balance="weights", counts=COUNTS)(nn.Identity(), (logits, some))
    theirs = F.cross_entropy(logits, some, torch.from_numpy(weight), reduction="sum") / len(some)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    chances = torch.from_numpy(compute_sample_weight("balanced", label))
    torch.testing.assert_close(source().chances, chances / chances.sum(), rtol=1e-12, atol=0)
