"""What every system promises. A new system is tested here as soon as its file exists.

No test skips: what a system cannot meet stands in its card under ``exempt``, with the reason and a
substitute test, and that this substitute exists is tested too. Resume, determinism, save and load, and
the device admit no exemption.
"""

import dataclasses
import importlib
import json
import math
import re
import shutil
import sys
import time
import typing
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._pytree import tree_leaves, tree_map

from fathom import catalog
from fathom.deployment import artifact
from fathom.deployment.export import edge_cases, export
from fathom.task import Boundary, collate
from fathom.training import Event, Experiment, Parallel, train
from fathom.training.checkpoint import CheckpointFolder, digest, flatten
from fathom.training.randomness import scramble, seed_step
from fathom.training.state import gather, scatter, unpack

EXEMPTIBLE = {"parameters_move", "overfits", "exports", "stands_alone"}
# `make check` has one system of each task, `make test` has all.
SAMPLE = {
    "char_lstm", "dcgan", "dqn_cartpole", "gcn", "grid_detector", "house_prices", "image_text",
    "label_finder", "lenet", "minilm", "seq2seq", "text_cnn",
}  # fmt: skip
EVERY = pytest.mark.parametrize(
    "name",
    [name if name in SAMPLE else pytest.param(name, marks=pytest.mark.slow) for name in catalog.systems()],
)


def tiny(name: str) -> Experiment:
    return catalog.system(name).load().tiny()


def exempt(name: str, test: str) -> bool:
    """Whether the card says so; the substitute it names must be a test that exists."""
    reason = catalog.system(name).card.exempt.get(test)
    if reason is None:
        return False
    found = re.search(r"(tests/[\w/]+\.py)::(\w+)", reason)
    assert found, f"{name}: exempt[{test!r}] names no substitute as tests/...py::test_name"
    source = (Path(__file__).parents[1] / found[1]).read_text(encoding="utf-8")
    assert f"def {found[2]}(" in source
    return True


def weights(learner: Any) -> dict[str, torch.Tensor]:
    return {
        f"{m}.{n}": t.detach().clone()
        for m, net in learner.modules.items()
        for n, t in net.state_dict().items()
    }


def run(experiment: Experiment, steps: int, observers: Any = ()) -> Any:
    learner = experiment.learner()
    source = experiment.source(experiment.data.load())
    train(learner, source, steps=steps, seed=experiment.seed, observers=observers)
    return learner


@cache
def six_steps(name: str) -> str:
    """The digest of six plain steps, to compare others with."""
    return digest(weights(run(tiny(name), 6)))


@cache
def whole_run(name: str) -> tuple[Any, float]:
    """The learner after a whole run, and the processor seconds that the run took."""
    experiment = tiny(name)
    run(experiment, 1)  # imports and first calls are not the run's
    began = time.process_time()
    learner = run(experiment, experiment.steps)
    return learner, time.process_time() - began


@EVERY
def test_every_parameter_moves(name: str) -> None:
    if exempt(name, "parameters_move"):
        return
    experiment = tiny(name)
    before = weights(experiment.learner())

    def still(learner: Any) -> list[str]:
        return [
            f"{m}.{n}"
            for m, net in learner.modules.items()
            for n, p in net.named_parameters()
            if p.requires_grad and torch.equal(p, before[f"{m}.{n}"])
        ]

    def all_moved(event: Event) -> None:
        if not still(event.learner):
            event.stop = "every parameter has moved"

    assert not still(run(experiment, experiment.steps, observers=[all_moved]))


@pytest.mark.slow
@EVERY
def test_tiny_takes_under_two_seconds(name: str) -> None:
    assert whole_run(name)[1] < 2.0


@EVERY
def test_same_seed_gives_the_same_bits(name: str) -> None:
    assert digest(weights(run(tiny(name), 6))) == six_steps(name)


@EVERY
def test_scrambled_global_generators_change_nothing(name: str) -> None:
    scrambled = run(tiny(name), 6, observers=[lambda event: scramble(event.steps)])
    assert digest(weights(scrambled)) == six_steps(name)


@EVERY
def test_another_seed_gives_other_weights(name: str) -> None:
    experiment = tiny(name)
    other = dataclasses.replace(experiment, seed=experiment.seed + 1)
    assert digest(weights(run(experiment, 2))) != digest(weights(run(other, 2)))


