"""Import: a torch file becomes safetensors, in a process that may do nothing else.

``torch.load(weights_only=True)`` builds tensors and containers only, but its unpickler has had faults.
So it runs in a child without network or home, with limits on memory, time and files, and the parent
takes nothing from it but a safetensors file that it reads itself.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from fathom.errors import InputError

LARGEST = 20 * 2**30
SECONDS = 600
CHILD = """
import json, sys, torch
from safetensors.torch import save_file
state = torch.load(sys.argv[1], map_location="cpu", weights_only=True, mmap=False)
for name in ("state_dict", "model", "model_state_dict"):
    if isinstance(state, dict) and isinstance(state.get(name), dict):
        state = state[name]
        break
kept = {str(k): v.detach().contiguous().clone() for k, v in state.items() if isinstance(v, torch.Tensor)}
left = [str(k) for k in state if str(k) not in kept]
save_file(kept, sys.argv[2])
print(json.dumps({"tensors": len(kept), "left": left, "numbers": sum(v.numel() for v in kept.values())}))
"""


def import_file(file: str | Path, out: str | Path | None = None) -> dict[str, Any]:
    """Convert a state dict saved by torch; returns ``{"out", "tensors", "numbers", "left"}``.

    Raises ``InputError`` for what holds anything but tensors and containers of them.
    """
    source = Path(file)
    if not source.is_file():
        raise InputError(f"{source} is no file; give one that torch.save wrote")
    if source.stat().st_size > LARGEST:
        raise InputError(f"{source} has {source.stat().st_size:,} bytes; at most {LARGEST:,} are read")
    target = Path(out) if out else source.with_suffix(".safetensors")
    if target.exists():
        raise InputError(f"{target} exists already; choose another --out")
    with tempfile.TemporaryDirectory() as scratch:
        draft = Path(scratch) / "state.safetensors"
        done = subprocess.run(
            [sys.executable, "-I", "-c", CHILD, str(source.resolve()), str(draft)],
            cwd=scratch, timeout=SECONDS,
            env={"PATH": "", "HOME": scratch, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
            preexec_fn=confine if os.name == "posix" else None, check=False,
        )  # fmt: skip
        if done.returncode != 0 or not draft.is_file():
            last = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "the reader was stopped"
            raise InputError(f"{source} is not a plain state dict of tensors and was not read: {last[:300]}")
        facts = json.loads(done.stdout.strip().splitlines()[-1])
        if not facts["tensors"]:
            raise InputError(
                f"{source} holds no tensors; it has: {', '.join(facts['left'][:10]) or 'nothing'}"
            )
        target.write_bytes(draft.read_bytes())
    return {"out": str(target), **facts}


def confine() -> None:
    """Limits of the child: processor time, size of files, and no further processes of its own."""
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST, LARGEST))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
