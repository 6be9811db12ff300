"""Interim."""

import hashlib
import json
import os
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load as load_st
from safetensors.torch import save

from fathom.errors import RunError


class CheckpointError(RunError): ...


@dataclass(frozen=True)
class Loaded:
    step: int
    tensors: dict
    facts: dict
    path: Path
    rejected: tuple = ()


def flatten(v):
    t = {}

    def go(v, p):
        if isinstance(v, torch.Tensor):
            k = f"t{len(t)}"
            t[k] = v.detach().clone().contiguous()
            return {"$t": k}
        if isinstance(v, dict):
            return {"$d": [[k if isinstance(k, str) else {"$i": k}, go(x, p)] for k, x in v.items()]}
        if isinstance(v, tuple):
            return {"$u": [go(x, p) for x in v]}
        if isinstance(v, list):
            return [go(x, p) for x in v]
        return v

    return t, go(v, "")


def unflatten(t, f):
    if isinstance(f, dict):
        if "$t" in f:
            return t[f["$t"]]
        if "$d" in f:
            return {(k if isinstance(k, str) else k["$i"]): unflatten(t, x) for k, x in f["$d"]}
        if "$u" in f:
            return tuple(unflatten(t, x) for x in f["$u"])
    if isinstance(f, list):
        return [unflatten(t, x) for x in f]
    return f


def digest(tensors):
    h = hashlib.sha256()
    for n, t in sorted(tensors.items()):
        t = t.detach().cpu().contiguous()
        h.update(f"{n}{t.dtype}{tuple(t.shape)}".encode())
        h.update(t.reshape(-1).view(torch.uint8).numpy().tobytes() if t.numel() else b"")
    return h.hexdigest()


def read(root):
    for p in sorted(Path(root).glob("step-????????"), reverse=True):
        s = json.loads((p / "state.json").read_text())
        return Loaded(int(p.name[5:]), load_st((p / "state.safetensors").read_bytes()), s["facts"], p)
    return None


class CheckpointFolder:
    def __init__(self, root, keep=2, keep_best=1, identity="", report=None):
        self.root = Path(root)
        self.scores = {}

    def __enter__(self):
        self.root.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *a):
        pass

    def save(self, step, tensors, facts, score=None, pinned=False):
        tmp = self.root / f".tmp-{uuid.uuid4()}"
        tmp.mkdir()
        (tmp / "state.safetensors").write_bytes(save(dict(tensors)))
        (tmp / "state.json").write_text(json.dumps({"facts": facts, "score": score}))
        d = self.root / f"step-{step:08d}"
        if d.exists():
            shutil.rmtree(d)
        os.rename(tmp, d)
        return d

    def load(self):
        return read(self.root)

    def load_best(self):
        best = None
        for p in sorted(self.root.glob("step-????????")):
            s = json.loads((p / "state.json").read_text())
            if s["score"] is not None and (best is None or s["score"] > best[0]):
                best = (s["score"], p, s)
        return best and Loaded(
            int(best[1].name[5:]),
            load_st((best[1] / "state.safetensors").read_bytes()),
            best[2]["facts"],
            best[1],
        )

    def steps(self):
        return sorted(int(p.name[5:]) for p in self.root.glob("step-????????"))
