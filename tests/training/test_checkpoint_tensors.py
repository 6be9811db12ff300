"""Tensors go to disk and come back to the bit, whatever their kind, shape, strides and ties."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fathom.errors import InputError
from fathom.training.checkpoint import (
    CheckpointFolder,
    digest,
    flatten,
    unflatten,
)

# ---- tensors ----------------------------------------------------------------------------------------------

DTYPES = (
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16,
    torch.int8, torch.uint8, torch.bool, torch.complex64,
)  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype_and_odd_shape_survives_to_the_bit(tmp_path: Path, dtype: torch.dtype) -> None:
    bits = torch.randint(0, 2 if dtype is torch.bool else 256, (6 * 4 * 8,), dtype=torch.uint8)
    many = bits.view(dtype)[:24].reshape(4, 6)
    tensors = {
        "many": many,
        "turned": many.t(),
        "strided": many[:, ::2],
        "zero dim": many[1, 2],
        "empty": torch.empty(0, 6, dtype=dtype),
        "no rows": torch.empty(0, 6, dtype=dtype),
        "empty wide": torch.empty(0, 3, 0, dtype=dtype),
        "expanded": many[:1].expand(5, 6),
    }
    with CheckpointFolder(tmp_path) as folder:
        folder.save(1, tensors, {})
        loaded = folder.load()
    assert loaded is not None
    assert digest(loaded.tensors) == digest(tensors)
    assert loaded.tensors["empty"] is not loaded.tensors["no rows"]  # at the same address, and not tied
    assert {n: (t.shape, t.dtype) for n, t in loaded.tensors.items()} == {
        n: (t.shape, t.dtype) for n, t in tensors.items()
    }


def test_not_a_number_infinity_and_negative_zero_keep_their_bits(tmp_path: Path) -> None:
    bits = torch.tensor([0x7FC00001, 0x7F800000, -0x800000, -0x80000000, 1], dtype=torch.int32)
    with CheckpointFolder(tmp_path) as folder:
        folder.save(1, {"x": bits.view(torch.float32)}, {})
        loaded = folder.load()
    assert loaded is not None and torch.equal(loaded.tensors["x"].view(torch.int32), bits)


def test_a_tied_tensor_is_stored_once_and_stays_tied(tmp_path: Path) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.read, self.write = nn.Embedding(50, 8), nn.Linear(8, 50, bias=False)
            self.write.weight = self.read.weight

    tensors, facts = flatten(Tied().state_dict())
    with CheckpointFolder(tmp_path) as folder:
        path = folder.save(1, tensors, {"state": facts})
        loaded = folder.load()
    assert path is not None and loaded is not None
    assert (path / "state.safetensors").stat().st_size < 1.5 * 50 * 8 * 4
    assert loaded.tensors["read.weight"] is loaded.tensors["write.weight"]
    again = Tied()
    again.load_state_dict(unflatten(loaded.tensors, loaded.facts["state"]))
    assert digest(again.state_dict()) == digest(tensors)


def test_views_that_overlap_are_stored_apart(tmp_path: Path) -> None:
    whole = torch.arange(12.0)
    tensors = {
        "whole": whole,
        "front": whole[:6],
        "square": whole.view(3, 4),
        "bits": whole.view(torch.int32),
    }
    with CheckpointFolder(tmp_path) as folder:
        folder.save(1, tensors, {})
        loaded = folder.load()
    assert loaded is not None and digest(loaded.tensors) == digest(tensors)


def test_a_conjugate_view_of_the_same_memory_is_another_tensor(tmp_path: Path) -> None:
    x = torch.tensor([1 + 2j, 3 - 1j])
    with CheckpointFolder(tmp_path) as folder:
        folder.save(1, {"x": x, "conjugate": x.conj()}, {})
        loaded = folder.load()
    assert loaded is not None and torch.equal(loaded.tensors["conjugate"], torch.tensor([1 - 2j, 3 + 1j]))


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("sparse", torch.eye(3).to_sparse()),
        ("wide", torch.zeros(2, dtype=torch.complex128)),
        ("nowhere", torch.zeros(2, device="meta")),
        ("__metadata__", torch.zeros(2)),
    ],
)
def test_a_tensor_that_a_file_cannot_hold_is_named(tmp_path: Path, name: str, tensor: Tensor) -> None:
    with CheckpointFolder(tmp_path) as folder:
        with pytest.raises(InputError, match=name):
            folder.save(1, {name: tensor}, {})
        assert folder.steps() == [] and folder.load() is None


@pytest.mark.parametrize(
    "facts", [{"a": {"b": (1, 2)}}, {"a": {1: 2}}, {"a": np.float32(1)}, {"a": {"b": {3}}}]
)
def test_facts_that_json_would_change_are_refused_with_their_place(tmp_path: Path, facts: Any) -> None:
    with CheckpointFolder(tmp_path) as folder, pytest.raises(InputError, match=r"facts\.a.*flatten"):
        folder.save(1, {}, facts)


def test_a_checkpoint_without_tensors_and_facts_is_one(tmp_path: Path) -> None:
    with CheckpointFolder(tmp_path) as folder:
        folder.save(0, {}, {})
        loaded = folder.load()
    assert loaded is not None and (loaded.step, loaded.tensors, loaded.facts) == (0, {}, {})
