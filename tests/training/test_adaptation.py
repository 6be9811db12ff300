"""Adaptations in the engine: what moves and what stands still, resume, artifacts, the file, refusals."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from fathom.applications.language import minilm
from fathom.architectures.transformers import bert, gpt2
from fathom.deployment import artifact
from fathom.errors import InputError
from fathom.settings import override_all
from fathom.training import AdamW, CrossEntropy, Experiment, GradientDescent, Parallel
from fathom.training.adaptation import IA3, Adapters, LoRA, Prefix, Whole, base_state, merge
from fathom.training.adapter_file import load_adapter, read_card, save_adapter
from fathom.training.checkpoint import digest
from fathom.training.optim import Live
from fathom.training.transferred import Transferred
from fathom.verbs.train import resume, train
from fathom.verbs.transfer import source

KINDS = {
    "LoRA": LoRA(rank=2, dropout=0.1),
    "QLoRA": LoRA(rank=2, bits=4),
    "IA3": IA3(),
    "Adapters": Adapters(narrow=3),
    "Prefix": Prefix(length=2),
}
EVERY = pytest.mark.parametrize("how", list(KINDS.values()), ids=list(KINDS))


def adapted(how: Any, system: Any = bert, steps: int = 8) -> Experiment:
    """The tiny run of a system from weights of its own, a few steps long."""
    plain = system.tiny()
    torch.manual_seed(5)
    state = plain.model.build().state_dict()
    return replace(
        plain, steps=steps, model=Transferred(config=plain.model, state=state),
        learning=replace(plain.learning, adaptation=how),
    )  # fmt: skip


def base(experiment: Experiment) -> str:
    """The hash of what stands still, before anything learned: of the weights, or of what few bits keep."""
    model, how = experiment.model.build(), experiment.learning.adaptation  # type: ignore[attr-defined]
    if getattr(how, "bits", None) is None:
        return digest(model.state_dict())
    how.apply(model)
    return digest(base_state(model))


@pytest.mark.slow
@EVERY
def test_what_was_there_stands_still_and_little_learns(how: Any, tmp_path: Path) -> None:
    experiment = adapted(how)
    run = train(experiment, out=tmp_path / "run", export=False)
    model = artifact.load_model(run.model, artifact.describe(run.model))
    assert digest(base_state(model)) == base(experiment)  # to the bit
    assert getattr(how, "bits", None) or set(base_state(model)) == set(experiment.model.build().state_dict())
    learned = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert 0 < run.record["learned"] == learned < run.record["parameters"] / 5
    assert f"of which {learned:,} learned" in run.report.read_text()
    fresh = experiment.learner().model.state_dict()
    moved = {n for n, t in model.state_dict().items() if not torch.equal(t, fresh[n])}
    assert moved == {n for n, p in model.named_parameters() if p.requires_grad}  # all of what may


@pytest.mark.slow
@EVERY
def test_a_run_stopped_at_any_step_ends_in_the_same_bits(how: Any, tmp_path: Path) -> None:
    experiment = adapted(how)
    straight = train(experiment, out=tmp_path / "straight", export=False)

    def stop(event: Any) -> None:
        if event.steps == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(experiment, out=tmp_path / "run", export=False, observers=[stop])
    assert resume(tmp_path / "run", experiment=experiment, export=False).digest == straight.digest


@pytest.mark.slow
@EVERY
def test_the_file_holds_what_was_learned_and_fits_the_same_weights_only(how: Any, tmp_path: Path) -> None:
    experiment = adapted(how)
    run = train(experiment, out=tmp_path / "run", export=False)
    trained = artifact.load_model(run.model, artifact.describe(run.model))
    file = run.model / "adapter.safetensors"
    told = read_card(file)
    assert told["model"] == "WordGuesser" and told["adaptation"]["class"] == type(how).__name__
    assert told["base"] == base(experiment) and told["of"] == run.record["parameters"]
    assert sum(t.numel() for t in load_file(file).values()) == told["learned"] == run.record["learned"]
    assert file.stat().st_size < (run.model / "weights.safetensors").stat().st_size / 3
    model: Any = experiment.model.build().eval()
    load_adapter(model, file)
    token = torch.arange(6)[None] % model.cfg.vocabulary
    assert torch.equal(model(token), trained(token))

    other: Any = experiment.model.config.build()  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="was learned beside other weights: their SHA-256 is"):
        load_adapter(other, file)
    with pytest.raises(InputError, match="was learned by a WordGuesser; this is a GPT2"):
        load_adapter(gpt2.tiny().model.build(), file)


@pytest.mark.slow
def test_a_merged_model_is_plain_and_gives_the_same(tmp_path: Path) -> None:
    for how in (LoRA(rank=2), IA3()):
        experiment = adapted(how)
        model: Any = train(experiment, out=tmp_path / type(how).__name__, export=False).folder
        model = artifact.load_model(model / "model", artifact.describe(model / "model"))
        token = torch.arange(6)[None] % model.cfg.vocabulary
        before = model(token)
        merged = merge(model)
        torch.testing.assert_close(merged(token), before, rtol=1e-5, atol=1e-5)
        plain: Any = experiment.model.config.build()  # type: ignore[attr-defined]
        plain.load_state_dict(merged.state_dict())  # names and shapes of a model that never was adapted
        assert all(p.requires_grad for p in merged.parameters())
        LoRA(rank=1).apply(merged)  # and it may be adapted again


@pytest.mark.slow
@EVERY
def test_such_a_run_answers_exports_and_is_begun_from(how: Any, tmp_path: Path) -> None:
    run = train(adapted(how, gpt2), out=tmp_path / "run")
    assert json.loads((run.model / "equality.json").read_text())["largest"] < 1e-4
    assert len(run.predict({"prompt": "o", "length": 5, "temperature": 0.0})["text"]) == 6
    if how in (KINDS["LoRA"], KINDS["IA3"]):
        found = source(run.folder)
        assert set(found.state) == set(gpt2.tiny().model.build().state_dict())
    else:
        with pytest.raises(InputError, match=r"cannot be merged into the layers|nothing was merged"):
            source(run.folder)


def test_a_setting_names_it() -> None:
    settings = [("learning.adaptation", "LoRA"), ("rank", "3"), ("learning.adaptation.layers", "('out',)")]
    made: Any = override_all(gpt2.tiny(), settings).learning
    assert made.adaptation == LoRA(rank=3, layers=("out",))
    with pytest.raises(InputError, match="there is no adaptation 'lora'; known: LoRA"):
        override_all(gpt2.tiny(), [("learning.adaptation", "lora")])
    assert gpt2.tiny().learning.adaptation == Whole()  # type: ignore[attr-defined]


def test_a_head_learns_as_it_is_and_still_parts_are_left(tmp_path: Path) -> None:
    config = replace(minilm.tiny().model, layers=3, frozen=2)  # type: ignore[type-var]
    model: Any = config.build()
    LoRA(rank=2, whole=("head",)).apply(model)
    learned = {n for n, p in model.named_parameters() if p.requires_grad}
    layers = {
        f"body.2.attention.{part}.{thin}.weight" for part in ("query", "value") for thin in ("down", "up")
    }
    assert learned == layers | {"head.weight", "head.bias"}
    told = save_adapter(model, tmp_path / "adapter.safetensors")
    assert told["learned"] == sum(model.get_parameter(n).numel() for n in learned)


def test_any_module_by_the_names_of_its_layers_and_twice_is_once() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(4, 6), nn.Tanh(), nn.Sequential(nn.Linear(6, 6), nn.Tanh()), nn.Linear(6, 2)
    )
    how = LoRA(rank=1, layers=("0", "2"), whole=("3",))
    how.apply(net)
    how.apply(net)
    learned = {n for n, p in net.named_parameters() if p.requires_grad}
    assert learned == {
        "0.down.weight", "0.up.weight", "2.0.down.weight", "2.0.up.weight", "3.weight", "3.bias"
    }  # fmt: skip
    with pytest.raises(InputError, match="the model is adapted already, by LoRA"):
        IA3(layers=("0",)).apply(net)
    with pytest.raises(InputError, match="the model is adapted already"):
        Whole().apply(net)


def test_what_cannot_be_adapted_is_refused(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 2))
    cases = (
        (LoRA(), "the Sequential has no layer 'query' or 'value' or 'qkv' that learns; there is 0, 1"),
        (LoRA(layers=("0", "qery")), "has no layer 'qery' that learns"),
        (LoRA(layers=("0",), whole=("head",)), "has no layer 'head' that learns; there is 0, 1"),
        (Prefix(), "has no layer 'attention' that learns; there is none of that kind"),
    )
    for how, said in cases:
        with pytest.raises(InputError, match=said):
            how.apply(net)
        assert all(p.requires_grad for p in net.parameters()) and not hasattr(net, "adaptation")
    still = nn.Linear(3, 3).requires_grad_(False)
    with pytest.raises(InputError, match="that learns"):
        LoRA(layers=("0",)).apply(nn.Sequential(still))
    with pytest.raises(ValueError, match="adaptation adds weights that a live optimizer does not hold"):
        optimizer = torch.optim.SGD(net.parameters())
        GradientDescent(objective=CrossEntropy(), optimizer=Live(optimizer), adaptation=LoRA())
    with pytest.raises(InputError, match="the Sequential is not adapted"):
        save_adapter(net, tmp_path / "adapter.safetensors")


def test_files_that_are_no_adapters_are_refused(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Linear(4, 6))
    LoRA(rank=1, layers=("0",)).apply(net)
    file = tmp_path / "adapter.safetensors"
    save_adapter(net, file)
    good, told = load_file(file), {n: json.dumps(v) for n, v in read_card(file).items()}

    def refused(said: str, state: dict[str, Any], card: dict[str, str]) -> None:
        save_file(state, file, card)
        with pytest.raises(InputError, match=said):
            load_adapter(net, file)

    refused("has no card of format 1", good, {})
    refused("there is no adaptation 'Lora'", good, told | {"adaptation": '{"class": "Lora"}'})
    refused("LoRA has no setting 'code'", good, told | {"adaptation": '{"class": "LoRA", "code": 1}'})
    refused("cannot be made of .*rank is 0", good, told | {"adaptation": '{"class": "LoRA", "rank": 0}'})
    refused("does not hold what its card says: 1 tensors", {"0.up.weight": good["0.up.weight"]}, told)
    refused("does not hold what its card says", good | {"0.up.weight": torch.zeros(2, 2)}, told)
    file.write_bytes(b"\x10\x00")
    with pytest.raises(InputError, match="is no adapter, or damaged"):
        load_adapter(net, file)


def test_optimizers_hold_what_learns_alone() -> None:
    model = gpt2.tiny().model.build()
    how = GradientDescent(objective=CrossEntropy(), optimizer=AdamW(), adaptation=LoRA(rank=1))
    learner = how.learner(model, 10, Parallel())
    held = {id(p) for p in learner.parameters}
    assert held == {id(p) for n, p in model.named_parameters() if ".down." in n or ".up." in n}