@EVERY
def test_resumes_exactly_twice(name: str, tmp_path: Path) -> None:
    experiment = tiny(name)
    straight = digest(weights(run(experiment, 9)))
    for start, end in ((0, 3), (3, 7), (7, 9)):
        learner = experiment.learner()
        source = experiment.source(experiment.data.load())
        keepers = {"learner": learner, "source": source}
        with CheckpointFolder(tmp_path / "checkpoints") as folder:
            loaded = folder.load()
            if loaded is not None:
                assert loaded.step == start
                scatter(unpack(loaded), learner, keepers)
            scramble(start)
            train(learner, source, steps=end, start=start, seed=experiment.seed)
            tensors, facts = flatten(gather(learner, keepers))
            folder.save(end, tensors, {"state": facts})
    assert digest(weights(learner)) == straight


@pytest.mark.parametrize("to_the_end", [False, pytest.param(True, marks=pytest.mark.slow)])
@EVERY
def test_overfits_one_batch(name: str, to_the_end: bool) -> None:
    if exempt(name, "overfits"):
        return
    experiment = tiny(name)
    batch = next(experiment.source(experiment.data.load()).stream(experiment.learner(), 0))

    class Same:
        def stream(self, learner: Any, start: int) -> Iterator[Any]:
            while True:
                yield batch

    losses: list[float] = []

    def learned(event: Event) -> None:
        losses.append(float(event.metrics["loss"]))
        if not to_the_end and max(losses[-5:]) < 0.1 * losses[0]:
            event.stop = "known by heart"  # for five steps in a row

    experiment = dataclasses.replace(experiment, steps=3 * experiment.steps)
    train(experiment.learner(), Same(), steps=experiment.steps, seed=0, observers=[learned])
    assert min(losses[-5:]) < 0.1 * losses[0]


@pytest.mark.slow
@EVERY
def test_exports_with_a_free_batch_and_matches(name: str, tmp_path: Path) -> None:
    if exempt(name, "exports"):
        return
    learner, _ = whole_run(name)  # away from the zeros of a fresh head
    task = tiny(name).task
    outputs = Boundary(task, learner.model)(collate(task, edge_cases(task)))
    assert all(v.size for v in outputs.values())
    assert any(v.std() > 0 for v in outputs.values() if v.dtype.kind == "f")
    artifact.write(
        tmp_path,
        task=task,
        model=learner.model,
        system=name,
        digest="0" * 64,
        name=name,
        facts={"metrics": {}},
    )
    equality = export(tmp_path, task, learner.model)
    assert equality["equal"]
    assert {case["batch"] for case in equality["cases"]} == {1, 2, 7}
    ours = artifact.open_artifact(tmp_path, "torch").predict(task.examples())
    theirs = artifact.open_artifact(tmp_path, "onnx").predict(task.examples())
    assert_alike(ours, theirs)
    json.dumps(ours, allow_nan=False)


def assert_alike(ours: Any, theirs: Any) -> None:
    """Equal answers: same structure, same words, numbers within 1e-4."""
    assert type(ours) is type(theirs)
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys()
        for key in ours:
            assert_alike(ours[key], theirs[key])
    elif isinstance(ours, list):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            assert_alike(a, b)
    elif isinstance(ours, float):
        assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-4)
    elif not (isinstance(ours, str) and len(ours) > 80):  # an encoded picture may differ in its last bit
        assert ours == theirs


@EVERY
def test_weights_survive_save_and_load(name: str, tmp_path: Path) -> None:
    experiment = tiny(name)
    learner = run(experiment, 3)
    artifact.write(
        tmp_path, task=experiment.task, model=learner.model, system=name, digest="0" * 64, name=name,
        facts={"metrics": {}},
    )  # fmt: skip
    again = artifact.load_model(tmp_path, artifact.describe(tmp_path))
    assert digest(dict(again.state_dict())) == digest(dict(learner.model.state_dict()))
    restored = artifact.open_artifact(tmp_path).task
    assert restored == experiment.task


