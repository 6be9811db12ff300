"""One pipeline: a text is read and answered alike while a model learns, in Python, in a shell and over HTTP.

A classifier often fails not where it was trained but where it is used, for texts are cut, lowered or escaped
there by other code. Here that code exists once: an artifact lists the operations between a text and the
network, and one function runs them, whoever asks. `fathom.fit` trains on 1,200 sentences of film reviews. The
model is then asked about 366 texts: unseen reviews, and odd ones, empty, of white space, of 60,000 letters,
in other scripts, with emoji of several code points, marks that turn the direction of writing, NUL and
separators of lines.

What every door makes of a text is noted: while the model learns each batch, and in the processes of `fathom
predict` and `fathom serve` what their preprocessing returned. All are compared with what ``run.predict``
uses, byte by byte:

    training   the rows that were learned from, against the arrays of the texts of the file; and answers of
               the network as training left it, asked in the same batches
    command    `fathom predict`, reviews in a file of JSON lines and odd texts as JSON items
    endpoint   `fathom serve`, in requests of as many texts as ``predict`` asks about together
    alone      `fathom serve`, a text a request, the last 100 only: in another batch a sum may be added up in
               another order, so labels are equal, and probabilities nearly
    onnx       `model.onnx` in the runtime of ONNX, whose operations are others

``tokens``: texts whose arrays differ in a byte. ``answers``: texts whose answers do, as JSON. ``labels``:
texts with another label. ``probability``: the largest difference of one. ``texts``: how many were compared.
All on one thread: how many there are decides the order of sums, too.

Source: row NL03 of the inventory.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fathom.claim import Claim

if TYPE_CHECKING:
    from fathom.training.loop import Event
    from fathom.training.run import Run

CLAIM = Claim(
    sentence="A text is read and answered alike in training, in Python, on the command line and over HTTP.",
    rows=("NL03",),
    expect=(
        "tokens: training <= 0",
        "tokens: command <= 0",
        "tokens: endpoint <= 0",
        "tokens: alone <= 0",
        "answers: training <= 0",
        "answers: command <= 0",
        "answers: endpoint <= 0",
        "labels: alone <= 0",
        "probability: alone <= 1e-6",
        "labels: onnx <= 0",
        "probability: onnx <= 1e-6",
        "texts: command >= 300",
        "texts: training >= 800",
    ),
    source="row NL03 of the inventory",
    seeds=3,
    differs=(
        "Answers are byte-equal for equal batches on one thread; otherwise a sum may be rounded differently.",
        "In a file to learn from, a text such as NA is a missing cell, and so an empty text; to `fathom"
        " predict` and `fathom serve` it is a text like others.",
        "The endpoint is asked on the same machine.",
    ),
)

LEARNED, UNSEEN, TOGETHER, ALONE, STEPS = 1200, 330, 64, 100, 300
ODD = (
    "", " ", "\n\n\t", "\r\nA line.\rAnother.\r\n", "a\x00b", "\u2028 line \u2029 paragraph \x85 next",
    "\ufeffmark", "NA", "null", "None", "NaN", "?", "0", "{}", '{"text": "x"}', "<b>bold</b> &amp; <script>",
    "\\u0041 \\n", "\uff26\uff35\uff2c\uff2c width", "\ufb01ne", "e\u0301 \u00e9", "Straße STRASSE",
    "\u0130stanbul \u0131I", "naïve café", "Ωμέγα ΣΊΣΥΦΟΣ", "фильм плохой", "这部电影很好", "映画は退屈",
    "영화가 좋다", "फ़िल्म अच्छी है", "فيلم رائع", "\u202eright to left\u202c",
    "👍", "👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪", "😀" * 300, "good " * 5000, "x" * 60_000, "word, " * 9999, "\u0301" * 500,
)  # fmt: skip


def measure(seed: int) -> dict[str, dict[str, float]]:
    import random

    import torch

    import fathom
    from fathom.data.sets import rt_polarity

    torch.set_num_threads(1)
    reviews = rt_polarity.read()
    order = list(range(len(reviews.texts)))
    random.Random(seed).shuffle(order)
    rows = [(reviews.texts[i], ("bad", "good")[reviews.labels[i]]) for i in order[:LEARNED]]
    texts = [*(reviews.texts[i] for i in order[LEARNED : LEARNED + UNSEEN]), *ODD]
    with tempfile.TemporaryDirectory() as scratch:
        file = written(Path(scratch) / "reviews.jsonl", [{"text": t, "label": label} for t, label in rows])
        watch = Watch()
        run = fathom.fit(file, steps=STEPS, seed=seed, out=Path(scratch) / "run", observers=[watch])
        answers = run.predict(*texts)
        read = {text: noted(arrays) for text, arrays in zip(texts, decoded(run, texts), strict=True)}
        return {
            "training": in_training(run, watch, [text for text, _ in rows], texts, answers),
            "command": compared(read, texts, answers, *by_command(run.folder, texts)),
            "endpoint": compared(read, texts, answers, *over_http(run.folder, texts, TOGETHER)),
            "alone": compared(read, texts[-ALONE:], answers, *over_http(run.folder, texts[-ALONE:], 1)),
            "onnx": apart(answers, fathom.predict(run.folder, texts, backend="onnx")),
        }


# -- what is compared ------------------------------------------------------------------------------
def noted(arrays: Any) -> str:
    """What enters the network, as one number: names, types, shapes and bytes."""
    parts = [f"{name} {array.dtype} {array.shape} ".encode() + array.tobytes()
             for name, array in arrays.items()]  # fmt: skip
    return sha256(b"".join(parts)).hexdigest()


def decoded(run: "Run", texts: Sequence[str]) -> list[Any]:
    """The arrays that ``run.predict`` makes of texts."""
    from fathom.deployment.artifact import open_artifact

    artifact = open_artifact(run.folder)
    return [artifact.decode(text) for text in texts]


def compared(
    read: Mapping[str, str],
    texts: Sequence[str],
    answers: Sequence[Any],
    others: Sequence[Any],
    notes: Mapping[str, str],
) -> dict[str, float]:
    """A door against ``run.predict``: arrays, and the answers, of which these are the last."""
    differ = sum(notes.get(text) != read[text] for text in texts)
    return {"tokens": float(differ), **apart(answers[-len(texts) :], others)}


def apart(answers: Sequence[Any], others: Sequence[Any]) -> dict[str, float]:
    pairs = list(zip(answers, others, strict=True))
    gaps = [
        abs(one["probabilities"][label] - other["probabilities"][label])
        for one, other in pairs
        for label in one["probabilities"]
    ]
    return {
        "answers": float(sum(json.dumps(one) != json.dumps(other) for one, other in pairs)),
        "labels": float(sum(one["label"] != other["label"] for one, other in pairs)),
        "probability": max(gaps), "texts": float(len(pairs)),
    }  # fmt: skip


# -- training --------------------------------------------------------------------------------------
class Watch:
    """Looks on while a model learns: keeps it, and every row of tokens that it learns from."""

    def __init__(self) -> None:
        self.model: Any = None
        self.rows: set[bytes] = set()

    def __call__(self, event: "Event") -> None:
        self.model = event.learner.modules["model"]
        self.rows |= {row.tobytes() for row in event.batch[0].numpy()}


def in_training(
    run: "Run", watch: Watch, learned: Sequence[str], texts: Sequence[str], answers: Sequence[Any]
) -> dict[str, float]:
    """The rows it learned from against those of the file; and the network that was trained, from memory."""
    from fathom.deployment.artifact import open_artifact
    from fathom.task import Boundary

    task = open_artifact(run.folder).task
    network = Boundary(task, watch.model.eval())
    made = decoded(run, texts)
    others = [
        answer
        for first in range(0, len(texts), TOGETHER)
        for answer in task.respond(network, made[first : first + TOGETHER])
    ]
    known = {arrays["tokens"].tobytes() for arrays in decoded(run, learned)}
    found = apart(answers, others)
    return found | {"tokens": float(len(watch.rows - known)), "texts": float(len(watch.rows & known))}


# -- doors -----------------------------------------------------------------------------------------
def written(file: Path, rows: Sequence[dict[str, str]]) -> Path:
    """JSON lines; letters as they are, not escaped."""
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return file


def command_line(notes: Path, *arguments: str) -> list[str]:
    """``fathom`` with these arguments, in a process that writes down what its preprocessing makes."""
    return [sys.executable, "-m", __name__, str(notes), *arguments]


def by_command(folder: Path, texts: Sequence[str]) -> tuple[list[Any], dict[str, str]]:
    """The answers of ``fathom predict``, and what was noted of each text."""
    notes = folder.parent / "command.jsonl"
    plain = len(texts) - len(ODD)
    file = written(folder.parent / "asked.jsonl", [{"text": text} for text in texts[:plain]])
    odd = [word for text in texts[plain:] for word in ("--json-item", json.dumps({"text": text}))]
    command = command_line(notes, "predict", str(folder), str(file), *odd)
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=alone())
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    return [without(answer, "input") for answer in answers], notes_of(notes)


def over_http(folder: Path, texts: Sequence[str], together: int) -> tuple[list[Any], dict[str, str]]:
    """The answers of ``fathom serve``, ``together`` texts a request, and what was noted of each."""
    notes = folder.parent / f"endpoint-{together}.jsonl"
    command = command_line(notes, "serve", str(folder), "--port", "0")
    found: list[Any] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=alone()) as server:
        try:
            assert server.stdout is not None
            address = server.stdout.readline().split()[-1].rstrip("/")  # "page     http://..."
            for first in range(0, len(texts), together):
                items = [{"text": text} for text in texts[first : first + together]]
                body = json.dumps({"items": items}).encode()
                kind = {"Content-Type": "application/json"}
                request = urllib.request.Request(f"{address}/predict", body, kind)
                with urllib.request.urlopen(request, timeout=60) as reply:
                    found += json.load(reply)["items"]
        finally:
            server.send_signal(signal.SIGINT)
    return [without(answer, "model") for answer in found], notes_of(notes)


def alone() -> dict[str, str]:
    """The environment of a process of one thread."""
    return os.environ | {"OMP_NUM_THREADS": "1"}


def without(answer: dict[str, Any], name: str) -> dict[str, Any]:
    """An answer less what a door adds to it."""
    return {key: value for key, value in answer.items() if key != name}


def notes_of(file: Path) -> dict[str, str]:
    lines = file.read_text(encoding="utf-8").splitlines()
    return {text: made for text, made in map(json.loads, lines)}


def noting(file: Path, arguments: list[str]) -> int:
    """The command line, and in ``file`` each text that its preprocessing read, with what came of it."""
    from fathom.cli.command import main
    from fathom.deployment import preprocessing

    apply = preprocessing.apply
    with file.open("a", encoding="utf-8") as notes:

        def noted_too(operations: Any, item: Any) -> Any:
            arrays = apply(operations, item)
            print(json.dumps([item["text"], noted(arrays)]), file=notes, flush=True)
            return arrays

        preprocessing.apply = noted_too
        return main(arguments)


if __name__ == "__main__":
    sys.exit(noting(Path(sys.argv[1]), sys.argv[2:]))
