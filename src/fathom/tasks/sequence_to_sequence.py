"""Sequence to sequence: a text in, another text out, token by token; translation, for one.

The network at the boundary is given the source and what has been written so far, and scores each next
token. ``respond`` writes with it: it takes the likeliest token, appends it, and asks again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from fathom.data.split import Data, InMemory, Tensors
from fathom.data.windows import Counts
from fathom.deployment.preprocessing import tokens
from fathom.errors import InputError
from fathom.report.blocks import BarChart, Table
from fathom.report.page import Section
from fathom.task import Arrays, Evaluation, Network, Options, Port, Sighting, stack
from fathom.tasks.language_modelling import row_sums, scored
from fathom.training.objectives import IGNORE

if TYPE_CHECKING:
    from fathom.training.experiment import Experiment

SPECIAL = ("<padding>", "<start>", "<end>", "<unknown>")  # the first tokens of both vocabularies
PADDING, START, END, UNKNOWN = range(4)
UNITS = ("word", "character")
SHOWN = 200  # rows whose answers are written out for the report
ROWS = 128  # rows that go through the network together


@dataclass(frozen=True, kw_only=True)
class SequenceToSequence:
    """Texts in tokens of two vocabularies; the lengths count tokens, with the one that ends a text."""

    source_vocabulary: tuple[str, ...]
    target_vocabulary: tuple[str, ...]
    source_length: int
    target_length: int
    unit: str = "word"

    def __post_init__(self) -> None:
        for name in ("source_vocabulary", "target_vocabulary"):
            listed = getattr(self, name)
            if listed[: len(SPECIAL)] != SPECIAL or len(listed) == len(SPECIAL):
                raise ValueError(f"{name} begins {listed[:5]}; it must begin {SPECIAL} and hold more tokens")
            if len(set(listed)) < len(listed):
                raise ValueError(
                    f"{name} has {len(listed) - len(set(listed))} tokens twice; each must be once"
                )
        for name in ("source_length", "target_length"):
            if getattr(self, name) < 2:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 2 or more")
        if self.unit not in UNITS:
            raise ValueError(f"unit is {self.unit!r}; it must be 'word' or 'character'")

    # -- its own data ---------------------------------------------------------------------------
    @staticmethod
    def recognise(path: Path, options: Options) -> Sighting | None:
        """Nothing: no layout of files says which text belongs to which."""
        return None

    @classmethod
    def read(cls, path: Path, options: Options) -> tuple["SequenceToSequence", Data]:
        """Refuses: pairs of texts are given in Python."""
        raise InputError(
            f"{path}: pairs of texts are not read from files; give them in Python, to"
            " SequenceToSequence.fitted and split, or run: fathom train seq2seq"
        )

    def read_labelled(self, path: Path, options: Options) -> Data:
        """Refuses: pairs of texts are given in Python."""
        raise InputError(
            f"{path}: pairs of texts are not read from files; give them in Python, to split() of this task"
        )

    @classmethod
    def fitted(
        cls, pairs: Sequence[tuple[str, str]], *, source_length: int, target_length: int, minimum: int = 1
    ) -> "SequenceToSequence":
        """The task of translating words; those that occur fewer than ``minimum`` times are unknown."""
        from collections import Counter

        from fathom.deployment.preprocessing import words

        found = []
        for side in range(2):
            counts = Counter(word for pair in pairs for word in words(pair[side]))
            found.append((*SPECIAL, *sorted(w for w, n in counts.items() if n >= minimum)))
        return cls(
            source_vocabulary=found[0], target_vocabulary=found[1], source_length=source_length,
            target_length=target_length,
        )  # fmt: skip

    def split(self, pairs: Sequence[tuple[str, str]]) -> Tensors:
        """Rows (source, previous tokens of the target, target), int64; pairs must fit the lengths.

        Raises ``InputError`` for a text that is too long.
        """
        target = {
            "unit": self.unit, "vocabulary": list(self.target_vocabulary), "unknown": UNKNOWN, "after": [END]
        }  # fmt: skip
        source = {**self.preprocessing()[0], "length": None}
        columns = (
            np.full((len(pairs), self.source_length), PADDING),
            np.full((len(pairs), self.target_length), PADDING),
            np.full((len(pairs), self.target_length), IGNORE),
        )
        for row, (asked, wanted) in enumerate(pairs):
            x, y = tokens(asked, source), tokens(wanted, target)
            for text, made, length in ((asked, x, self.source_length), (wanted, y, self.target_length)):
                if len(made) > length:
                    raise InputError(
                        f"{text[:60]!r} has {len(made) - 1} tokens; at most {length - 1} fit: leave such"
                        " pairs out, or give the task greater lengths"
                    )
            columns[0][row, : len(x)] = x
            columns[1][row, : len(y)] = [START, *y[:-1]]
            columns[2][row, : len(y)] = y
        return Tensors(tuple(torch.from_numpy(column) for column in columns))

    def experiment(self, data: Data, seed: int) -> "Experiment":
        """The recipe's settings, with a length that suits the number of pairs."""
        from fathom.architectures.recurrent.seq2seq import Config
        from fathom.training import AdamW, Experiment, GradientDescent, NextToken, OneCycle

        batch = max(8, min(64, len(data.train) // 16))
        return Experiment(
            model=Config(
                source_vocabulary=len(self.source_vocabulary), target_vocabulary=len(self.target_vocabulary)
            ),
            data=InMemory(data),
            task=self,
            learning=GradientDescent(
                objective=NextToken(), optimizer=AdamW(learning_rate=2e-3), schedule=OneCycle(), clip_norm=1.0
            ),
            batch_size=batch,
            steps=max(300, 12 * len(data.train) // batch),
            seed=seed,
        )

    # -- the network's boundary -------------------------------------------------------------------
    def inputs(self) -> tuple[Port, ...]:
        return (
            Port("source", "int64", ("batch", self.source_length)),
            Port("previous", "int64", ("batch", self.target_length)),
        )

    def outputs(self) -> tuple[Port, ...]:
        return (Port("logits", "float32", ("batch", self.target_length, len(self.target_vocabulary))),)

    def preprocessing(self) -> list[dict[str, Any]]:
        """The source; what was written so far is no part of a request."""
        return [
            {
                "operation": "tokens", "input": "source", "unit": self.unit, "longest": 10_000,
                "vocabulary": list(self.source_vocabulary), "unknown": UNKNOWN, "after": [END],
                "length": self.source_length, "padding": PADDING,
            }
        ]  # fmt: skip

    def prepare(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return inputs

    def finish(self, output: Tensor) -> tuple[Tensor, ...]:
        return (output.float(),)

    def collate(self, items: Sequence[Arrays]) -> Arrays:
        """The sources, and something that may have been written of each: the network's inputs."""
        source = stack(items)["source"]
        row, place = np.indices((len(items), self.target_length))
        free = len(self.target_vocabulary) - len(SPECIAL)
        previous = np.where(place, len(SPECIAL) + (row + 7 * place) % free, START)
        return {"source": source, "previous": previous.astype(np.int64)}

    # -- answers -------------------------------------------------------------------------------------
    def respond(self, network: Network, items: Sequence[Arrays]) -> list[dict[str, Any]]:
        """For each source its ``text`` and number of ``tokens``, and what was not read of the source.

        ``unknown`` counts its tokens that are not in the vocabulary; ``cut`` says that it was too long
        and that its end was left out.
        """
        source = stack(items)["source"]
        written = [
            row for k in range(0, len(source), ROWS) for row in self.write(network, source[k : k + ROWS])
        ]
        return [
            {
                "text": self.text(row, self.target_vocabulary),
                "tokens": len(row),
                "unknown": int((given == UNKNOWN).sum()),
                "cut": int(given[-1]) not in (PADDING, END),
            }
            for row, given in zip(written, source, strict=True)
        ]

    def write(self, network: Network, source: np.ndarray) -> list[list[int]]:
        """The likeliest token after the likeliest token, until each text ends or its length is reached."""
        previous = np.full((len(source), self.target_length), PADDING)
        previous[:, 0] = START
        written: list[list[int]] = [[] for _ in source]
        writing = list(range(len(source)))
        for place in range(self.target_length):
            made = network({"source": source[writing], "previous": previous[writing]})
            logits = made["logits"][:, place].copy()
            logits[:, [PADDING, START, UNKNOWN]] = -np.inf
            chosen = logits.argmax(axis=1)
            for i, token in zip(writing, chosen.tolist(), strict=True):
                if token != END:
                    written[i].append(token)
                    previous[i, min(place + 1, self.target_length - 1)] = token
            writing = [i for i, token in zip(writing, chosen.tolist(), strict=True) if token != END]
            if not writing:
                break
        return written

    def text(self, numbers: Sequence[int], vocabulary: Sequence[str]) -> str:
        """Tokens as a text: words with spaces between, or characters."""
        return (" " if self.unit == "word" else "").join(vocabulary[n] for n in numbers)

    def examples(self) -> list[Any]:
        known = self.source_vocabulary[len(SPECIAL) :]
        texts = [known[0], known[-1], known[0] + (" " if self.unit == "word" else "") + known[-1], ""]
        return [*texts, self.text(range(4, 5), self.source_vocabulary) * 3]

    def page(self) -> str:
        return '<text-input></text-input><text-output field="text"></text-output>'

    # -- how good ------------------------------------------------------------------------------------
    def evaluate(self, network: Network, split: Any) -> Evaluation:
        """``loss``, nats a token given the true ones before it, and ``accuracy``, the share guessed right.

        Words of the target that are not in the vocabulary count as the one token that stands for them.
        Items are rows. The first rows are also written out freely, for the report.
        """
        loss: list[np.ndarray] = []
        right: list[np.ndarray] = []
        for first in range(0, len(split), ROWS):
            index = torch.arange(first, min(first + ROWS, len(split)))
            source, previous, target = (column.numpy() for column in split.rows(index))
            logits = network({"source": source, "previous": previous})["logits"][target != IGNORE]
            wanted = target[target != IGNORE]
            top = logits.max(axis=1, keepdims=True).astype(np.float64)
            total = np.log(np.exp(logits - top).sum(axis=1)) + top[:, 0]
            loss.append(total - logits[np.arange(len(wanted)), wanted])
            right.append((logits.argmax(axis=1) == wanted).astype(np.float64))
        source, _, target = split.rows(torch.arange(len(split)))
        sizes = (target != IGNORE).sum(dim=1).numpy()
        found = scored({"loss": np.concatenate(loss), "accuracy": np.concatenate(right)}, sizes)
        answers = self.respond(network, [{"source": row} for row in source[:SHOWN].numpy()])
        found.detail.update(
            source=source[:SHOWN],
            target=target[:SHOWN],
            written=[answer["text"] for answer in answers],
            lengths=(source != PADDING).sum(dim=1).numpy(),
            right=row_sums(np.concatenate(right), sizes) / sizes,
        )
        return found

    def baselines(self, data: Data) -> dict[str, Evaluation]:
        """Tokens of the target counted alone, and after the one before, without a look at the source."""
        if data.valid is None:
            return {}
        (known, _), (unseen, sizes) = chained(data.train), chained(data.valid)
        made: dict[str, Evaluation] = {}
        for order, name in enumerate(("unigram", "bigram")):
            likely = Counts(known, len(self.target_vocabulary), order).probability(unseen)
            made[f"{name} counts of the target"] = scored({"loss": -np.log(likely)}, sizes)
        return made

    def sections(self, evaluation: Evaluation, split: Any) -> list[Section]:
        detail = evaluation.detail
        rows = []
        for source, target, written in zip(
            detail["source"].tolist(), detail["target"].tolist(), detail["written"], strict=True
        ):
            asked = self.text([n for n in source if n not in (PADDING, END)], self.source_vocabulary)
            wanted = self.text([n for n in target if n not in (IGNORE, END)], self.target_vocabulary)
            rows.append((asked, wanted, written))
        exact = sum(wanted == written for _, wanted, written in rows)
        caption = f"Of the first {len(rows)} rows, {exact} are written exactly as expected."
        shown = Table(("source", "expected", "written"), rows[:24], caption)
        lengths = sorted(set(detail["lengths"].tolist()))
        shares = [float(detail["right"][detail["lengths"] == n].mean()) for n in lengths]
        bars = BarChart([str(n) for n in lengths], shares, caption="Tokens guessed right, by tokens read.")
        return [Section("Written freely", [shown]), Section("By length", [bars])]


def chained(split: Any) -> tuple[np.ndarray, np.ndarray]:
    """All targets one after the other, an end before the first, and how many tokens each has."""
    target = split.rows(torch.arange(len(split)))[-1].numpy()
    kept = target != IGNORE
    return np.concatenate([[END], target[kept]]), kept.sum(axis=1)


TASK = SequenceToSequence
