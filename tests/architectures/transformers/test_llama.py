"""LLaMA, Mistral and Qwen against transformers' with the same weights; caches against all computed again."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tests.architectures.transformers.written import write_weights
from torch import nn

from fathom.architectures.transformers import llama
from fathom.architectures.transformers.llama import UPSTREAMS, Config, Llama, Llama3Scaling, to_transformers
from fathom.errors import InputError
from fathom.training.checkpoint import digest
from fathom.training.weight_map import inverse, translate

# (size, kind in transformers, parameters)
SIZES = (
    ("llama2_7b", "Llama", 6_738_415_616),
    ("llama2_70b", "Llama", 68_976_648_192),
    ("llama3_8b", "Llama", 8_030_261_248),
    ("llama3_1_8b", "Llama", 8_030_261_248),
    ("llama3_2_1b", "Llama", 1_235_814_400),
    ("mistral_7b", "Mistral", 7_241_732_096),
    ("qwen2_5_0_5b", "Qwen2", 494_032_768),
    ("qwen2_5_7b", "Qwen2", 7_615_616_512),
    ("qwen3_0_6b", "Qwen3", 596_049_920),
    ("qwen3_8b", "Qwen3", 8_190_735_360),
)
SMALL = Config(vocabulary=19, context=32, width=24, layers=3, heads=4, groups=2, hidden=40)
# One of each kind, with what is peculiar to it.
KINDS: dict[str, tuple[str, Config]] = {
    "llama 2": ("Llama", replace(SMALL, groups=4)),
    "llama 3": ("Llama", replace(SMALL, rope_base=5e5, rope_scaling=Llama3Scaling(factor=4.0, original=16))),
    "llama 3.2": ("Llama", replace(SMALL, tied=True, head_width=10)),
    "mistral": ("Mistral", replace(SMALL, window=5, groups=1)),
    "qwen 2": ("Qwen2", replace(SMALL, biases=True, epsilon=1e-6)),
    "qwen 3": ("Qwen3", replace(SMALL, query_key_norm=True, head_width=16, tied=True, epsilon=1e-6)),
}
EVERY = pytest.mark.parametrize("kind", list(KINDS))


def settings(cfg: Config, kind: str) -> Any:
    """The configuration of transformers for ``cfg``."""
    import transformers

    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": cfg.rope_base}
    if cfg.rope_scaling is not None:
        s = cfg.rope_scaling
        rope |= {"rope_type": "llama3", "factor": s.factor, "low_freq_factor": s.low}
        rope |= {"high_freq_factor": s.high, "original_max_position_embeddings": s.original}
    window = {"sliding_window": cfg.window} if kind == "Mistral" else {}
    return getattr(transformers, f"{kind}Config")(
        vocab_size=cfg.vocabulary, hidden_size=cfg.width, intermediate_size=cfg.hidden,
        num_hidden_layers=cfg.layers, num_attention_heads=cfg.heads, num_key_value_heads=cfg.groups,
        head_dim=cfg.e, max_position_embeddings=cfg.context, rms_norm_eps=cfg.epsilon,
        tie_word_embeddings=cfg.tied, rope_parameters=rope, bos_token_id=0, eos_token_id=0, **window,
    )  # fmt: skip


def theirs(kind: str) -> Any:
    """The model of transformers, every weight drawn from a normal distribution, scales around 1."""
    import transformers

    name, cfg = KINDS[kind]
    made = getattr(transformers, f"{name}ForCausalLM")(settings(cfg, name))
    for key, weight in made.named_parameters():
        nn.init.normal_(weight, 1.0 if "norm" in key else 0.0, 0.2)
    return made


def ours(kind: str, model: Any) -> Llama:
    return llama.filled(KINDS[kind][1].build(), model.state_dict())


@pytest.mark.parametrize(("size", "kind", "count"), SIZES)
def test_published_sizes_and_names(size: str, kind: str, count: int) -> None:
    import transformers

    cfg = llama.SIZES[size]
    with torch.device("meta"):
        own = getattr(llama, size)()
        other = getattr(transformers, f"{kind}ForCausalLM")(settings(cfg, kind))
    assert sum(p.numel() for p in own.parameters()) == count == sum(p.numel() for p in other.parameters())
    there = [n for n in other.state_dict() if not (cfg.tied and n == llama.HEAD)]
    names = translate(there, UPSTREAMS["transformers"])
    assert set(names) == set(there) and set(names.values()) == set(own.state_dict())
    back = translate(names.values(), inverse(UPSTREAMS["transformers"]))
    assert all(back[here] == name for name, here in names.items())


@EVERY
def test_logits_and_gradients_equal_transformers(kind: str) -> None:
    other = theirs(kind)
    model = ours(kind, other)
    token = torch.randint(19, (3, 24))
    logits, expected = model(token), other(token).logits
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5)
    for scores in (logits, expected):
        F.cross_entropy(scores[:, :-1].flatten(0, 1), token[:, 1:].flatten()).backward()
    own = dict(model.named_parameters())
    names = translate(dict(other.named_parameters()), UPSTREAMS["transformers"])
    assert set(names.values()) == set(own)
    for name, weight in other.named_parameters():
        torch.testing.assert_close(own[names[name]].grad, weight.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        ("llama 3", {"rope_scaling": None}),
        ("llama 3", {"rope_base": 1e4}),
        ("mistral", {"window": 6}),
        ("mistral", {"window": None}),
        ("qwen 2", {"epsilon": 1e-2}),
    ],
)
def test_another_value_would_be_noticed(kind: str, changed: dict[str, Any]) -> None:
    other, token = theirs(kind), torch.randint(19, (3, 24))
    model = llama.filled(replace(KINDS[kind][1], **changed).build(), other.state_dict())
    assert (model(token) - other(token).logits).abs().max() > 1e-3


@EVERY
def test_weights_go_back_to_transformers(kind: str) -> None:
    model, other = KINDS[kind][1].build(), theirs(kind)
    state = to_transformers(model)
    other.load_state_dict(state, strict=True)
    token = torch.randint(19, (2, 9))
    torch.testing.assert_close(other(token).logits, model(token), rtol=1e-5, atol=1e-5)
    assert digest(llama.filled(KINDS[kind][1].build(), state).state_dict()) == digest(model.state_dict())


@EVERY
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("pieces", [(1, 1, 1), (3, 1, 1), (11, 1, 4, 1)])
def test_reading_with_a_cache_equals_computing_all_again(
    kind: str, batch: int, pieces: tuple[int, ...]
) -> None:
    """A prompt, or several pieces, and then token by token up to the context."""
    model = ours(kind, theirs(kind)).eval()
    text = torch.randint(19, (batch, 32))
    whole, cache, read = model(text), model.cache(batch), 0
    for count in (*pieces, *[1] * (32 - sum(pieces))):
        scores = model.read(text[:, read : read + count], cache)
        read += count
        torch.testing.assert_close(scores, whole[:, read - 1], rtol=1e-5, atol=1e-5)


@EVERY
def test_steps_equal_windows(kind: str) -> None:
    cfg = KINDS[kind][1]
    model = ours(kind, theirs(kind)).eval()
    text = torch.randint(19, (2, 32))
    states = [torch.zeros(2, *shape) for _, shape in cfg.states]
    whole = model(text)
    for t in range(32):
        scores, *states = model(text[:, t], *states)
        torch.testing.assert_close(scores, whole[:, t], rtol=1e-5, atol=1e-5)


def test_with_a_window_text_may_go_on_for_ever() -> None:
    """Steps and ring go on beyond the context, and equal the whole text computed at once."""
    model = ours("mistral", theirs("mistral")).eval()
    text = torch.randint(19, (1, 150))
    whole, cache = model(text), model.cache()
    states = [torch.zeros(1, *shape) for _, shape in model.cfg.states]
    for t in range(150):
        stepped, *states = model(text[:, t], *states)
        torch.testing.assert_close(stepped, whole[:, t], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(model.read(text[:, t : t + 1], cache), whole[:, t], rtol=1e-4, atol=1e-4)
    assert cache.keys[0].shape[2] == 5


def test_a_full_cache_is_said_and_a_longer_one_can_be_made() -> None:
    model = SMALL.build()
    cache = model.cache(rows=4)
    model.read(torch.zeros(1, 4, dtype=torch.int64), cache)
    with pytest.raises(ValueError, match="the cache has 4 rows and holds 4 tokens"):
        model.read(torch.zeros(1, 1, dtype=torch.int64), cache)
    assert model.cache().rows == 32 and model.cache(rows=99).rows == 99


def test_what_comes_later_changes_no_score_before_it() -> None:
    model, text = ours("llama 2", theirs("llama 2")).eval(), torch.randint(19, (1, 12))
    other = text.clone()
    other[0, 7:] = (other[0, 7:] + 1) % 19
    torch.testing.assert_close(model(other)[:, :7], model(text)[:, :7])
    assert not torch.allclose(model(other)[:, 7:], model(text)[:, 7:])


def test_only_distances_count() -> None:
    """A text that begins at place 1000 gets the same scores: nothing absolute is known."""
    model = ours("llama 3", theirs("llama 3")).double().eval()
    text, late = torch.randint(19, (1, 12)), torch.arange(1000, 1012)
    torch.testing.assert_close(model.scores(model.body(text, late)), model(text), rtol=1e-4, atol=1e-4)


def test_writing_with_a_cache_gives_what_transformers_generates() -> None:
    other = theirs("qwen 3").eval()
    model, prompt = ours("qwen 3", other).eval(), torch.randint(1, 19, (1, 4))
    wanted = other.generate(
        prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=12, do_sample=False,
        eos_token_id=None, pad_token_id=0,
    )  # fmt: skip
    cache, text = model.cache(), prompt
    scores = model.read(prompt, cache)
    for _ in range(12):
        token = scores.argmax(dim=1, keepdim=True)
        text, scores = torch.cat([text, token], dim=1), model.read(token, cache)
    assert torch.equal(text, wanted)


def test_half_precision_keeps_angles_whole() -> None:
    """Frequencies are not rounded with the weights; at place 5000 angles would be off by radians."""
    model = ours("llama 2", theirs("llama 2")).eval()
    text, late = torch.randint(19, (1, 12)), torch.arange(5000, 5012)
    wanted = model.scores(model.body(text, late))
    found = model.to(torch.bfloat16).scores(model.body(text, late)).float()
    assert F.cosine_similarity(found.flatten(), wanted.flatten(), dim=0) > 0.999


# -- folders as transformers saves them -----------------------------------------------------------
def saved(folder: Path, kind: str, *, shards: str = "1GB", **changed: Any) -> Any:
    """The model of transformers in ``folder``, its config.json changed in some places; None: a key less."""
    made = theirs(kind)
    made.save_pretrained(folder, max_shard_size=shards)
    told = json.loads((folder / "config.json").read_text()) | changed
    (folder / "config.json").write_text(json.dumps({k: v for k, v in told.items() if v is not None}))
    return made


@EVERY
@pytest.mark.parametrize("shards", ["1GB", "20KB"])
def test_a_folder_of_transformers_is_opened(tmp_path: Path, kind: str, shards: str) -> None:
    other = saved(tmp_path, kind, shards=shards)
    assert (tmp_path / "model.safetensors").exists() == (shards == "1GB")
    model, cfg = llama.from_folder(tmp_path), KINDS[kind][1]
    assert model.cfg == replace(cfg, head_width=cfg.e if model.cfg.head_width else None)
    token = torch.randint(19, (2, 20))
    torch.testing.assert_close(model(token), other(token).logits, rtol=1e-5, atol=1e-5)


@EVERY
@pytest.mark.parametrize("shards", [1, 2])
def test_our_weights_open_in_transformers(tmp_path: Path, kind: str, shards: int) -> None:
    import transformers

    family, cfg = KINDS[kind]
    settings(cfg, family).save_pretrained(tmp_path)
    model, token = ours(kind, theirs(kind)), torch.randint(19, (2, 20))
    state = {n: t for n, t in to_transformers(model).items() if not (cfg.tied and n == llama.HEAD)}
    write_weights(tmp_path, state, shards)
    opened = getattr(transformers, f"{family}ForCausalLM").from_pretrained
    other, told = opened(tmp_path, output_loading_info=True)
    assert not any(told[what] for what in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    torch.testing.assert_close(other(token).logits, model(token), rtol=1e-5, atol=1e-5)


def test_a_config_in_the_manner_of_older_files_is_read(tmp_path: Path) -> None:
    old = {
        "rope_parameters": None, "rope_theta": 5e5, "head_dim": None,
        "rope_scaling": {
            "rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 16,
        },
    }  # fmt: skip
    saved(tmp_path, "llama 3", **old)
    assert llama.from_folder(tmp_path).cfg == KINDS["llama 3"][1]
    saved(tmp_path, "llama 2", rope_parameters=None, num_key_value_heads=None, head_dim=None)
    assert llama.from_folder(tmp_path).cfg == KINDS["llama 2"][1]


def test_a_folder_can_be_opened_in_half_precision(tmp_path: Path) -> None:
    saved(tmp_path, "llama 2")
    model = llama.from_folder(tmp_path, torch.bfloat16)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert model.cache().keys[0].dtype == torch.bfloat16
    assert model.read(torch.randint(19, (1, 5)), model.cache()).isfinite().all()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            {"vocab_size": 20},
            r"vocab_size is 20; model\.embed_tokens\.weight has shape \(19, 24\), so it is 19",
        ),
        (
            {"num_attention_heads": 8, "num_key_value_heads": 2},
            r"num_attention_heads x head_dim = 8 x 6 is 48",
        ),
        ({"num_key_value_heads": 4}, r"num_key_value_heads x head_dim = 4 x 6 is 24; .*k_proj.* so it is 12"),
        ({"num_key_value_heads": 3}, "groups is 3; it must divide heads, 4"),
        ({"head_dim": 12}, r"num_attention_heads x head_dim = 4 x 12 is 48"),
        ({"num_hidden_layers": 4}, "num_hidden_layers is 4; of such layers there are 3"),
        ({"intermediate_size": 41}, "intermediate_size is 41"),
        ({"hidden_size": None}, "hidden_size is None; it must be a whole number"),
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu'; this model has 'silu' only"),
        ({"attention_bias": True}, "attention_bias is True"),
        ({"model_type": "gemma"}, "model_type is 'gemma'; here it must be 'llama' or 'mistral'"),
        (
            {"rope_parameters": {"rope_type": "yarn"}},
            "rope_type is 'yarn'; this model has 'default' or 'llama3'",
        ),
        ({"rope_parameters": {"rope_type": "llama3"}}, "lacks factor, low_freq_factor, high_freq_factor"),
        ({"tie_word_embeddings": True}, "lm_head.weight differs from model.embed_tokens.weight"),
    ],
)
def test_a_config_that_contradicts_its_tensors_is_refused(
    tmp_path: Path, changed: dict[str, Any], words: str
) -> None:
    saved(tmp_path, "llama 3", **changed)
    with pytest.raises(InputError, match=words):
        llama.from_folder(tmp_path)


def test_weights_of_another_kind_are_refused_and_nothing_is_loaded() -> None:
    model = KINDS["qwen 2"][1].build()
    before = digest(model.state_dict())
    with pytest.raises(InputError, match=r"attention\.query\.bias is missing"):
        llama.filled(model, theirs("llama 3").state_dict())
    with pytest.raises(InputError, match=r"q_norm\.weight"):
        llama.filled(model, theirs("qwen 3").state_dict())
    half = {n: t for n, t in theirs("qwen 2").state_dict().items() if ".layers.2." not in n}
    with pytest.raises(InputError, match=r"blocks\.2\.norm_1\.weight is missing"):
        llama.filled(model, half)
    assert digest(model.state_dict()) == before


def test_frequencies_that_old_files_hold_are_left_out() -> None:
    other = theirs("llama 2")
    state = other.state_dict() | {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(3)}
    assert digest(llama.filled(KINDS["llama 2"][1].build(), state).state_dict()) == digest(
        ours("llama 2", other).state_dict()
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("groups", 3), ("groups", 0), ("head_width", 5), ("head_width", 0), ("width", 26), ("window", 0),
        ("rope_base", 1.0), ("epsilon", 0.0), ("hidden", 0),
    ],
)  # fmt: skip
def test_nonsense_is_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        replace(SMALL, **{field: value})  # type: ignore[arg-type]


def test_states_of_another_model_are_refused() -> None:
    with pytest.raises(ValueError, match="this model has"):
        SMALL.build()(torch.tensor([1]), torch.zeros(1, 1))


def test_tiny_learns_its_rhyme_by_heart() -> None:
    from fathom.task import Boundary
    from fathom.training import train

    experiment = llama.tiny()
    data = experiment.data.load()
    learner = experiment.learner()
    train(learner, experiment.source(data), steps=experiment.steps)
    found = experiment.task.evaluate(Boundary(experiment.task, learner.model), data.valid)
    assert found.metrics["loss"] < 0.2