@EVERY
def test_forward_and_update_stay_on_the_device(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On ``meta`` every tensor made on the CPU by mistake collides with the model's, GPU or not."""
    experiment = tiny(name)
    batch = next(experiment.source(experiment.data.load()).stream(experiment.learner(), 0))
    without_values(monkeypatch)
    meta = torch.device("meta")
    learner = experiment.learner(Parallel(device=meta))
    batch = tree_map(lambda v: v.to(meta) if isinstance(v, torch.Tensor) else v, batch)
    seed_step(0, 0)
    metrics = learner.update(batch, 0)
    assert "loss" in metrics
    assert all(p.device.type == "meta" for net in learner.modules.values() for p in net.parameters())


def without_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps that read a value get a constant; fused kernels, which have no meta form, are left out."""
    for reader, value in (("__bool__", True), ("__float__", 1.0), ("__int__", 1), ("item", 1.0)):
        monkeypatch.setattr(torch.Tensor, reader, lambda self, value=value: value)
    for kind in (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW):
        plain = kind.__init__

        def init(self: Any, *given: Any, plain: Any = plain, **named: Any) -> None:
            plain(self, *given, **{**named, "fused": False})

        monkeypatch.setattr(kind, "__init__", init)


@EVERY
def test_config_refuses_nonsense(name: str) -> None:
    config = tiny(name).model
    tried = 0
    for field, value in nonsense(config):
        tried += 1
        with pytest.raises((ValueError, TypeError), match=rf"\b{field}\b"):
            dataclasses.replace(config, **{field: value})  # type: ignore[type-var]
    assert tried


def nonsense(config: Any) -> Iterator[tuple[str, Any]]:
    hints = typing.get_type_hints(type(config))
    for field in dataclasses.fields(config):
        if hints[field.name] is int:
            yield from ((field.name, -1), (field.name, 0))
        elif hints[field.name] is float:
            yield from ((field.name, -1.0), (field.name, math.nan))


@EVERY
def test_file_stands_alone(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what it builds on and the card, and nothing else of the package, it runs forward and backward."""
    if exempt(name, "stands_alone"):
        return
    entry = catalog.system(name)
    experiment = entry.load().tiny()
    task = experiment.task
    arrays = collate(task, edge_cases(task))
    inputs = task.prepare(*(torch.from_numpy(arrays[p.name]) for p in task.inputs()))
    settings = {f.name: getattr(experiment.model, f.name) for f in dataclasses.fields(experiment.model)}  # type: ignore[arg-type]
    for needed in [*closure(name), entry]:
        copy_module(needed.path, tmp_path)
    for plain_table in ("card.py", "published.py"):
        copy_module(catalog.ROOT / plain_table, tmp_path)
    for loaded in [m for m in sys.modules if m == "fathom" or m.startswith("fathom.")]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *(p for p in sys.path if "src" not in Path(p).parts)])
    plain = [f for f in sys.meta_path if getattr(f, "__module__", "").startswith(("_frozen", "importlib"))]
    monkeypatch.setattr(sys, "meta_path", plain)  # neither the editable install nor the shape checks
    importlib.invalidate_caches()
    alone = importlib.import_module(entry.module)
    assert str(tmp_path) in str(alone.__file__)
    model = alone.Config(**settings).build()
    made = [v for v in tree_leaves(model(*inputs)) if isinstance(v, torch.Tensor) and v.is_floating_point()]
    sum(v.square().mean() for v in made).backward()  # type: ignore[union-attr]
    assert any(p.grad is not None for p in model.parameters())
    for loaded in [m for m in sys.modules if m == "fathom" or m.startswith("fathom.")]:
        del sys.modules[loaded]


def closure(name: str) -> list[catalog.Entry]:
    """The systems and primitives that ``name`` builds on, and those they build on."""
    found: dict[str, catalog.Entry] = {}
    waiting = list(catalog.system(name).card.builds_on)
    while waiting:
        other = waiting.pop()
        if other not in found:
            found[other] = catalog.entry(other)
            waiting += found[other].card.builds_on
    return list(found.values())


def copy_module(path: Path, root: Path) -> None:
    target = root / "fathom" / path.relative_to(catalog.ROOT)
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = target.parent
    while folder != root:
        (folder / "__init__.py").touch()
        folder = folder.parent
    shutil.copy(path, target)


def test_exemptions_are_allowed_ones() -> None:
    for entry in catalog.systems().values():
        assert set(entry.card.exempt) <= EXEMPTIBLE, entry.name
