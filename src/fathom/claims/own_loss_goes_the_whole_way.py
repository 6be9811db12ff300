"""A loss of one's own, named on the command line: trained with, and refused where its gradient is wrong.

Two functions are written to a file, as a person would: ``margin``, the multi-class hinge of Crammer and
Singer (2001, equation 6) averaged over the classes, and ``misled``, the same value with the slope of one
class in ten turned round. ``fathom fit digits/ --loss losses:margin`` trains on two thousand digits of MNIST,
one folder a class. ``valid/accuracy`` is that of the held-out pictures. ``refused`` is 1 where ``--loss
losses:misled`` ends with exit code 2, names the loss and the entry, and leaves no run folder.

Source: row LO06 of the inventory.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from fathom.claim import Claim

CLAIM = Claim(
    sentence="A loss of one's own trains by its name, and one with a wrong gradient is named and refused.",
    rows=("LO06",),
    expect=("valid/accuracy: own >= 0.9", "refused: own >= 1"),
    source="row LO06 of the inventory",
    seeds=3,
    differs=("The hinge is averaged over the classes, not taken of the largest.",),
)

LOSSES = """
import torch


class Misled(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        return x.clone()

    @staticmethod
    def backward(context, slope):
        slope = slope.clone()
        slope[:, 3] *= -1
        return slope


def margin(output, target):
    return (1 + output - output.gather(1, target[:, None])).relu().mean()


def misled(output, target):
    return margin(Misled.apply(output), target)
"""


def measure(seed: int) -> dict[str, dict[str, float]]:
    from fathom.claims.own_module_goes_the_whole_way import draw

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        draw(folder / "digits")
        (folder / "losses.py").write_text(LOSSES, encoding="utf-8")
        good = fit(folder, "margin", seed)
        bad = fit(folder, "misled", seed)
        named = "the loss misled, checked before step 0" in bad.stderr and ", 3]" in bad.stderr  # class 3
        refused = bad.returncode == 2 and named and not (folder / "misled").exists()
    accuracy = json.loads(good.stdout)["metrics"]["valid/accuracy"]
    return {"own": {"valid/accuracy": accuracy, "refused": float(refused)}}


def fit(folder: Path, loss: str, seed: int) -> "subprocess.CompletedProcess[str]":
    """The command as a person types it, beside the file of losses."""
    command = [
        sys.executable, "-m", "fathom", "fit", "digits", "--loss", f"losses:{loss}", "--out", loss,
        "--set", "steps=200", "--seed", str(seed), "--no-export", "--json",
    ]  # fmt: skip
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
