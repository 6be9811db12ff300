"""Encoders of texts for ``fit --from``: where they are, and how much of one may move.

A system that says in ``START`` for which kind of task it can be begun from is found by that literal. It is
named like a published size ("minilm", "minilm:ALL_V2"), or a folder of transformers brings it, with its own
tokenizer; the system's ``start`` reads either.

An encoder is large and sentences are many, so what may move depends on time as well as on rows. As it is, it
reads every text once, and the linear head learns in no time. When its last blocks move too, every step goes
through them forwards and backwards; below them texts are read once still (``frozen`` of the model). So the
blocks move where there are ``FEW`` rows a class and where the time that was given, if any, is enough to read
everything and to go over it ``EPOCHS`` times. How long that takes is reckoned from the number of pieces and
of parameters at ``SPEED``, not measured: a run that is resumed must choose again as it chose.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from fathom import catalog
from fathom.catalog import Entry
from fathom.errors import InputError
from fathom.training import AdamW, Unfreezing

if TYPE_CHECKING:
    from fathom.data.split import Data
    from fathom.training.experiment import Experiment
    from fathom.verbs.transfer import Source

LAST = 3  # blocks that move
EPOCHS = 2  # in which they do
SPEED = 4e10  # floating-point operations a second: a core of a processor
SCORED = 0.25  # of the texts for training, those for validation and testing
HEAD, RATE, FALL = 3e-3, 1e-3, 0.4  # rates: of a head that is alone; of one that is not; from part to part
GREETING = 0.1  # share of the run that the head has for itself


@cache
def starts() -> dict[str, Entry]:
    """Systems that runs can begin from, by name, read from their source; nothing is imported."""
    entries = catalog.systems()
    return {name: e for name, e in entries.items() if "\nSTART = " in e.path.read_text(encoding="utf-8")}


def named(given: str) -> "Source":
    """``minilm``, or with a name of weights ``minilm:ALL_V2``; the last of them otherwise."""
    system, _, weights = given.partition(":")
    weights = weights or list(starts()[system].load().WEIGHTS[system])[-1]
    return begun(f"{system}, {weights}", system, weights)


def in_folder(folder: Path) -> "Source":
    """An encoder as transformers saves it: config.json, safetensors and a tokenizer."""
    from fathom.training.model_folder import CONFIG, folder_state, read_json
    from fathom.verbs.unreadable import refuse_numbers

    kind = read_json(folder / CONFIG).get("model_type")
    kinds = {k: name for name, entry in starts().items() for k in entry.load().KINDS}
    if kind not in kinds:
        raise InputError(
            f"{folder / CONFIG}: model_type is {kind!r}; to begin from, there is"
            f" {' or '.join(map(repr, kinds))}"
        )
    refuse_numbers(str(folder), folder_state(folder))
    return begun(f"{kinds[kind]}, {folder}", kinds[kind], folder)


def begun(told: str, system: str, given: "str | Path") -> "Source":
    from fathom.verbs.transfer import Source

    module = starts()[system].load()
    model, fixed = module.start(given)
    return Source(
        told=told, system=system, config=model.cfg, task=module.START, fixed=fixed, state=model.state_dict()
    )  # fmt: skip


def way(
    model: nn.Module,
    heads: tuple[str, ...],
    experiment: "Experiment",
    data: "Data",
    rows: int,
    seconds: float | None,
    say: Callable[[str], None],
    beside: type | None = None,
) -> tuple[int, dict[str, Any], int]:
    """(blocks that stay as they are, how to learn, steps), chosen for ``rows`` of the rarest class and said.

    ``model`` is an encoder without memory, ``heads`` its parts that begin anew, ``seconds`` the time for the
    whole run, or None. The adaptation ``beside`` has a place in the last blocks alone, however few rows there
    are: it is for these.
    """
    from fathom.verbs.transfer import FEW

    blocks = [*model.body][1:]  # type: ignore[misc]
    last = min(LAST, len(blocks))
    steps = max(100, EPOCHS * len(data.train) // experiment.batch_size)
    if beside:
        return len(blocks) - last, beside_blocks(beside, last, len(blocks), heads, say), steps
    needed = reckoned(blocks, last, pieces(data))
    whole = rows < FEW or (seconds is not None and seconds < needed)
    frozen = len(blocks) if whole else len(blocks) - last
    if whole:
        why = f"to move its last {last} blocks would take a core some {needed / 60:.0f} minutes"
        why = why if rows >= FEW else f"{rows:,} rows a class are too few to move it"
        say(f"freezing: the encoder, which reads each text once; the head alone learns, since {why}")
        say(f"rates: {HEAD} in the head")
        how = {"optimizer": AdamW(learning_rate=HEAD), "unfreezing": Unfreezing()}
        return frozen, how, experiment.steps
    first = f"the head alone for the first {GREETING:.0%}, then " if heads else ""
    say(
        f"freezing: {first}the last {last} of {len(blocks)} blocks too, {EPOCHS} times over all texts, for"
        f" {rows:,} rows a class are enough; below them each text is read once"
    )
    say(f"rates: {RATE} in the head, times {FALL} from each block to the one below it")
    stages = ((0.0, heads), (GREETING, ("body",))) if heads else ()
    how = {
        "optimizer": AdamW(learning_rate=RATE, layer_decay=FALL),
        "unfreezing": Unfreezing(stages=stages),
    }
    return frozen, how, steps


def beside_blocks(
    kind: type, last: int, count: int, heads: tuple[str, ...], say: Callable[[str], None]
) -> dict[str, Any]:
    """How to learn with the adaptation ``kind`` in the ``last`` of ``count`` blocks, said aloud."""
    from fathom.verbs import adapting

    say(
        f"{kind.__name__}: beside the last {last} of {count} blocks, below which each text is read once;"
        " --set frozen=none for all of them"
    )
    return adapting.way(kind, heads, RATE, say)


def pieces(data: "Data") -> int:
    """Pieces of all texts to learn from, padding (0) left out."""
    count = len(data.train)
    batches = (data.train.rows(torch.arange(i, min(i + 4096, count))) for i in range(0, count, 4096))
    return sum(int((token != 0).sum()) for token, *_ in batches)


def reckoned(blocks: list[Any], last: int, read: int) -> float:
    """Seconds to read ``read`` pieces and to go over them with the ``last`` blocks moving, and to score.

    A parameter costs two operations a piece forwards, and six with the way back.
    """
    sizes = [sum(p.numel() for p in block.parameters()) for block in blocks]
    still, moving = sum(sizes[: len(sizes) - last]), sum(sizes[len(sizes) - last :])
    passes = 2 * still + 6 * EPOCHS * moving + 2 * 2 * SCORED * sum(sizes)
    return read * passes / SPEED
