"""Sequence to sequence: a text in, another text out, token by token; translation, for one.

The network at the boundary is given the source and what has been written so far, and scores each next
token. ``respond`` writes with it, by beam search: with one beam it takes the likeliest token, appends it, and
asks again; with more it goes on with that many texts at a time.
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
from fathom.deployment.preprocessing import tokens, words
from fathom.errors import InputError
from fathom.fundamentals.recurrence.beam_search import beam_search
from fathom.report.blocks import BarChart, Heatmap, Table
from fathom.report.page import Section
from fathom.task import Arrays, Evaluation, Network, Options, Port, Sighting, stack
from fathom.tasks.language_modelling import row_sums, scored
from fathom.training.objectives import IGNORE

if TYPE_CHECKING:
    from fathom.training.experiment import Experiment

SPECIAL = ("<padding>", "<start>", "<end>", "<unknown>")  # the first tokens of both vocabularies
PADDING, START, END, UNKNOWN = range(4)
UNITS = ("word", "character")
ALIGNED = 4  # rows whose alignments are drawn in the report
ROWS = 128  # rows that go through the network together


@dataclass(frozen=True, kw_only=True)
class SequenceToSequence:
    """Texts in tokens of two vocabularies; the lengths count tokens, with the one that ends a text.

    ``beams`` texts are written at a time, and of those that end the one of the greatest log probability over
    ((5 + length) / 6)^``length_penalty`` is the answer.
    """

    source_vocabulary: tuple[str, ...]
    target_vocabulary: tuple[str, ...]
    source_length: int
    target_length: int
    unit: str = "word"
    beams: int = 1
    length_penalty: float = 0.0

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
        if self.beams < 1:
            raise ValueError(f"beams is {self.beams}; it must be 1 or more")
        if not 0 <= self.length_penalty < float("inf"):
            raise ValueError(f"length_penalty is {self.length_penalty}; it must be 0 or more, and finite")

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
        cls,
        pairs: Sequence[tuple[str, str]],
        *,
        source_length: int,
        target_length: int,
        minimum: int = 1,
        unit: str = "word",
    ) -> "SequenceToSequence":
        """The task of these pairs; tokens that occur fewer than ``minimum`` times are unknown."""
        from collections import Counter

        cut = list if unit == "character" else words
        found = []
        for side in range(2):
            counts = Counter(token for pair in pairs for token in cut(pair[side]))
            found.append((*SPECIAL, *sorted(w for w, n in counts.items() if n >= minimum)))
        return cls(
            source_vocabulary=found[0], target_vocabulary=found[1], source_length=source_length,
            target_length=target_length, unit=unit,
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
        """The best text of each row that ``beams`` of them find; tokens without meaning are never written."""

        def score(written: Tensor, row: Tensor, parent: Tensor) -> Tensor:
            length = written.shape[1]
            previous = np.full((len(written), self.target_length), PADDING)
            previous[:, :length] = written.numpy()
            made = network({"source": source[row.numpy()], "previous": previous})
            logits = torch.from_numpy(made["logits"][:, length - 1]).double()
            logits[:, [PADDING, START, UNKNOWN]] = -torch.inf
            return logits.log_softmax(dim=-1)

        found = beam_search(
            score, start=START, end=END, beams=self.beams, longest=self.target_length, rows=len(source),
            alpha=self.length_penalty,
        )  # fmt: skip
        return [list(texts[0].tokens) for texts in found]

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

        Words of the target that are not in the vocabulary count as the one token that stands for them. And
        every row is written out freely: ``exact`` is the share of those that are as expected, token for
        token. Items are rows.
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
        source, previous, target = split.rows(torch.arange(len(split)))
        sizes = (target != IGNORE).sum(dim=1).numpy()
        found = scored({"loss": np.concatenate(loss), "accuracy": np.concatenate(right)}, sizes)
        answers = self.respond(network, [{"source": row} for row in source.numpy()])
        written = [answer["text"] for answer in answers]
        wanted = [self.shown(row, self.target_vocabulary) for row in target.tolist()]
        found.items["exact"] = np.array([a == b for a, b in zip(written, wanted, strict=True)], np.float64)
        found.metrics["exact"] = float(found.items["exact"].mean())
        found.detail.update(
            asked=[self.shown(row, self.source_vocabulary) for row in source.tolist()],
            wanted=wanted,
            written=written,
            lengths=(source != PADDING).sum(dim=1).numpy(),
            right=row_sums(np.concatenate(right), sizes) / sizes,
            alignments=self.alignments(network, source[:ALIGNED]),
        )
        return found

    def alignments(self, network: Network, source: Tensor) -> list[tuple[list[str], list[str], np.ndarray]]:
        """For each row the tokens written, those read, and how much each of these was looked at for each.

        Nothing where the network at hand shows no alignments: one without attention, or in ONNX.
        """
        model: Any = getattr(network, "model", None)
        if not hasattr(model, "alignments"):
            return []
        device = next(model.parameters()).device
        made = []
        for row, text in zip(source, self.write(network, source.numpy()), strict=True):
            read = row[: int((row != PADDING).sum())]
            previous = torch.tensor([START, *text][: self.target_length], device=device)
            with torch.inference_mode():
                looked = model.alignments(read[None].to(device), previous[None])
            if looked is None:
                return []
            names = [self.target_vocabulary[n] for n in [*text, END][: len(previous)]]
            made.append((names, [self.source_vocabulary[n] for n in read.tolist()], looked[0].cpu().numpy()))
        return made

    def shown(self, row: Sequence[int], vocabulary: Sequence[str]) -> str:
        """A row as a text, without what fills it up and what ends it."""
        return self.text([n for n in row if n not in (PADDING, IGNORE, END)], vocabulary)

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
        rows = list(zip(detail["asked"], detail["wanted"], detail["written"], strict=True))
        exact = sum(wanted == written for _, wanted, written in rows)
        caption = f"Of {len(rows)} rows, {exact} are written exactly as expected. The first of them:"
        shown = Table(("source", "expected", "written"), rows[:24], caption)
        lengths = sorted(set(detail["lengths"].tolist()))
        shares = [float(detail["right"][detail["lengths"] == n].mean()) for n in lengths]
        bars = BarChart([str(n) for n in lengths], shares, caption="Tokens guessed right, by tokens read.")
        sections = [Section("Written freely", [shown]), Section("By length", [bars])]
        if detail["alignments"]:
            sections.append(Section("Where it looks", [picture(*one) for one in detail["alignments"]]))
        return sections


def picture(written: list[str], read: list[str], looked: np.ndarray) -> Heatmap:
    """An alignment (written, read): a row for each token, and how it shares its look out."""
    return Heatmap(
        written, read, looked.round(2), "How much each token that was read counts for each that is written.",
        row_title="written", column_title="read",
    )  # fmt: skip


def chained(split: Any) -> tuple[np.ndarray, np.ndarray]:
    """All targets one after the other, an end before the first, and how many tokens each has."""
    target = split.rows(torch.arange(len(split)))[-1].numpy()
    kept = target != IGNORE
    return np.concatenate([[END], target[kept]]), kept.sum(axis=1)


TASK = SequenceToSequence
