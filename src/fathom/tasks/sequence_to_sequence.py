"""Sequence to sequence: a text in, another text out, token by token; translation, for one.

The network at the boundary is given the source and what has been written so far, and scores each next
token. ``respond`` writes with it, by beam search: with one beam it takes the likeliest token, appends it, and
asks again; with more it goes on with that many texts at a time.

Words are known in lower case, cut from the signs around them, and rare ones not at all. What is written is
given back as a text, with the capitals and spaces that each word usually has among the training texts, and
``bleu`` and ``chrf`` hold that text against the sentence as a person wrote it: nothing is lower-cased or cut
for the score but by the score's own rules, and a word that the vocabulary lacks is one that was not found.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from fathom.data import pairs as tables
from fathom.data.split import Data, InMemory
from fathom.data.windows import Counts
from fathom.deployment.preprocessing import tokens, words
from fathom.deployment.spelling import learn_spelling, spell
from fathom.errors import InputError, RunError
from fathom.fundamentals.decoding.greedy_decoding import checked_logits
from fathom.fundamentals.recurrence.beam_search import beam_search
from fathom.fundamentals.text_scores import bleu, chrf
from fathom.report.next_tokens import chained, guesses
from fathom.task import Arrays, Evaluation, Network, Options, Port, Sighting, stack
from fathom.tasks.language_modelling import row_sums, scored
from fathom.training.objectives import IGNORE

if TYPE_CHECKING:
    from fathom.report.page import Section
    from fathom.training.experiment import Experiment

SPECIAL = ("<padding>", "<start>", "<end>", "<unknown>")  # the first tokens of both vocabularies
PADDING, START, END, UNKNOWN = range(4)
CUTS = {"word": words, "character": list}  # what a text is cut into, by unit
LONGEST = 10_000  # characters of a text
ALIGNED = 4  # rows whose alignments are drawn in the report
ROWS = 128  # rows that go through the network together
RAREST = {"word": 2, "character": 1}  # of a table: what stands less often in training texts is unknown
LARGEST = 10_000  # tokens of a vocabulary that is made of a table
SCORED = {"bleu": bleu.SIGNATURE, "chrf": chrf.SIGNATURE}  # how: what a record says of these numbers


@dataclass(frozen=True, kw_only=True)
class SequenceToSequence:
    """Texts in tokens of two vocabularies; the lengths count tokens, with the one that ends a text.

    ``beams`` texts are written at a time, and of those that end the one of the greatest log probability over
    ((5 + length) / 6)^``length_penalty`` is the answer. ``spelling`` says of each token of the target how it
    is written, ``capitals`` whether texts begin with one (``deployment.spelling``); without it words stay in
    lower case, with spaces between. ``source`` and ``target`` are the columns of a table of such pairs.
    """

    source_vocabulary: tuple[str, ...]
    target_vocabulary: tuple[str, ...]
    source_length: int
    target_length: int
    unit: str = "word"
    beams: int = 1
    length_penalty: float = 0.0
    spelling: tuple[str, ...] = ()
    capitals: bool = False
    source: str = "source"
    target: str = "target"

    def __post_init__(self) -> None:
        for name in ("source_vocabulary", "target_vocabulary"):
            listed = getattr(self, name)
            if listed[: len(SPECIAL)] != SPECIAL or len(listed) == len(SPECIAL):
                raise ValueError(f"{name} begins {listed[:5]}; it must begin {SPECIAL} and hold more tokens")
            if len(set(listed)) < len(listed):
                raise ValueError(f"{name} has {len(listed) - len(set(listed))} tokens twice; it must not")
        for name in ("source_length", "target_length"):
            if getattr(self, name) < 2:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 2 or more")
        if self.unit not in CUTS:
            raise ValueError(f"unit is {self.unit!r}; it must be 'word' or 'character'")
        if self.beams < 1:
            raise ValueError(f"beams is {self.beams}; it must be 1 or more")
        if not 0 <= self.length_penalty < float("inf"):
            raise ValueError(f"length_penalty is {self.length_penalty}; it must be 0 or more, and finite")
        forms, size = len(self.spelling), len(self.target_vocabulary)
        if forms not in (0, size):
            raise ValueError(f"spelling has {forms} forms; it must have one for each of {size} tokens, or 0")

    # -- its own data ---------------------------------------------------------------------------
    @staticmethod
    def recognise(path: Path, options: Options) -> Sighting | None:
        """A table whose two columns are named, where the target can be no label."""
        return tables.sight(path, options)

    @classmethod
    def read(cls, path: Path, options: Options) -> tuple["SequenceToSequence", Data]:
        """Pairs in two columns of a table; characters where most targets are one word, else words."""
        found = tables.read(path, options)
        known = found.part("train")
        if options.fixed:
            task = cls(**{**options.fixed, **found.names})
        else:
            unit = tables.unit_of(known)
            sizes = tables.lengths(known, CUTS[unit], unit)
            task = cls.fitted(
                known, source_length=sizes[0], target_length=sizes[1], minimum=RAREST[unit], unit=unit,
                largest=LARGEST, **found.names,
            )  # fmt: skip
        splits, facts = task.parted(found)
        return task, Data(splits["train"], splits["valid"], splits.get("test"), facts)

    def read_labelled(self, path: Path, options: Options) -> Data:
        """Pairs to be scored on, in the columns of the training table or those of ``options``."""
        splits, facts = self.parted(tables.read_like(path, options, self.source, self.target))
        return Data(train=splits["test"], test=splits["test"], facts=facts)

    def parted(self, found: tables.Given) -> tuple[dict[str, tables.Pairs], dict[str, Any]]:
        """The splits of a table without pairs that are too long, and facts: how many these are, for one."""
        kept = {name: self.fitting(found.part(name)) for name in found.split}
        most = f"at most {self.source_length - 1} {self.unit}s are read and {self.target_length - 1} written"
        for name, pairs in kept.items():
            if not pairs:
                raise InputError(f"{found.sheet.path}: no pair of the split {name!r} is short enough; {most}")
        left = len(found.texts) - sum(map(len, kept.values()))
        facts = {
            **found.sheet.facts, "columns": [found.source, found.target], "unit": self.unit,
            "scored": self.scored_by(),
            "said": [f"{left} pairs are left out, since they are longer: {most}"] if left else [],
            **{name: len(pairs) for name, pairs in kept.items()},
        }  # fmt: skip
        return {name: self.split(pairs) for name, pairs in kept.items()}, facts

    @classmethod
    def fitted(
        cls,
        pairs: Sequence[tuple[str, str]],
        *,
        source_length: int,
        target_length: int,
        minimum: int = 1,
        unit: str = "word",
        largest: int | None = None,
        **columns: Any,
    ) -> "SequenceToSequence":
        """The task of these pairs, which are training pairs, and how words of their targets are written.

        Tokens that occur fewer than ``minimum`` times, or are not among the ``largest`` most frequent ones,
        are unknown. Raises ``InputError`` where no token is left.
        """
        listed = []
        for side, name in enumerate(("sources", "targets")):
            kept = tables.frequent((pair[side] for pair in pairs), CUTS[unit], minimum, largest)
            if not kept:
                raise InputError(f"no {unit} stands {minimum} times in the {name}; give more pairs")
            listed.append((*SPECIAL, *kept))
        targets = (target for _, target in pairs)
        spelling, capitals = learn_spelling(targets, listed[1]) if unit == "word" else ((), False)
        return cls(
            source_vocabulary=listed[0], target_vocabulary=listed[1], source_length=source_length,
            target_length=target_length, unit=unit, spelling=spelling, capitals=capitals, **columns,
        )  # fmt: skip

    def fitting(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        """Those of ``pairs`` that are not too long for ``split``."""
        return tables.fitting(pairs, CUTS[self.unit], self.source_length, self.target_length, LONGEST)

    def scored_by(self) -> dict[str, str]:
        """How BLEU and chrF are reckoned, as sacrebleu writes it; BLEU is of words."""
        return {name: how for name, how in SCORED.items() if name == "chrf" or self.unit == "word"}

    def split(self, pairs: Sequence[tuple[str, str]]) -> tables.Pairs:
        """Rows (source, previous tokens of the target, target), int64, that keep their texts.

        Raises ``InputError`` for a text that is too long; ``fitting`` leaves such pairs out.
        """
        target = {
            "unit": self.unit, "longest": LONGEST, "vocabulary": list(self.target_vocabulary),
            "unknown": UNKNOWN, "after": [END],
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
        return tables.Pairs(tuple(torch.from_numpy(column) for column in columns), tuple(pairs))

    def experiment(self, data: Data, seed: int) -> "Experiment":
        """The recipe's settings, with a length that suits the number of pairs."""
        from fathom.architectures.recurrent.seq2seq import Config
        from fathom.training import AdamW, OneCycle

        return self.planned(
            Config(**self.vocabularies), data, seed, optimizer=AdamW(learning_rate=2e-3), schedule=OneCycle()
        )

    @staticmethod
    def fixed_by(model: Any) -> dict[str, Any]:
        """What a model that was chosen decides about the task: nothing."""
        return {}

    def proposed(self, model: Any, data: Data, seed: int) -> "Experiment":
        """A Transformer that was chosen, of sizes ``model``, with the settings of `transformer_multi30k`."""
        from fathom.training import Adam, WarmupCosine

        sized = replace(model, **self.vocabularies, places=max(self.source_length, self.target_length))
        optimizer = Adam(learning_rate=2e-3, betas=(0.9, 0.98))
        return self.planned(sized, data, seed, optimizer=optimizer, schedule=WarmupCosine(warmup=0.1))

    @property
    def vocabularies(self) -> dict[str, Any]:
        """How many tokens a model must know on either side."""
        both = ("source_vocabulary", "target_vocabulary")
        return {name: len(getattr(self, name)) for name in both}

    def planned(self, model: Any, data: Data, seed: int, **learning: Any) -> "Experiment":
        """What a run on pairs of one's own has in common, whatever learns and however."""
        from fathom.training import Experiment, GradientDescent, NextToken

        batch = max(8, min(64, len(data.train) // 16))
        return Experiment(
            model=model,
            data=InMemory(data),
            task=self,
            learning=GradientDescent(objective=NextToken(), clip_norm=1.0, **learning),
            batch_size=batch,
            steps=max(1500, 12 * len(data.train) // batch),
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
                "operation": "tokens", "input": "source", "field": self.source, "unit": self.unit,
                "longest": LONGEST, "vocabulary": list(self.source_vocabulary), "unknown": UNKNOWN,
                "after": [END], "length": self.source_length, "padding": PADDING,
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
        return [
            {
                "text": self.spelled(row),
                "tokens": len(row),
                "unknown": int((given == UNKNOWN).sum()),
                "cut": int(given[-1]) not in (PADDING, END),
            }
            for row, given in zip(self.write_all(network, source), source, strict=True)
        ]

    def write_all(self, network: Network, source: np.ndarray) -> list[list[int]]:
        """The tokens that are written of each row."""
        return [row for k in range(0, len(source), ROWS) for row in self.write(network, source[k : k + ROWS])]

    def write(self, network: Network, source: np.ndarray) -> list[list[int]]:
        """The best text of each row that ``beams`` of them find; tokens without meaning are never written.

        A system of the catalogue is not shown the places that are still to be filled, since it does not look
        at them; a network behind ONNX takes a fixed number.
        """
        growing = hasattr(getattr(network, "model", None), "cfg")

        def score(written: Tensor, row: Tensor, parent: Tensor) -> Tensor:
            length = written.shape[1]
            previous = np.full((len(written), length if growing else self.target_length), PADDING)
            previous[:, :length] = written.numpy()
            made = network({"source": source[row.numpy()], "previous": previous})
            logits = torch.from_numpy(made["logits"][:, length - 1]).double()
            logits[:, [PADDING, START, UNKNOWN]] = -torch.inf
            try:
                return checked_logits(logits).log_softmax(dim=-1)
            except ValueError as error:
                raise RunError(str(error)) from error

        found = beam_search(
            score, start=START, end=END, beams=self.beams, longest=self.target_length, rows=len(source),
            alpha=self.length_penalty,
        )  # fmt: skip
        return [list(texts[0].tokens) for texts in found]

    def text(self, numbers: Sequence[int], vocabulary: Sequence[str]) -> str:
        """Tokens as a text: words with spaces between, or characters."""
        return (" " if self.unit == "word" else "").join(vocabulary[n] for n in numbers)

    def spelled(self, numbers: Sequence[int]) -> str:
        """Tokens of the target as a person would write them."""
        if not self.spelling:
            return self.text(numbers, self.target_vocabulary)
        return spell(numbers, self.spelling, self.capitals)

    def examples(self) -> list[Any]:
        known = self.source_vocabulary[len(SPECIAL) :]
        texts = [known[0], known[-1], known[0] + (" " if self.unit == "word" else "") + known[-1], ""]
        return [*texts, self.text(range(4, 5), self.source_vocabulary) * 3]

    def page(self) -> str:
        field = escape(self.source)
        return f'<text-input field="{field}"></text-input><text-output field="text"></text-output>'

    # -- how good ------------------------------------------------------------------------------------
    def evaluate(self, network: Network, split: Any) -> Evaluation:
        """``loss``, nats a token given the true ones before it, and ``accuracy``, the share guessed right.

        Words of the target that are not in the vocabulary count as the one token that stands for them. And
        every row is written out freely: ``exact`` is the share of those that are as expected, token for
        token. Items are rows. ``bleu`` (of words) and ``chrf``, in [0, 100], are of all rows together and so
        have no items: what is written, spelled as a text, against the targets as they were given, where the
        split keeps these (``data.pairs``). ``SCORED`` says how.
        """
        found = self.told_the_truth(network, split)
        source, _, target = split.rows(torch.arange(len(split)))
        rows = self.write_all(network, source.numpy())
        written = [self.text(row, self.target_vocabulary) for row in rows]
        wanted = [self.shown(row, self.target_vocabulary) for row in target.tolist()]
        found.items["exact"] = np.array([a == b for a, b in zip(written, wanted, strict=True)], np.float64)
        found.metrics["exact"] = float(found.items["exact"].mean())
        found.detail.update(
            asked=[self.shown(row, self.source_vocabulary) for row in source.tolist()],
            wanted=wanted,
            written=written,
            spelled=[self.spelled(row) for row in rows],
            references=tables.references(split),
            lengths=(source != PADDING).sum(dim=1).numpy(),
            alignments=self.alignments(network, source[:ALIGNED]),
        )
        if (given := found.detail["references"]) is not None:
            scores = {"bleu": bleu.corpus_bleu, "chrf": chrf.corpus_chrf}
            found.metrics.update({n: scores[n](found.detail["spelled"], given) for n in self.scored_by()})
        return found

    def told_the_truth(self, network: Network, split: Any) -> Evaluation:
        """``loss`` and ``accuracy`` of each next token, given the true ones before it."""
        loss, hits, counts = guesses(network, split, ROWS)
        found = scored({"loss": loss, "accuracy": hits}, counts)
        found.detail["right"] = row_sums(hits, counts) / counts
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
        (known, _), (unseen, sizes) = chained(data.train, END), chained(data.valid, END)
        made: dict[str, Evaluation] = {}
        for order, name in enumerate(("unigram", "bigram")):
            likely = Counts(known, len(self.target_vocabulary), order).probability(unseen)
            made[f"{name} counts of the target"] = scored({"loss": -np.log(likely)}, sizes)
        return made

    def sections(self, evaluation: Evaluation, split: Any) -> "list[Section]":
        from fathom.report.written_texts import sections

        return sections(evaluation, self.scored_by())


TASK = SequenceToSequence
