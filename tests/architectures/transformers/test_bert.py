"""BERT against transformers' with the same weights: states, words, classes, gradients, files."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from fathom.architectures.transformers import bert
from fathom.architectures.transformers.bert import UPSTREAMS, Config, from_transformers, to_transformers
from fathom.errors import InputError
from fathom.training.checkpoint import digest
from fathom.training.weight_map import inverse, translate

SMALL = Config(vocabulary=19, context=16, width=24, layers=3, heads=4, hidden=40, dropout=0.0)
CLASSES = replace(SMALL, classes=5)


def theirs(kind: str = "BertForMaskedLM", cfg: Config = SMALL) -> Any:
    """A model of transformers of this size, every weight and bias drawn from a normal distribution."""
    import transformers

    settings = transformers.BertConfig(
        vocab_size=cfg.vocabulary, max_position_embeddings=cfg.context, hidden_size=cfg.width,
        num_hidden_layers=cfg.layers, num_attention_heads=cfg.heads, intermediate_size=cfg.hidden,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, layer_norm_eps=cfg.epsilon, num_labels=5,
    )  # fmt: skip
    made = getattr(transformers, kind)(settings)
    for weight in made.parameters():
        nn.init.normal_(weight, std=0.2)
    return made


def texts(padded: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    """Tokens, segments, and where there is no padding."""
    token = torch.randint(1, 19, (4, 16))
    for row, length in enumerate((16, 9, 3, 1) if padded else ()):
        token[row, length:] = bert.PADDING
    segment = (torch.arange(16) > 5).long().expand(4, 16)
    return token, segment, (token != bert.PADDING).long()


def asked(model: Any, given: tuple[Tensor, Tensor, Tensor]) -> Any:
    token, segment, mask = given
    return model(token, token_type_ids=segment, attention_mask=mask)


@pytest.mark.parametrize(("name", "count"), [("bert_base", 109_482_240), ("bert_large", 335_141_888)])
def test_published_sizes_and_names(name: str, count: int) -> None:
    """The encoder and the pooler are what transformers counts; every name has one on the other side."""
    import transformers

    cfg = bert.SIZES[name]
    with torch.device("meta"):
        own = getattr(bert, name)(classes=2)
        other = transformers.BertForSequenceClassification(
            transformers.BertConfig(
                hidden_size=cfg.width, num_hidden_layers=cfg.layers, num_attention_heads=cfg.heads,
                intermediate_size=cfg.hidden,
            )
        )  # fmt: skip
        words = getattr(bert, name)()
    head = sum(p.numel() for p in own.head.parameters())
    assert sum(p.numel() for p in own.parameters()) - head == count
    assert sum(p.numel() for p in other.parameters()) - head == count
    bare = [n.removeprefix(bert.PREFIX) for n in other.state_dict()]
    names = translate(bare, UPSTREAMS["transformers"])
    assert set(names) == set(bare) and set(names.values()) == set(own.state_dict())
    for model in (own, words):
        back = translate(model.state_dict(), inverse(UPSTREAMS["transformers"]))
        assert set(back) == set(model.state_dict())
        again = translate(back.values(), UPSTREAMS["transformers"])
        assert all(again[there] == here for here, there in back.items())


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(
    ("kind", "cfg"), [("BertForMaskedLM", SMALL), ("BertForSequenceClassification", CLASSES)]
)
def test_logits_and_gradients_equal_transformers(kind: str, cfg: Config, padded: bool) -> None:
    other, given = theirs(kind), texts(padded)
    model = bert.filled(cfg.build(), other.state_dict())
    logits, expected = model(*given[:2]), asked(other, given).logits
    where = given[2].bool() if cfg.classes is None else slice(None)
    torch.testing.assert_close(logits[where], expected[where], rtol=1e-5, atol=1e-5)
    goal = torch.randint(cfg.classes or 19, logits[where].shape[:-1])
    for scores in (logits, expected):
        F.cross_entropy(scores[where], goal).backward()
    named = {n: p.grad for n, p in other.named_parameters()}
    grads = from_transformers({n: g for n, g in named.items() if g is not None})
    names = translate(grads, UPSTREAMS["transformers"])
    own = dict(model.named_parameters())
    assert {names[n] for n in grads} == set(own)
    for name, grad in grads.items():
        torch.testing.assert_close(own[names[name]].grad, grad, rtol=1e-4, atol=1e-4)


def test_states_of_the_encoder_equal_transformers() -> None:
    other, given = theirs("BertModel"), texts()
    model = bert.filled(CLASSES.build(), other.state_dict())
    found, expected = model.encoder(*given[:2]), asked(other, given)
    mask = given[2].bool()
    torch.testing.assert_close(found[mask], expected.last_hidden_state[mask], rtol=1e-5, atol=1e-5)
    pooled = model.pooler(found[:, 0]).tanh()
    torch.testing.assert_close(pooled, expected.pooler_output, rtol=1e-5, atol=1e-5)


def test_the_tanh_gelu_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    other, given = theirs(), texts(False)
    model, expected = bert.filled(SMALL.build(), other.state_dict()), asked(other, given).logits
    exact = F.gelu
    monkeypatch.setattr(bert.F, "gelu", lambda x: exact(x, approximate="tanh"))
    assert (model(*given[:2]) - expected).abs().max() > 5e-5


def test_what_fills_a_text_up_changes_nothing() -> None:
    for cfg in (SMALL, CLASSES):
        model = bert.filled(cfg.build(), None).eval()
        token = torch.randint(1, 19, (2, 7))
        wide = F.pad(token, (0, 9), value=bert.PADDING)
        found = model(wide)
        torch.testing.assert_close(found[:, :7] if cfg is SMALL else found, model(token))
    empty = model(torch.zeros(1, 16, dtype=torch.int64))
    assert torch.isfinite(empty).all()


def test_every_place_sees_both_sides() -> None:
    model, token = SMALL.build().eval(), torch.randint(1, 19, (1, 12))
    for weight in model.parameters():
        nn.init.normal_(weight, std=0.2)
    for place in (0, 5, 11):
        other = token.clone()
        other[0, place] = other[0, place] % 18 + 1
        changed = (model(other) - model(token)).abs().amax(dim=2)[0]
        assert (changed > 1e-6).all()


@pytest.mark.parametrize(
    ("kind", "cfg"), [("BertForMaskedLM", SMALL), ("BertForSequenceClassification", CLASSES)]
)
def test_weights_go_back_to_transformers(kind: str, cfg: Config) -> None:
    model, other, given = cfg.build(), theirs(kind), texts(False)
    state = to_transformers(model)
    other.load_state_dict(state, strict=True)
    torch.testing.assert_close(asked(other, given).logits, model(*given[:2]), rtol=1e-5, atol=1e-5)
    again = bert.filled(cfg.build(), state)
    assert digest(again.state_dict()) == digest(model.state_dict())


def test_all_spellings_of_a_file_are_understood(capsys: Any) -> None:
    """As saved today; as the first files were; with what else was learned beside; with our own names."""
    state = theirs().state_dict()
    wanted = digest(bert.filled(SMALL.build(), state).state_dict())
    first = {
        n.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): t
        for n, t in state.items()
        if n != "cls.predictions.decoder.bias"
    }
    beside = {f"{bert.FOLLOWS}weight": torch.zeros(2, 24), "bert.pooler.dense.bias": torch.zeros(24)}
    counts = {"bert.embeddings.position_ids": torch.arange(16)[None]}
    capsys.readouterr()
    for given in (first, {**state, **beside, **counts}, bert.filled(SMALL.build(), state).state_dict()):
        assert digest(bert.filled(SMALL.build(), given).state_dict()) == wanted
    assert f"left, for this model has no such head: {bert.FOLLOWS}weight, pooler" in capsys.readouterr().err


def test_an_encoder_gets_another_head(capsys: Any) -> None:
    """From guessing words to classes and back, under transformers' names and under ours."""
    other = theirs()
    for state in (other.state_dict(), bert.filled(SMALL.build(), other.state_dict()).state_dict()):
        model = bert.filled(CLASSES.build(), state)
        said = capsys.readouterr().err
        assert "new: pooler.weight" in said and "head.weight" in said and "left, for this" in said
        encoder = {n: t for n, t in state.items() if n.startswith(("bert.", "encoder."))}
        same = bert.filled(CLASSES.build(), encoder).encoder.state_dict()
        assert digest(model.encoder.state_dict()) == digest(same)
        words = bert.filled(SMALL.build(), model.state_dict())
        assert digest(words.encoder.state_dict()) == digest(same)


