"""A person's own module, twenty lines without base class or configuration, from training to an endpoint.

The module below knows nothing of this library, as those that people bring. It is handed to ``fathom.fit``
with a folder of pictures; what comes back is a run like any other, with ``model.onnx`` beside it, which
``fathom serve`` answers from. Two thousand digits of MNIST, one folder a class, are the pictures.

``valid/accuracy``: on the pictures that ``fit`` holds out. ``exported``: the largest difference of the ONNX
file's answers from the module's, over batches of 1, 2 and 7. ``served``: the largest difference of a
probability that came over HTTP from that of ``run.predict``, for ten pictures. ``examples/new_model.py`` is
the same for one's own folder. A record does not age with the commands that it used: for that,
``tests/test_examples.py`` goes this way anew in every whole test run.

Source: row NF14 of the inventory.
"""

import json
import signal
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fathom.claim import Claim

if TYPE_CHECKING:
    from torch import nn

CLAIM = Claim(
    sentence="A module of twenty lines trains, exports and serves by the commands of the catalogue's own.",
    rows=("NF14",),
    expect=("valid/accuracy: own >= 0.9", "exported: own <= 1e-4", "served: own <= 1e-4"),
    source="row NF14 of the inventory",
    seeds=3,
    differs=("The endpoint is asked on the same machine.",),
)

PICTURES = 2000


def own_network() -> "nn.Module":
    """The module, as it might stand in anyone's notebook."""
    import torch
    from torch import nn

    class SimpleNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = nn.Conv2d(1, 8, kernel_size=5, stride=2)
            self.hidden = nn.Linear(8 * 12 * 12, 64)
            self.output = nn.Linear(64, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = torch.relu(self.convolution(x))
            x = torch.relu(self.hidden(x.flatten(1)))
            return self.output(x)

    return SimpleNet()


def measure(seed: int) -> dict[str, dict[str, float]]:
    import torch

    import fathom

    torch.manual_seed(seed)  # a live module brings its first weights along
    with tempfile.TemporaryDirectory() as scratch:
        pictures = draw(Path(scratch) / "digits")
        run = fathom.fit(own_network(), pictures, steps=200, seed=seed, out=Path(scratch) / "run")
        asked = [next((pictures / label).iterdir()) for label in "0123456789"]
        answers = run.predict(*asked)
        exported = json.loads((run.model / "equality.json").read_text(encoding="utf-8"))["largest"]
        served = max(map(apart, answers, over_http(run.folder, asked)))
        accuracy = run.metrics["valid/accuracy"]
    return {"own": {"valid/accuracy": accuracy, "exported": exported, "served": served}}


def draw(folder: Path) -> Path:
    """Digits as files, in a folder a class."""
    from PIL import Image

    from fathom.data.sets import mnist

    images = mnist.read()
    for i in range(PICTURES):
        place = folder / str(images.train_labels[i])
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images.train_images[i]).save(place / f"{i}.png")
    return folder


def over_http(folder: Path, pictures: list[Path]) -> list[dict[str, Any]]:
    """The answers of ``fathom serve``, a picture a request."""
    command = [sys.executable, "-m", "fathom", "serve", str(folder), "--port", "0"]
    found = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            address = server.stdout.readline().split()[-1].rstrip("/")  # "page     http://..."
            for picture in pictures:
                kind = {"Content-Type": "image/png"}
                request = urllib.request.Request(f"{address}/predict", picture.read_bytes(), kind)
                with urllib.request.urlopen(request, timeout=60) as reply:
                    found.append(json.load(reply))
        finally:
            server.send_signal(signal.SIGINT)
    return found


def apart(one: dict[str, Any], other: dict[str, Any]) -> float:
    """The largest difference of two answers' probabilities; 1 where the label is another."""
    if one["label"] != other["label"]:
        return 1.0
    return max(abs(one["probabilities"][k] - other["probabilities"][k]) for k in one["probabilities"])
