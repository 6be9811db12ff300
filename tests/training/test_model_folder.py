"""Folders of transformers: shards joined, and every way in which one can be broken said."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from fathom.errors import InputError
from fathom.training.model_folder import INDEX, Claim, folder_state, read_folder
from fathom.training.weights import load_weights

SHARDS = {"one.safetensors": ("0.weight", "0.bias"), "two.safetensors": ("2.weight",)}


def folder(path: Path) -> Path:
    """A model in two shards."""
    state = {"0.weight": torch.ones(2, 3), "0.bias": torch.zeros(2), "2.weight": torch.full((1, 2), 2.0)}
    index = {"weight_map": {name: file for file, names in SHARDS.items() for name in names}}
    (path / "config.json").write_text(json.dumps({"model_type": "two", "width": 3, "layers": 1, "rate": 0.5}))
    (path / INDEX).write_text(json.dumps(index))
    for file, names in SHARDS.items():
        save_file({name: state[name] for name in names}, path / file)
    return path


def test_shards_are_joined(tmp_path: Path) -> None:
    state = folder_state(folder(tmp_path))
    assert {n: tuple(t.shape) for n, t in state.items()} == {
        "0.weight": (2, 3),
        "0.bias": (2,),
        "2.weight": (1, 2),
    }
    last = nn.Linear(2, 1, bias=False)
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), last)
    load_weights(model, tmp_path, head=())
    assert torch.equal(last.weight.detach(), torch.full((1, 2), 2.0))


def test_shards_of_transformers_itself_are_joined(tmp_path: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=50, n_embd=32, n_layer=2, n_head=2, n_positions=8, bos_token_id=0, eos_token_id=0
    )
    model = GPT2LMHeadModel(config)
    model.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("model-*-of-*.safetensors"))) > 2
    state = folder_state(tmp_path)
    wanted = {n: t for n, t in model.state_dict().items() if n != "lm_head.weight"}  # the shared one, once
    assert set(state) == set(wanted) and all(torch.equal(state[n], t) for n, t in wanted.items())


def rewrite(index: Any) -> Any:
    return lambda path: (path / INDEX).write_text(index if isinstance(index, str) else json.dumps(index))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (
            lambda p: (p / "two.safetensors").unlink(),
            r"lacks the shard two\.safetensors, which holds 2\.weight",
        ),
        (lambda p: (p / "one.safetensors").write_bytes(b"no"), r"one\.safetensors is damaged"),
        (
            lambda p: save_file({"0.bias": torch.zeros(2)}, p / "one.safetensors"),
            r"one\.safetensors does not hold 0\.weight, as model\.safetensors\.index\.json says",
        ),
        (
            lambda p: save_file({n: torch.ones(1) for n in ("0.bias", "2.weight")}, p / "two.safetensors"),
            r"0\.bias is in two shards",
        ),
        (rewrite("{"), "is no JSON"),
        (rewrite([]), "holds a list; it must be an object"),
        (rewrite({"weight_map": {}}), "weight_map must say"),
        (rewrite({"weight_map": {"a": 3}}), "weight_map must say"),
        (
            rewrite({"weight_map": {"a": "../other.safetensors"}}),
            r"names '\.\./other\.safetensors'; shards are",
        ),
        (rewrite({"weight_map": {"a": "pytorch_model.bin"}}), r"names 'pytorch_model\.bin'; shards are"),
    ],
)
def test_broken_shards_are_named(tmp_path: Path, spoil: Any, words: str) -> None:
    spoil(folder(tmp_path))
    with pytest.raises(InputError, match=words):
        folder_state(tmp_path)


def test_folders_without_tensors_say_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"holds no model\.safetensors and no model\.safetensors\.index\.json"
    ):
        folder_state(tmp_path)
    (tmp_path / "pytorch_model.bin").touch()
    with pytest.raises(InputError, match=r"fathom import .*pytorch_model\.bin"):
        folder_state(tmp_path)
    (tmp_path / "model-00001-of-00002.safetensors").touch()
    with pytest.raises(
        InputError, match=r"holds model-00001-of-00002\.safetensors and no model\.safetensors\.index"
    ):
        folder_state(tmp_path)


def test_settings_are_read_and_checked(tmp_path: Path) -> None:
    found = read_folder(folder(tmp_path), ("one", "two"))
    assert found.number("width") == 3 and found.number("depth", 7) == 7 and found.real("rate", 1.0) == 0.5
    assert found.require("bend", "relu", default="relu") == "relu"
    for wrong, words in (
        (lambda: found.number("rate"), r"config\.json: rate is 0\.5; it must be a whole number"),
        (lambda: found.number("heads"), "heads is None; it must be a whole number"),
        (lambda: found.real("model_type", 1.0), "model_type is 'two'; it must be a number"),
        (lambda: found.require("width", 4, 5), "width is 3; this model has 4 or 5 only"),
        (lambda: read_folder(tmp_path, ("gpt2",)), "model_type is 'two'; here it must be 'gpt2'"),
        (lambda: read_folder(tmp_path / "no", ("two",)), "is no folder"),
    ):
        with pytest.raises(InputError, match=words):
            wrong()
    (tmp_path / "config.json").unlink()
    with pytest.raises(InputError, match=r"holds no config\.json"):
        read_folder(tmp_path, ("two",))


def test_what_is_told_is_compared_with_the_tensors(tmp_path: Path) -> None:
    found = read_folder(folder(tmp_path), ("two",))
    found.agree([Claim("width", 3, "0.weight", 1)], found.state)
    for claim, words in (
        (Claim("a x b", 4, "0.weight", 1), r"says that a x b is 4; 0\.weight has shape \(2, 3\), so it is 3"),
        (Claim("width", 3, "9.weight", 1), r"has no tensor 9\.weight"),
        (Claim("width", 3, "0.bias", 1), r"0\.bias has shape \(2,\), so it is None"),
    ):
        with pytest.raises(InputError, match=words):
            found.agree([claim], found.state)
    numbered = {f"block.{i}.weight": torch.ones(1) for i in (0, 1)}
    with pytest.raises(InputError, match=r"layers is 1; of such layers there are 2, up to block\.1\.weight"):
        found.agree_on_layers("layers", "block.{i}.weight", numbered)
    with pytest.raises(InputError, match="there are none"):
        found.agree_on_layers("layers", "other.{i}.weight", numbered)
    found.agree_on_layers(
        "layers", "block.{i}.weight", {"block.0.weight": torch.ones(1), "norm": torch.ones(1)}
    )
