"""GPT-2 against transformers' with the same weights; its cache against the whole text computed again."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tests.architectures.transformers.written import write_weights
from torch import Tensor, nn

from fathom.architectures.transformers import gpt2
from fathom.architectures.transformers.gpt2 import GPT2, UPSTREAMS, Config, from_transformers, to_transformers
from fathom.errors import InputError
from fathom.training.checkpoint import digest
from fathom.training.weight_map import inverse, translate

SMALL = Config(vocabulary=19, context=16, width=24, layers=3, heads=4, dropout=0.0)
SIZES = (
    ("gpt2", 124_439_808),
    ("gpt2_medium", 354_823_168),
    ("gpt2_large", 774_030_080),
    ("gpt2_xl", 1_557_611_200),
)


def theirs(cfg: Config = SMALL) -> Any:
    """The model of transformers of this size, every weight and bias drawn from a normal distribution."""
    from transformers import GPT2Config, GPT2LMHeadModel

    made = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=cfg.vocabulary, n_positions=cfg.context, n_embd=cfg.width, n_layer=cfg.layers,
            n_head=cfg.heads, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, layer_norm_epsilon=cfg.epsilon,
            bos_token_id=0, eos_token_id=0,
        )
    )  # fmt: skip
    for weight in made.parameters():
        nn.init.normal_(weight, std=0.2)
    return made


def ours(model: Any, cfg: Config = SMALL) -> GPT2:
    return gpt2.filled(cfg.build(), model.state_dict())


@pytest.mark.parametrize(("name", "count"), SIZES)
def test_published_sizes_and_names(name: str, count: int) -> None:
    from transformers import GPT2Config, GPT2Model

    cfg = gpt2.SIZES[name]
    with torch.device("meta"):
        own = getattr(gpt2, name)()
        other = GPT2Model(GPT2Config(n_embd=cfg.width, n_layer=cfg.layers, n_head=cfg.heads))
    assert sum(p.numel() for p in own.parameters()) == count == sum(p.numel() for p in other.parameters())
    names = translate(other.state_dict(), UPSTREAMS["transformers"])
    assert set(names) == set(other.state_dict()) and set(names.values()) == set(own.state_dict())
    back = translate(names.values(), inverse(UPSTREAMS["transformers"]))
    assert all(back[here] == there for there, here in names.items())


def test_logits_and_gradients_equal_transformers() -> None:
    other = theirs()
    model = ours(other)
    token = torch.randint(19, (3, 16))
    logits, expected = model(token), other(token).logits
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5)
    for scores in (logits, expected):
        F.cross_entropy(scores[:, :-1].flatten(0, 1), token[:, 1:].flatten()).backward()
    grads = {n: p.grad for n, p in other.named_parameters()}
    found = from_transformers({n: g for n, g in grads.items() if g is not None})
    names = translate(found, UPSTREAMS["transformers"])
    own = dict(model.named_parameters())
    assert {names[n] for n in found} == set(own)
    for name, grad in found.items():
        torch.testing.assert_close(own[names[name]].grad, grad, rtol=1e-4, atol=1e-4)


def test_the_other_activations_and_norms_would_be_noticed() -> None:
    """The exact GELU, or another epsilon, differs by more than the tolerance above."""
    other = theirs()
    token = torch.randint(19, (3, 16))
    model = gpt2.filled(replace(SMALL, epsilon=1e-2).build(), other.state_dict())
    assert (model(token) - other(token).logits).abs().max() > 1e-3


def test_weights_go_back_to_transformers() -> None:
    model, other = SMALL.build(), theirs()
    state = to_transformers(model)
    other.load_state_dict(state, strict=True)
    token = torch.randint(19, (2, 9))
    torch.testing.assert_close(other(token).logits, model(token), rtol=1e-5, atol=1e-5)
    again = gpt2.filled(SMALL.build(), state)
    assert digest(again.state_dict()) == digest(model.state_dict())


def test_all_spellings_of_a_file_are_understood() -> None:
    """With and without the prefix, with the masks of old files, without the head that is shared."""
    other = theirs()
    wanted = digest(ours(other).state_dict())
    bare = {n.removeprefix("transformer."): t for n, t in other.state_dict().items() if n != "lm_head.weight"}
    masks = {f"h.{i}.attn.bias": torch.ones(1, 1, 16, 16) for i in range(3)}
    masks |= {f"h.{i}.attn.masked_bias": torch.tensor(-1e4) for i in range(3)}
    for state in (bare, bare | masks, ours(other).state_dict()):
        assert digest(gpt2.filled(SMALL.build(), state).state_dict()) == wanted


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("prompt", [1, 6, 16])
def test_reading_with_a_cache_equals_computing_all_again(batch: int, prompt: int) -> None:
    model = ours(theirs()).eval()
    text = torch.randint(19, (batch, 16))
    cache = model.cache(batch)
    scores = model.read(text[:, :prompt], cache)
    for t in range(prompt, 17):
        torch.testing.assert_close(scores, model(text[:, :t])[:, -1], rtol=1e-5, atol=1e-5)
        if t < 16:
            scores = model.read(text[:, t : t + 1], cache)


def test_a_text_beyond_the_context_is_refused() -> None:
    model = SMALL.build()
    with pytest.raises(ValueError, match="places 0 to 16 are asked for; this model learned 0 to 15"):
        model(torch.zeros(1, 17, dtype=torch.int64))
    cache = model.cache()
    model.read(torch.zeros(1, 16, dtype=torch.int64), cache)
    with pytest.raises(ValueError, match="places 16 to 16"):
        model.read(torch.zeros(1, 1, dtype=torch.int64), cache)


@pytest.mark.parametrize("context", [2, 7, 16])
def test_steps_equal_windows_of_at_least_half_a_context_for_ever(context: int) -> None:
    """Whatever the reader that is heard has read is a window of the text: at first all, then h to 2 h."""
    cfg = replace(SMALL, context=context)
    model = ours(theirs(cfg), cfg).eval()
    text = torch.randint(19, (2, 5 * context))
    states = [torch.zeros(2, *shape) for _, shape in cfg.states]
    half = context // 2
    for t in range(5 * context):
        begin = 0 if t < 2 * half else (t // half - 1) * half
        assert t - begin < 2 * half and (t - begin >= half or t < half)
        scores, *states = model(text[:, t], *states)
        torch.testing.assert_close(scores, model(text[:, begin : t + 1])[:, -1], rtol=1e-4, atol=1e-5)


def test_texts_of_a_batch_may_stand_at_different_places() -> None:
    model = ours(theirs()).eval()
    text = torch.randint(19, (40,))
    alone = [[torch.zeros(1, *shape) for _, shape in SMALL.states] for _ in range(2)]
    for t in range(13):
        _, *alone[0] = model(text[t : t + 1], *alone[0])
    together = [torch.cat(pair) for pair in zip(*alone, strict=True)]
    for t in range(13, 30):
        tokens = torch.stack([text[t], text[t - 13]])
        scores, *together = model(tokens, *together)
        for row in range(2):
            wanted, *alone[row] = model(tokens[row : row + 1], *alone[row])
            torch.testing.assert_close(scores[row : row + 1], wanted, rtol=1e-5, atol=1e-5)


def test_what_comes_later_changes_no_score_before_it() -> None:
    model, text = ours(theirs()).eval(), torch.randint(19, (1, 12))
    other = text.clone()
    other[0, 7:] = (other[0, 7:] + 1) % 19
    torch.testing.assert_close(model(other)[:, :7], model(text)[:, :7])
    assert not torch.allclose(model(other)[:, 7:], model(text)[:, 7:])


def test_input_and_output_share_one_matrix() -> None:
    model = SMALL.build()
    assert not any("head" in name for name in model.state_dict())
    model(torch.randint(19, (1, 4))).square().sum().backward()
    assert model.embedding.weight.grad is not None and model.embedding.weight.grad.ne(0).all(dim=1).all()


def test_initial_deviations_and_loss() -> None:
    model = Config(vocabulary=500, context=8, width=128, layers=8, heads=4, dropout=0.0).build()
    for name, weight in model.named_parameters():
        if weight.ndim > 1:
            writes = name.endswith(("out.weight", "narrow.weight"))
            assert float(weight.detach().std()) == pytest.approx(0.02 / 4 if writes else 0.02, rel=0.05)
    token = torch.randint(500, (8, 8))
    loss = F.cross_entropy(model(token).flatten(0, 1), token.roll(1, 1).flatten())
    assert float(loss.detach()) == pytest.approx(6.2146, abs=0.1)  # log 500: nothing is known yet


def test_dropout_is_there_in_training_only() -> None:
    model, text = replace(SMALL, dropout=0.5).build(), torch.randint(19, (2, 5))
    assert not torch.equal(model(text), model(text))
    model.eval()
    assert torch.equal(model(text), model(text))


# -- folders as transformers saves them -----------------------------------------------------------
def saved(folder: Path, *, shards: str = "1GB", **changed: Any) -> Any:
    """The model of transformers in ``folder``, its config.json changed in some places."""
    made = theirs()
    made.save_pretrained(folder, max_shard_size=shards)
    told = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(told | changed))
    return made


@pytest.mark.parametrize("shards", ["1GB", "20KB"])
def test_a_folder_of_transformers_is_opened(tmp_path: Path, capsys: Any, shards: str) -> None:
    other = saved(tmp_path, shards=shards)
    assert (len(list(tmp_path.glob("*.safetensors"))) == 1) == (shards == "1GB")
    model = gpt2.from_folder(tmp_path)
    assert model.cfg == SMALL and "tensors copied (100.0% of the model filled)" in capsys.readouterr().err
    token = torch.randint(19, (2, 9))
    torch.testing.assert_close(model(token), other(token).logits, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shards", [1, 2])
def test_our_weights_open_in_transformers(tmp_path: Path, shards: int) -> None:
    from transformers import GPT2LMHeadModel

    theirs().config.save_pretrained(tmp_path)
    model, token = ours(theirs()), torch.randint(19, (2, 9))
    state = {n: t for n, t in to_transformers(model).items() if n != gpt2.HEAD}
    write_weights(tmp_path, state, shards)
    other, told = GPT2LMHeadModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(told[what] for what in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    torch.testing.assert_close(other(token).logits, model(token), rtol=1e-5, atol=1e-5)


def test_a_shard_that_is_missing_is_named(tmp_path: Path) -> None:
    saved(tmp_path, shards="20KB")
    gone = sorted(tmp_path.glob("*.safetensors"))[1]
    gone.unlink()
    with pytest.raises(InputError, match=gone.name):
        gpt2.from_folder(tmp_path)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"vocab_size": 20}, r"vocab_size is 20; wte\.weight has shape \(19, 24\), so it is 19"),
        ({"n_positions": 8}, r"n_positions is 8; wpe\.weight has shape \(16, 24\), so it is 16"),
        ({"n_layer": 2}, r"n_layer is 2; of such layers there are 3, up to h\.2\.ln_1\.weight"),
        ({"n_head": 5}, r"config\.json: width is 24; it must be a multiple of heads, 5"),
        ({"n_head": None}, "n_head is None; it must be a whole number"),
        ({"n_inner": 99}, "n_inner is 99; this model has None or 96 only"),
        ({"activation_function": "relu"}, "activation_function is 'relu'; this model has 'gelu_new' only"),
        ({"resid_pdrop": "much"}, "resid_pdrop is 'much'; it must be a number"),
        ({"model_type": "llama"}, "model_type is 'llama'; here it must be 'gpt2'"),
    ],
)
def test_a_config_that_contradicts_its_tensors_is_refused(
    tmp_path: Path, changed: dict[str, Any], words: str
) -> None:
    saved(tmp_path, **changed)
    with pytest.raises(InputError, match=words):
        gpt2.from_folder(tmp_path)


def test_weights_that_fit_by_half_are_refused_and_nothing_is_loaded() -> None:
    model = SMALL.build()
    before = digest(model.state_dict())
    state = dict(theirs().state_dict())
    half = {n: t for n, t in state.items() if ".h.2." not in n}
    with pytest.raises(InputError, match=r"blocks\.2\.norm_1\.weight is missing"):
        gpt2.filled(model, half)
    more = state | {"transformer.h.3.ln_1.weight": torch.zeros(24)}
    with pytest.raises(InputError, match=r"1 of .* tensors are not of a GPT2 .*h\.3\.ln_1\.weight"):
        gpt2.filled(model, more)
    other_head = state | {gpt2.HEAD: state[gpt2.HEAD] + 1}
    with pytest.raises(InputError, match=r"lm_head\.weight differs from wte\.weight"):
        gpt2.filled(model, other_head)
    assert digest(model.state_dict()) == before


@pytest.mark.parametrize(
    ("field", "value"), [("width", 25), ("heads", 0), ("context", 1), ("dropout", 1.0), ("epsilon", 0.0)]
)
def test_nonsense_is_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        replace(SMALL, **{field: value})  # type: ignore[arg-type]


def test_states_of_another_model_are_refused() -> None:
    model = SMALL.build()
    with pytest.raises(ValueError, match="this model has"):
        model(torch.tensor([1]), torch.zeros(1, 1))


def test_writing_with_a_cache_gives_what_transformers_generates() -> None:
    other = theirs().eval()
    model = ours(other).eval()
    prompt = torch.randint(1, 19, (1, 4))
    wanted = other.generate(
        prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=12, do_sample=False,
        eos_token_id=None, pad_token_id=0,
    )  # fmt: skip
    cache, text = model.cache(), prompt
    scores: Tensor = model.read(prompt, cache)
    for _ in range(12):
        token = scores.argmax(dim=1, keepdim=True)
        text = torch.cat([text, token], dim=1)
        if text.shape[1] < 16:
            scores = model.read(token, cache)
    assert torch.equal(text, wanted)


def test_tiny_learns_its_rhyme_by_heart() -> None:
    from fathom.task import Boundary
    from fathom.training import train

    experiment = gpt2.tiny()
    data = experiment.data.load()
    learner = experiment.learner()
    train(learner, experiment.source(data), steps=experiment.steps)
    found = experiment.task.evaluate(Boundary(experiment.task, learner.model), data.valid)
    assert found.metrics["loss"] < 0.2


def test_the_recipe_reads_all_plays_in_order() -> None:
    from fathom.data import places
    from fathom.data.windows import running_text
    from fathom.recipes.gpt2 import Plays, gpt_shakespeare

    recipe = gpt_shakespeare()
    assert recipe.task.states == recipe.model.states  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="stride is 65, length 64"):
        Plays(stride=65)
    if places.locate("tiny_shakespeare") is None:
        pytest.skip("the data set tiny_shakespeare is in none of the places looked at")
    data = recipe.data.load()
    assert [len(running_text(split)) for split in (data.train, data.valid, data.test)] == [
        1003855,
        55769,
        55770,
    ]
    token, target = data.train.rows(torch.arange(3))
    assert token.shape == (3, 64)
    assert torch.equal(token[:, 1:], target[:, :-1]) and torch.equal(token[0, 16:], token[1, :48])
