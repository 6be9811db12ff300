"""Masked language modelling: a text with blanks in, what may stand there out.

A text is cut into word pieces. While learning, pieces are hidden at random (``data.masking``), anew each
time; what a model is scored on is hidden once and for all.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from fathom.data.masking import MaskTokens
from fathom.data.split import Data, InMemory, Tensors
from fathom.data.windows import Counts, read_text
from fathom.deployment import longer_texts
from fathom.deployment.word_pieces import word_pieces
from fathom.errors import InputError, RunError
from fathom.fundamentals.decoding.greedy_decoding import checked_logits
from fathom.fundamentals.tokenizers.word_piece import INSIDE, MARKS, train_word_pieces
from fathom.report.blocks import Table
from fathom.report.page import Section
from fathom.task import Arrays, Evaluation, Network, Options, Port, Sighting
from fathom.tasks.language_modelling import scored
from fathom.training.objectives import IGNORE
from fathom.training.randomness import uniform

if TYPE_CHECKING:
    from fathom.training.experiment import Experiment

BLANK = "___"
BEST = 5  # guesses that are told for each blank
ROWS = 128  # rows that go through the network together


@dataclass(frozen=True, kw_only=True)
class MaskedLanguageModelling:
    """Texts in the pieces of ``vocabulary``, BERT's marks among them; ``length`` pieces with their frame."""

    vocabulary: tuple[str, ...]
    length: int
    cased: bool = False

    def __post_init__(self) -> None:
        absent = [mark for mark in MARKS if mark not in self.vocabulary]
        if absent or len(set(self.vocabulary)) < len(self.vocabulary):
            raise ValueError(
                f"vocabulary has {len(self.vocabulary)} pieces, {len(set(self.vocabulary))} different, and"
                f" lacks {', '.join(absent) or 'no mark'}; it must hold {', '.join(MARKS)}, and each once"
            )
        if self.vocabulary[0] != MARKS[0]:
            raise ValueError(
                f"vocabulary begins with {self.vocabulary[0]!r}; it must begin with {MARKS[0]!r}"
            )
        if self.length < 3:
            raise ValueError(f"length is {self.length}; it must be 3 or more, for a frame and a piece")

    # -- its own data ---------------------------------------------------------------------------
    @staticmethod
    def recognise(path: Path, options: Options) -> Sighting | None:
        """Nothing: a plain text is learned to be written first of all, which is another task."""
        return None

    @classmethod
    def read(cls, path: Path, options: Options) -> tuple["MaskedLanguageModelling", Data]:
        """Refuses: texts are given in Python."""
        raise InputError(
            f"{path}: what fathom fit learns of a text is to go on writing it; to guess what is hidden in it,"
            " give it in Python to this task's fitted() and data(), or run: fathom train bert_captions"
        )

    def read_labelled(self, path: Path, options: Options) -> Data:
        """The lines of a text file, or of those of a folder, each with pieces hidden."""
        text, facts = read_text(path, options.skip_bad)
        lines = [line for line in text.splitlines() if line.strip()]
        if not lines:
            raise InputError(f"{path} holds no line with a word in it; give a text, line by line")
        split = self.hidden(self.encode(lines), options.seed)
        return Data(train=split, test=split, facts={**facts, "test": len(split)})

    @classmethod
    def fitted(cls, texts: Sequence[str], size: int, length: int) -> "MaskedLanguageModelling":
        """The task in ``size`` word pieces, learned of ``texts``, which are training texts."""
        return cls(vocabulary=train_word_pieces(texts, size).vocabulary, length=length)

    def data(self, texts: Mapping[str, Sequence[str]], facts: Mapping[str, Any]) -> Data:
        """Splits of the texts under "train", "valid" and "test"; training rows want ``masks`` to hide."""
        made = {name: self.encode(part) for name, part in texts.items()}
        held_out = {name: self.hidden(made[name], 0) for name in ("valid", "test") if name in made}
        counts = {name: len(rows) for name, rows in made.items()}
        train = Tensors((made["train"], made["train"]))
        return Data(train, held_out.get("valid"), held_out.get("test"), {**facts, **counts})

    def encode(self, texts: Iterable[str]) -> Tensor:
        """int64 (n, length)."""
        settings = self.preprocessing()[0] | {"blanks": False}
        rows = [word_pieces(text, settings) for text in texts]
        return torch.from_numpy(np.stack(rows) if rows else np.zeros((0, self.length), np.int64))

    @property
    def masks(self) -> MaskTokens:
        """What hides pieces of training rows."""
        numbers = {piece: i for i, piece in enumerate(self.vocabulary)}
        special = tuple(numbers[mark] for mark in MARKS if mark != "[UNK]")
        return MaskTokens(
            mask=numbers["[MASK]"], vocabulary=len(self.vocabulary), length=self.length, special=special
        )

    def hidden(self, token: Tensor, seed: int) -> Tensors:
        """Rows (what is seen, what is to be guessed), by dice of ``seed`` and the number of the row."""
        numbers = uniform(seed, -1, torch.arange(len(token)), self.masks.draws)  # an epoch that no run has
        return Tensors(self.masks((token, token), numbers))

    def experiment(self, data: Data, seed: int) -> "Experiment":
        """A small BERT, as long as suits the number of texts."""
        from fathom.architectures.transformers.bert import Config
        from fathom.training import AdamW, Experiment, GradientDescent, NextToken, WarmupCosine

        batch = max(8, min(64, len(data.train) // 16))
        return Experiment(
            model=Config(
                vocabulary=len(self.vocabulary), context=self.length, width=128, layers=3, heads=4, hidden=512
            ),
            data=InMemory(data),
            task=self,
            learning=GradientDescent(
                objective=NextToken(),
                optimizer=AdamW(learning_rate=1e-3, weight_decay=0.01),
                schedule=WarmupCosine(warmup=0.1),
                clip_norm=1.0,
            ),
            augment=(self.masks,),
            batch_size=batch,
            steps=max(300, 10 * len(data.train) // batch),
            seed=seed,
        )

    # -- the network's boundary -------------------------------------------------------------------
    def inputs(self) -> tuple[Port, ...]:
        return (Port("token", "int64", ("batch", self.length)),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("logits", "float32", ("batch", self.length, len(self.vocabulary))),)

    def preprocessing(self) -> list[dict[str, Any]]:
        made = {
            "operation": "word_pieces", "input": "token", "field": "text", "length": self.length,
            "vocabulary": list(self.vocabulary), "cased": self.cased, "blanks": True, "longest": 10_000,
        }  # fmt: skip
        return [made, longer_texts.beyond(made, frame=2)]

    def prepare(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return inputs

    def finish(self, output: Tensor) -> tuple[Tensor, ...]:
        return (output.float(),)

    # -- answers -------------------------------------------------------------------------------------
    def respond(self, network: Network, items: Sequence[Arrays]) -> list[dict[str, Any]]:
        """The ``text`` with its blanks filled, and for each of them, in order, the likeliest pieces.

        ``cut`` says of a text that was too long how much was read; blanks beyond that are not filled.
        Raises ``RunError`` where the network gives no numbers for a blank.
        """
        token = np.stack([item["token"] for item in items])
        logits = np.concatenate(
            [network({"token": token[k : k + ROWS]})["logits"] for k in range(0, len(token), ROWS)]
        )
        answers = []
        for item, row, scores in zip(items, token.copy(), logits, strict=True):
            places = np.flatnonzero(row == self.masks.mask)
            try:
                seen = checked_logits(torch.from_numpy(scores[places]))
            except ValueError as error:
                raise RunError(f"{self.text(row.tolist())[:60]!r}: {error}") from error
            blanks = [self.likeliest(one) for one in seen]
            row[places] = [best[0][0] for best in blanks]
            told = [[{"token": self.vocabulary[n], "probability": p} for n, p in best] for best in blanks]
            cut = longer_texts.cut(item, self.length, "piece", frame=2)
            answers.append({"text": self.text(row.tolist()), "blanks": told, **cut})
        return answers

    def likeliest(self, logits: Tensor) -> list[tuple[int, float]]:
        """The best pieces for one blank, by number, and the probability of each."""
        shares = logits.double().softmax(dim=0)
        best = shares.topk(min(BEST, len(shares)))
        return list(zip(best.indices.tolist(), best.values.tolist(), strict=True))

    def text(self, row: Iterable[int], blank: str = BLANK) -> str:
        """The words of a row, without its frame; a mask shows as a blank."""
        shown = []
        for n in row:
            piece = self.vocabulary[n]
            if piece not in ("[PAD]", "[CLS]", "[SEP]"):
                shown.append({"[MASK]": blank, "[UNK]": "[?]"}.get(piece, piece))
        return " ".join(shown).replace(f" {INSIDE}", "")

    def examples(self) -> list[Any]:
        known = [p for p in self.vocabulary if p not in MARKS and not p.startswith(INSIDE)]
        some = " ".join(known[:4])
        return [{"text": t} for t in (f"{some} {BLANK}", f"{BLANK} {some} {BLANK}", "", some * self.length)]

    def page(self) -> str:
        return '<text-input field="text"></text-input><text-output field="text"></text-output>'

    # -- how good ------------------------------------------------------------------------------------
    def evaluate(self, network: Network, split: Any) -> Evaluation:
        """``loss``, nats a hidden piece, and ``accuracy``, the share that is guessed. Items are rows."""
        loss: list[np.ndarray] = []
        guess: list[np.ndarray] = []
        for index in torch.arange(len(split)).split(ROWS):
            token, target = (column.numpy() for column in split.rows(index))
            logits = network({"token": token})["logits"][target != IGNORE]
            scores = torch.from_numpy(logits).double().log_softmax(dim=1).numpy()
            wanted = target[target != IGNORE]
            loss.append(-scores[np.arange(len(wanted)), wanted])
            guess.append(logits.argmax(axis=1))
        token, target = (column.numpy() for column in split.rows(torch.arange(len(split))))
        guessed, wanted = np.concatenate(guess), target[target != IGNORE]
        found = counted(np.concatenate(loss), target, right=(guessed == wanted).astype(np.float64))
        found.detail.update(token=token, target=target, guess=guessed)
        return found

    def baselines(self, data: Data) -> dict[str, Evaluation]:
        """Pieces counted alone, and after the one and the two before them, which are shown as they were."""
        if data.valid is None:
            return {}
        known, unseen = whole_rows(data.train), whole_rows(data.valid)
        target = data.valid.rows(torch.arange(len(data.valid)))[1].numpy()
        line, places = unseen[unseen > 0], target[unseen > 0] != IGNORE  # without padding, which is number 0
        made: dict[str, Evaluation] = {}
        for order, name in enumerate(("unigram", "bigram", "trigram")):
            likely = Counts(known[known > 0], len(self.vocabulary), order).probability(line)
            made[f"{name} counts"] = counted(-np.log(likely[places[1:]]), target)
        return made

    def sections(self, evaluation: Evaluation, split: Any) -> list[Section]:
        loss, detail = evaluation.metrics["loss"], evaluation.detail
        rows = [
            ("this model", loss, math.exp(loss)),
            ("every piece equally likely", math.log(len(self.vocabulary)), len(self.vocabulary)),
        ]
        count = int((detail["target"] != IGNORE).sum())
        columns = ("", "nats a piece", "perplexity: as unsure as between so many")
        hidden = Table(columns, rows, f"Over {count:,} hidden pieces of unseen texts.")
        shown, first = [], 0
        for seen, wanted in list(zip(detail["token"], detail["target"], strict=True))[:24]:
            places = np.flatnonzero(wanted != IGNORE)
            guess = detail["guess"][first : first + len(places)]
            first += len(places)
            asked = seen.copy()
            asked[places] = self.masks.mask
            true, said = (", ".join(self.vocabulary[n] for n in ns) for ns in (wanted[places], guess))
            shown.append((self.text(asked.tolist()), true, said))
        return [
            Section("Perplexity", [hidden]),
            Section("Blanks", [Table(("text", "hidden", "guessed"), shown, "The first rows.")]),
        ]


def counted(loss: np.ndarray, target: np.ndarray, right: np.ndarray | None = None) -> Evaluation:
    """Metrics of one value a hidden piece; items are the rows of ``target`` that hide one."""
    sizes = (target != IGNORE).sum(axis=1)
    if not sizes.sum():
        raise InputError("no piece of these texts is hidden; give longer texts, or more of them")
    columns = {"loss": loss} | ({"accuracy": right} if right is not None else {})
    return scored(columns, sizes[sizes > 0])


def whole_rows(split: Any) -> np.ndarray:
    """Rows (n, length) as they were before anything was hidden."""
    token, target = split.rows(torch.arange(len(split)))
    return torch.where(target != IGNORE, target, token).numpy()


TASK = MaskedLanguageModelling