def test_an_output_matrix_of_its_own_is_refused() -> None:
    state = theirs().state_dict()
    state["cls.predictions.decoder.weight"] = state["cls.predictions.decoder.weight"] + 1
    with pytest.raises(InputError, match=r"decoder\.weight differs from embeddings\.word_embeddings\.weight"):
        bert.filled(SMALL.build(), state)
    half = {n: t for n, t in theirs().state_dict().items() if ".layer.2." not in n}
    with pytest.raises(InputError, match=r"encoder\.2\.attention\.query\.weight is missing"):
        bert.filled(SMALL.build(), half)


# -- folders as transformers saves them -----------------------------------------------------------
def saved(folder: Path, kind: str = "BertForMaskedLM", *, shards: str = "1GB", **changed: Any) -> Any:
    """The model of transformers in ``folder``, its config.json changed in some places."""
    made = theirs(kind)
    made.save_pretrained(folder, max_shard_size=shards)
    told = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(told | changed))
    return made


@pytest.mark.parametrize("shards", ["1GB", "20KB"])
@pytest.mark.parametrize("kind", ["BertForMaskedLM", "BertForSequenceClassification"])
def test_a_folder_of_transformers_is_opened(tmp_path: Path, kind: str, shards: str) -> None:
    other, given = saved(tmp_path, kind, shards=shards), texts(False)
    assert (len(list(tmp_path.glob("*.safetensors"))) == 1) == (shards == "1GB")
    model = bert.from_folder(tmp_path)
    assert model.cfg == (SMALL if kind == "BertForMaskedLM" else CLASSES)
    torch.testing.assert_close(model(*given[:2]), asked(other, given).logits, rtol=1e-5, atol=1e-5)
    assert bert.from_folder(tmp_path, classes=3)(given[0]).shape == (4, 3)


