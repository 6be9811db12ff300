"""The confined reader: the tensors of a file of torch as safetensors, by a process that may do nothing else.

``torch.load(weights_only=True)`` builds tensors and containers only, but its unpickler has had faults.
So it runs in a child without a home, which may open no socket and start no process, with limits on time
and files (and memory, on Linux). The parent takes nothing from it but a safetensors file, which it checks.
Files of Keras are read in the same way, by `fathom.training.hdf5_reader`.
"""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fathom.errors import InputError, missing_extra

KERAS = (".keras", ".h5", ".hdf5")  # endings of what Keras saves
LARGEST = 20 * 2**30
MEMORY = 4 * LARGEST
SECONDS = 600
CHILD = """
import json, sys, torch
from safetensors.torch import save_file

def refuse(event, given):
    if event.split(".")[0] in ("socket", "subprocess") or event in BANNED:
        raise PermissionError(event)

BANNED = ("os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.startfile")
sys.addaudithook(refuse)
state = torch.load(sys.argv[1], map_location="cpu", weights_only=True, mmap=False)
beside = []
for name in ("state_dict", "model", "model_state_dict"):
    if isinstance(state, dict) and isinstance(state.get(name), dict):
        beside = [str(k) for k in state if k != name]
        state = state[name]
        break
kept = {str(k): v.detach().contiguous().clone() for k, v in state.items() if isinstance(v, torch.Tensor)}
left = [str(k) for k in state if str(k) not in kept]
save_file(kept, sys.argv[2])
numbers = sum(v.numel() for v in kept.values())
print(json.dumps({"tensors": len(kept), "left": left, "beside": beside, "numbers": numbers}))
"""


def read_tensors(source: Path, draft: Path) -> dict[str, Any]:
    """Write the tensors of a state dict that torch saved, or Keras, to ``draft``, a safetensors file.

    Returns how many ``tensors`` and ``numbers`` there are, the names of entries of the state dict that are
    no tensors (``left``), and of what stood beside the state dict in the file (``beside``: an optimizer, a
    count of epochs). Raises ``InputError`` for what holds anything but tensors and containers of them.
    """
    if not source.is_file():
        raise InputError(f"{source} is no file; give one that torch.save or Keras wrote")
    if is_keras(source) and find_spec("h5py") is None:
        raise missing_extra("keras", "h5py")
    if source.stat().st_size > LARGEST:
        raise InputError(f"{source} has {source.stat().st_size:,} bytes; at most {LARGEST:,} are read")
    done = read_in_child(source, draft)
    if done.returncode != 0 or not draft.is_file():
        last = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "the reader was stopped"
        what = "file of numbers that Keras wrote" if is_keras(source) else "plain state dict of tensors"
        raise InputError(f"{source} is not a {what} and was not read: {last[:300]}")
    facts = checked(draft, json.loads(done.stdout.strip().splitlines()[-1]))
    if not facts["tensors"]:
        raise InputError(f"{source} holds no tensors; it has: {', '.join(facts['left'][:10]) or 'nothing'}")
    return facts


def is_keras(source: Path) -> bool:
    return source.suffix.lower() in KERAS


def read_in_child(source: Path, draft: Path) -> "subprocess.CompletedProcess[str]":
    """Let a confined process write the tensors of ``source`` to ``draft``."""
    program = [str(Path(__file__).with_name("hdf5_reader.py"))] if is_keras(source) else ["-c", CHILD]
    environment = {"PATH": "", "HOME": str(draft.parent), "OMP_NUM_THREADS": "1"}
    environment["HDF5_PLUGIN_PRELOAD"] = "::"  # no compiled filter is looked for
    if "SYSTEMROOT" in os.environ:  # without it no Python starts on Windows
        environment["SYSTEMROOT"] = os.environ["SYSTEMROOT"]
    try:
        return subprocess.run(
            [sys.executable, "-I", *program, str(source.resolve()), str(draft)],
            cwd=draft.parent, timeout=SECONDS, env=environment, capture_output=True, text=True,
            preexec_fn=confine if os.name == "posix" else None, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise InputError(f"{source} was not read: it took longer than {SECONDS} s") from None


def checked(draft: Path, told: dict[str, Any]) -> dict[str, Any]:
    """What the child told, where the file says the same."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(draft, "np") as file:
            names = list(file.keys())
    except SafetensorError as error:
        raise InputError(f"the reader made no whole file: {error}") from error
    if len(names) != told["tensors"]:
        raise InputError(f"the reader told of {told['tensors']} tensors and wrote {len(names)}")
    return told


def confine() -> None:
    """Limits of the child: processor time, size of files, address space (zeros pack well)."""
    import resource

    if sys.platform == "linux":  # elsewhere the system does not keep it
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST, LARGEST))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
