"""State dicts through JSON and back without a loss, and the digest that says so."""

import json
import math
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from fathom.errors import InputError
from fathom.training.checkpoint import (
    CheckpointFolder,
    digest,
    flatten,
    read,
    unflatten,
)


def same(a: Any, b: Any) -> bool:
    """Equal to the bit, and of the same types: True is not 1, and -0.0 is not 0.0."""
    if isinstance(a, Tensor):
        return isinstance(b, Tensor) and digest({"": a}) == digest({"": b})
    if isinstance(a, dict):
        return isinstance(b, dict) and same(list(a.items()), list(b.items()))
    if type(a) is not type(b):
        return False
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, float):
        return struct.pack("d", a) == struct.pack("d", b) or (math.isnan(a) and math.isnan(b))
    return a == b


# ---- flatten ----------------------------------------------------------------------------------------------

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from(["$tensor", "$tuple", "$float", "$dict", "nan"])
)  # fmt: skip
KEYS = (
    st.text(max_size=4) | st.integers(-3, 3) | st.none() | st.sampled_from(["$tensor", "$dict", "a.b", "1"])
)
LEAVES = (
    SCALARS
    | st.integers(0, 4).map(lambda n: torch.arange(n, dtype=torch.float32))
    | st.just(torch.tensor(True))
)
NESTED = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=4)
    ),
    max_leaves=20,
)


@settings(derandomize=True, deadline=None, max_examples=200, database=None)
@given(NESTED)
def test_flatten_then_json_then_unflatten_is_the_identity(value: Any) -> None:
    tensors, facts = flatten(value)
    text = json.dumps(facts, allow_nan=False)  # strict JSON, so any tool can read it
    assert same(unflatten(tensors, json.loads(text)), value)


def make(kind: str, parameters: Any) -> torch.optim.Optimizer:
    if kind == "SGD":
        return torch.optim.SGD(parameters, lr=0.1, momentum=0.9, nesterov=True)
    if kind == "plain SGD":
        return torch.optim.SGD(parameters, lr=0.1)
    if kind == "Adam":
        return torch.optim.Adam(parameters, lr=0.01, betas=(0.8, 0.95), amsgrad=True)
    if kind == "AdamW":
        return torch.optim.AdamW(parameters, lr=0.01, betas=(0.8, 0.95), weight_decay=0.1)
    return torch.optim.RMSprop(parameters, lr=0.01, momentum=0.5, centered=True)


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> None:
    for step in steps:
        x = torch.randn(8, 3, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()


@pytest.mark.parametrize("kind", ["SGD", "plain SGD", "Adam", "AdamW", "RMSprop"])
def test_an_optimizer_goes_on_from_disk_as_if_nothing_had_happened(tmp_path: Path, kind: str) -> None:
    def fresh() -> tuple[nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(3)
        model = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Linear(5, 2))
        weights = [p for p in model.parameters() if p.ndim > 1]
        biases = [p for p in model.parameters() if p.ndim == 1]
        return model, make(kind, [{"params": weights}, {"params": biases, "lr": 0.02}])

    straight, optimizer = fresh()
    train(straight, optimizer, range(6))
    wanted = optimizer.state_dict()

    model, optimizer = fresh()
    train(model, optimizer, range(3))
    before = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    tensors, facts = flatten(before)
    with CheckpointFolder(tmp_path) as folder:
        folder.save(3, tensors, {"state": facts})
    loaded = read(tmp_path)
    assert loaded is not None
    after = unflatten(loaded.tensors, loaded.facts["state"])
    assert same(after, before)
    model, optimizer = fresh()
    model.load_state_dict(after["model"])
    optimizer.load_state_dict(after["optimizer"])
    train(model, optimizer, range(3, 6))
    assert digest(model.state_dict()) == digest(straight.state_dict())
    assert same(optimizer.state_dict(), wanted)
    if "Adam" in kind:
        assert optimizer.param_groups[0]["betas"] == (0.8, 0.95)  # a list is no tuple


def test_flatten_keeps_one_tensor_one_and_does_not_copy() -> None:
    x = torch.zeros(2, requires_grad=True)
    tensors, facts = flatten({"a": x, "b": [x]})
    assert list(tensors) == ["a"] and not tensors["a"].requires_grad
    assert tensors["a"].data_ptr() == x.data_ptr()
    again = unflatten(tensors, facts)
    assert again["a"] is again["b"][0]


def test_flatten_gives_each_tensor_its_own_name() -> None:
    value = {"a.b": torch.tensor(1), "a": {"b": torch.tensor(2), 3: torch.tensor(4), "3": torch.tensor(5)}}
    tensors, facts = flatten(value)
    assert list(tensors) == ["a.b", "a.b#2", "a.3", "a.3#2"]
    assert same(unflatten(tensors, facts), value)


@pytest.mark.parametrize("value", [np.zeros(2), {1, 2}, b"x", object(), nn.Linear(1, 1), np.float32(1), 1j])
def test_flatten_names_the_place_of_what_it_cannot_hold(value: Any) -> None:
    with pytest.raises(InputError, match=rf"keepers\.source\.1 is a {type(value).__name__}; .*load_state"):
        flatten({"keepers": {"source": [1, value]}})


def test_flatten_refuses_odd_keys_and_unflatten_missing_tensors() -> None:
    with pytest.raises(InputError, match="the state has a tuple as a key"):
        flatten({(1, 2): 3})
    _, facts = flatten({"a": torch.zeros(1)})
    with pytest.raises(InputError, match="'a', which is not among"):
        unflatten({}, facts)
    assert same(unflatten(*flatten(OrderedDict(b=1, a=2))), {"b": 1, "a": 2})  # in order, as a plain dict


# ---- digest -----------------------------------------------------------------------------------------------


def test_digest_is_canonical() -> None:
    a, b = torch.randn(3, 4), torch.arange(3)
    assert digest({"a": a, "b": b}) == digest({"b": b, "a": a.t().contiguous().t()})
    assert digest({}) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # of no bytes


def test_digest_sees_every_difference() -> None:
    x = torch.zeros(4)
    nearly = torch.zeros(4)
    nearly[3] = -0.0
    others = [
        {"a": x}, {"b": x}, {"a": x.double()}, {"a": x.view(2, 2)}, {"a": x.int()}, {"a": nearly},
        {"a": x[:3], "b": x[:1]}, {"a": x[:1], "b": x[:3]}, {"a": x[:0]}, {"a": x[:0].view(0, 1)}, {},
        {'a" torch.float32 (0,)\n"b': x}, {"a": x[:0], "b": x},
    ]  # fmt: skip
    assert len({digest(each) for each in others}) == len(others)