def test_our_weights_open_in_transformers(tmp_path: Path) -> None:
    from transformers import BertForMaskedLM

    saved(tmp_path)
    model, given = SMALL.build(), texts(False)
    state = {n: t for n, t in to_transformers(model).items() if n not in bert.TWICE}
    save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    other = BertForMaskedLM.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(asked(other, given).logits, model(*given[:2]), rtol=1e-5, atol=1e-5)


def test_a_shard_that_is_missing_is_named(tmp_path: Path) -> None:
    saved(tmp_path, shards="20KB")
    gone = sorted(tmp_path.glob("*.safetensors"))[1]
    gone.unlink()
    with pytest.raises(InputError, match=gone.name):
        bert.from_folder(tmp_path)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"vocab_size": 20}, r"vocab_size is 20; embeddings\.word_embeddings\.weight has shape \(19, 24\)"),
        ({"max_position_embeddings": 8}, r"max_position_embeddings is 8; .*so it is 16"),
        ({"intermediate_size": 41}, r"intermediate_size is 41; .*so it is 40"),
        ({"num_hidden_layers": 2}, r"num_hidden_layers is 2; of such layers there are 3"),
        ({"num_attention_heads": 5}, r"config\.json: width is 24; it must be a multiple of heads, 5"),
        ({"hidden_act": "relu"}, "hidden_act is 'relu'; this model has 'gelu' only"),
        ({"position_embedding_type": "relative_key"}, "this model has 'absolute' only"),
        ({"is_decoder": True}, "is_decoder is True; this model has False only"),
        ({"hidden_dropout_prob": "much"}, "hidden_dropout_prob is 'much'; it must be a number"),
        ({"model_type": "roberta"}, "model_type is 'roberta'; here it must be 'bert'"),
    ],
)
def test_a_config_that_contradicts_its_tensors_is_refused(
    tmp_path: Path, changed: dict[str, Any], words: str
) -> None:
    saved(tmp_path, **changed)
    with pytest.raises(InputError, match=words):
        bert.from_folder(tmp_path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("width", 25),
        ("heads", 0),
        ("hidden", 0),
        ("dropout", 1.0),
        ("epsilon", 0.0),
        ("deviation", 0.0),
        ("classes", 1),
    ],
)
def test_nonsense_is_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        replace(SMALL, **{field: value})  # type: ignore[arg-type]


def test_a_text_beyond_the_context_is_refused() -> None:
    with pytest.raises(ValueError, match="places 0 to 16 are asked for; this model learned 0 to 15"):
        SMALL.build()(torch.ones(1, 17, dtype=torch.int64))


def test_initial_deviations_and_loss() -> None:
    model = Config(vocabulary=500, context=8, width=128, layers=2, heads=4, hidden=256, dropout=0.0).build()
    for name, weight in model.named_parameters():
        if weight.ndim > 1 and weight.numel() > 2000:
            assert float(weight.detach().std()) == pytest.approx(0.02, rel=0.05), name
    token = torch.randint(1, 500, (8, 8))
    loss = F.cross_entropy(model(token).flatten(0, 1), torch.randint(500, (64,)))
    assert float(loss.detach()) == pytest.approx(6.2146, abs=0.15)  # log 500: nothing is known yet


def test_dropout_is_there_in_training_only() -> None:
    model, token = replace(SMALL, dropout=0.5).build(), torch.randint(1, 19, (2, 5))
    assert not torch.equal(model(token), model(token))
    model.eval()
    assert torch.equal(model(token), model(token))


def test_tiny_learns_the_seasons() -> None:
    from fathom.task import Boundary
    from fathom.training import train

    experiment = bert.tiny()
    data = experiment.data.load()
    learner = experiment.learner()
    train(learner, experiment.source(data), steps=experiment.steps)
    network = Boundary(experiment.task, learner.model)
    found = experiment.task.evaluate(network, data.valid)
    assert found.metrics["accuracy"] > 0.9
    answer = experiment.task.respond(
        network, [{"token": experiment.task.encode(["spring summer autumn"])[0].numpy()}]
    )
    assert answer[0] == {"text": "spring summer autumn", "blanks": []}
