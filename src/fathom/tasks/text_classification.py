"""Text classification: a sentence or a paragraph in, one label of a fixed set out."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from fathom.data import rows
from fathom.data.columns import missing
from fathom.data.sheets import Sheet, open_sheet, sample_sheet
from fathom.data.split import Data, InMemory, Tensors
from fathom.deployment import longer_texts
from fathom.deployment.json_values import brief
from fathom.deployment.preprocessing import OPERATIONS, words
from fathom.errors import InputError, RunError, unknown
from fathom.report.class_maps import surest
from fathom.report.classes import class_sections, majority, score_classes, worst
from fathom.task import Arrays, Evaluation, Network, Options, Port, Sighting, one_shot, over_split

if TYPE_CHECKING:
    from fathom.report.page import Section
    from fathom.training.experiment import Experiment

PADDING = 0
SPECIAL = ("<padding>", "<unknown>")
FRAMED = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")  # marks of a vocabulary of word pieces
UNITS = ("word", "character", "piece")
LARGEST = 30_000  # words, or characters, of a vocabulary
LONGEST = 256  # of them that are read of a text
PIECES = 4000  # of a vocabulary that is learned of texts
RAREST = 2  # what stands in fewer training texts than this is unknown
EXPLAINED = 4  # errors, and as many right answers, of which the report shows what each token adds


@dataclass(frozen=True, kw_only=True)
class TextClassification:
    """Labels by name, the words that are known, and how many of them are read of a text.

    ``vocabulary`` begins with padding and the unknown word; it is made of training texts only. With ``unit``
    "character" it holds single characters as they are written, and so a text is read. With "piece" it is one
    of word pieces, which weights bring along: it begins with [PAD], and a text is framed by [CLS] and [SEP].
    Pieces that are ``cased`` keep capitals and accents.
    """

    labels: tuple[str, ...]
    vocabulary: tuple[str, ...]
    length: int
    text: str = "text"  # the columns of a table of such texts
    target: str = "label"
    unit: str = "word"
    cased: bool = False

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise ValueError(f"unit is {self.unit!r}; it must be one of {', '.join(map(repr, UNITS))}")
        if len(self.labels) < 2:
            raise ValueError(f"labels has {len(self.labels)} classes; a classifier needs at least two")
        framed = self.unit == "piece"
        front = FRAMED[:1] if framed else SPECIAL
        if tuple(self.vocabulary[: len(front)]) != front or len(self.vocabulary) < 3:
            raise ValueError(
                f"vocabulary begins with {self.vocabulary[:2]}; it begins with {', '.join(front)}, then"
                f" {self.unit}s"
            )
        absent = [mark for mark in FRAMED if framed and mark not in self.vocabulary]
        if absent:
            raise ValueError(f"vocabulary has no {', '.join(absent)}; word pieces need {', '.join(FRAMED)}")
        if self.length < (3 if framed else 1):
            raise ValueError(f"length is {self.length}; it must be {3 if framed else 1} or more")

    @classmethod
    def fitted(
        cls, labels: tuple[str, ...], texts: Sequence[str], unit: str = "word", **columns: Any
    ) -> "TextClassification":
        """With the words of ``texts``, which are training texts, the most frequent first."""
        read = [list(text) if unit == "character" else words(text) for text in texts]
        seen = Counter(word for parts in read for word in set(parts))
        known = [w for w, n in sorted(seen.items(), key=lambda p: (-p[1], p[0])) if n >= RAREST][:LARGEST]
        if not known:
            raise InputError(
                f"no {unit} occurs in two texts; give more texts, or choose another column with --text"
            )
        length = int(np.quantile([len(parts) for parts in read], 0.995))
        length = max(4, min(LONGEST, length))
        return cls(labels=labels, vocabulary=(*SPECIAL, *known), length=length, unit=unit, **columns)

    @classmethod
    def suited(
        cls, labels: tuple[str, ...], texts: Sequence[str], fixed: Mapping[str, Any], **columns: str
    ) -> "TextClassification":
        """By the settings ``fixed``, as weights or a model know texts; what they leave open ``texts`` tell.

        Those are the length and, of word pieces, the vocabulary. Raises ``InputError`` for texts with more
        different signs than ``PIECES``.
        """
        if fixed.get("unit") == "piece" and "vocabulary" not in fixed:
            fixed = {**fixed, "vocabulary": learned_pieces(texts)}
        longest = cls(labels=labels, **{"length": LONGEST, **fixed, **columns})
        if "length" in fixed:
            return longest
        counts = (longest.encode(texts) != PADDING).sum(dim=1).float()
        return replace(longest, length=max(4, min(LONGEST, int(counts.quantile(0.995)))))

    @property
    def gap(self) -> str:
        """What stands between two words, and between two characters nothing."""
        return "" if self.unit == "character" else " "

    @property
    def frame(self) -> int:
        """How many marks stand around a text."""
        return 2 if self.unit == "piece" else 0

    @property
    def unknown(self) -> int:
        """The number of what is not in the vocabulary."""
        return self.vocabulary.index(FRAMED[1] if self.unit == "piece" else SPECIAL[1])

    def encode(self, texts: Iterable[str]) -> Tensor:
        """int64 (n, length): what ``preprocessing`` makes of each text."""
        settings = self.preprocessing()[0]
        made = [OPERATIONS[settings["operation"]](text, settings) for text in texts]
        return torch.from_numpy(np.stack(made) if made else np.zeros((0, self.length), np.int64))

    # -- its own data ---------------------------------------------------------------------------
    @staticmethod
    def recognise(path: Path, options: Options) -> Sighting | None:
        sheet = sample_sheet(path, options)
        if sheet is None:
            return None
        found = [n for n, kind in sheet.kinds.items() if kind == "text" and n != options.target]
        if options.text is not None:
            return Sighting(1.0, (*sheet.saw, f"column {options.text!r} is read as text, as asked"))
        if not found:
            return None
        others = [n for n, kind in sheet.kinds.items() if kind in ("numeric", "category")]
        said = f"column {found[0]!r} holds texts (choose another with --text)"
        return Sighting(0.9 if len(others) <= 2 else 0.5, (*sheet.saw, said))

    @classmethod
    def read(cls, path: Path, options: Options) -> tuple["TextClassification", Data]:
        sheet = open_sheet(path, options)
        text = text_column(sheet, options)
        target = target_column(sheet, options, text)
        sheet = rows.complete(sheet, Options(target=target, skip_bad=options.skip_bad, seed=options.seed))
        texts = read_texts(sheet, text)
        labels, wanted = rows.labels(sheet.cells[target], target)
        split = rows.parts(sheet, options.seed, wanted.tolist())
        known = [texts[i] for i in split["train"].tolist()]
        names, fixed = {"text": text, "target": target}, options.fixed
        task = cls.suited(labels, known, fixed, **names) if fixed else cls.fitted(labels, known, **names)
        encoded = task.encode(texts)
        made = {name: Tensors((encoded[index], wanted[index])) for name, index in split.items()}
        facts = {**sheet.facts, "text": text, "target": target, **{n: len(s) for n, s in made.items()}}
        return task, Data(made["train"], made.get("valid"), made.get("test"), facts)

    def read_labelled(self, path: Path, options: Options) -> Data:
        goal = rows.read_like(path, options, self.target)
        text = options.text or self.text
        if text not in goal.sheet.cells:
            raise unknown("column", text, goal.sheet.cells)
        _, wanted = rows.labels(goal.wanted, self.target, self.labels)
        split = Tensors((self.encode(read_texts(goal.sheet, text)), wanted))
        return Data(train=split, test=split, facts={**goal.sheet.facts, "test": len(split)})

    def experiment(self, data: Data, seed: int) -> "Experiment":
        """TextCNN with the settings of `text_cnn`."""
        from fathom.applications.language.text_cnn import Config
        from fathom.training import AdamW

        model = Config(vocabulary=len(self.vocabulary), classes=len(self.labels))
        return self.planned(model, data, seed, optimizer=AdamW(learning_rate=2e-3, weight_decay=0.01))

    @staticmethod
    def fixed_by(model: Any) -> dict[str, Any]:
        """What a model that was chosen decides about the task: a Transformer reads framed word pieces."""
        return {"unit": "piece"} if places(model) else {}

    def proposed(self, model: Any, data: Data, seed: int) -> "Experiment":
        """A model that was chosen, of sizes ``model``, with the settings of `text_lstm` or `bert_reviews`."""
        from fathom.training import AdamW

        sizes = {"context": self.length} if places(model) else {}
        sized = replace(model, vocabulary=len(self.vocabulary), classes=len(self.labels), **sizes)
        optimizer = AdamW(learning_rate=1e-3 if places(model) else 2e-3, weight_decay=0.01)
        return self.planned(sized, data, seed, optimizer=optimizer, clip_norm=1.0)

    def planned(self, model: Any, data: Data, seed: int, **learning: Any) -> "Experiment":
        """What a run on texts of one's own has in common, whatever learns and however."""
        from fathom.training import CrossEntropy, Experiment, GradientDescent, WarmupCosine

        count = len(data.train)
        batch = max(8, min(64, count // 16))
        return Experiment(
            model=model,
            data=InMemory(data),
            task=self,
            learning=GradientDescent(objective=CrossEntropy(), schedule=WarmupCosine(warmup=0.1), **learning),
            batch_size=batch,
            steps=max(300, min(10 * count // batch, 20_000)),
            seed=seed,
        )

    # -- the network's boundary -------------------------------------------------------------------
    def inputs(self) -> tuple[Port, ...]:
        return (Port("tokens", "int64", ("batch", self.length)),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("probabilities", "float32", ("batch", len(self.labels))),)

    def preprocessing(self) -> list[dict[str, Any]]:
        read = {"input": "tokens", "field": self.text}
        known = {"vocabulary": list(self.vocabulary), "length": self.length}
        if self.unit == "piece":
            made = {"operation": "word_pieces", **read, **known, **({"cased": True} if self.cased else {})}
        else:
            unknown = {"unit": self.unit, "unknown": self.unknown, "padding": PADDING}
            made = {"operation": "tokens", **read, **known, **unknown}
        return [made, longer_texts.beyond(made, self.frame)]

    def prepare(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return inputs

    def finish(self, output: Tensor) -> tuple[Tensor, ...]:
        return (output.float().softmax(dim=-1),)

    # -- answers -------------------------------------------------------------------------------------
    def respond(self, network: Network, items: Sequence[Arrays]) -> list[dict[str, Any]]:
        """For each text what ``answer`` says. Raises ``RunError`` where the network gives no numbers."""
        return one_shot(lambda arrays: network(arrays) | arrays, items, self.answer)

    def answer(self, read: Arrays) -> dict[str, Any]:
        """The surest label, the probability of each, and what was left out of a long text."""
        shares = read["probabilities"]
        if not np.isfinite(shares).all():
            raise RunError(
                f"{self.decode(read['tokens'])[:60]!r} has the probabilities {brief(shares.tolist())}; they"
                " must be numbers. The model has overflowed or its weights are damaged: try float32, or an"
                " earlier checkpoint"
            )
        named = {label: float(p) for label, p in zip(self.labels, shares, strict=True)}
        cut = longer_texts.cut(read, self.length, self.unit, padding=PADDING, frame=self.frame)
        return {"label": self.labels[int(shares.argmax())], "probabilities": named, **cut}

    def examples(self) -> list[Any]:
        plain = [word for word in self.vocabulary[:5000] if word not in FRAMED + SPECIAL]
        some = self.gap.join([w for w in plain if not w.startswith(("##", "[unused"))][:8])
        return [{self.text: text} for text in (some, "", "never seen: 8!", (some + self.gap) * self.length)]

    def page(self) -> str:
        return f'<text-input field="{escape(self.text)}"></text-input><label-output></label-output>'

    # -- how good ------------------------------------------------------------------------------------
    def evaluate(self, network: Network, split: Any) -> Evaluation:
        outputs, targets = over_split(network, self, split)
        made = score_classes(outputs["probabilities"], np.concatenate(targets), self.labels)
        made.detail["network"] = network
        return made

    def baselines(self, data: Data) -> dict[str, Evaluation]:
        """The most frequent class, and naive Bayes over words, or characters, and pairs of them."""
        from fathom.data.baselines import NaiveBayes

        assert data.valid is not None
        (known, classes), (unseen, truth) = rows.arrays(data.train), rows.arrays(data.valid)
        bayes = NaiveBayes(map(shown, known), classes.tolist(), len(self.labels))
        shares = np.stack([bayes.probabilities(shown(text)) for text in unseen])
        return {
            "most frequent class": majority(classes, truth, self.labels),
            f"naive Bayes, {self.unit}s and pairs": score_classes(shares, truth, self.labels),
        }

    def sections(self, evaluation: Evaluation, split: Any) -> "list[Section]":
        from fathom.report.text_slices import slice_sections

        given, _ = rows.arrays(split)
        texts = [self.tokens(row) for row in given]
        return [
            *class_sections(evaluation, self.labels),
            *slice_sections(
                evaluation.items["accuracy"], [self.joined(text) for text in texts], list(map(len, texts)),
                f"{self.unit}s",
            ),
            *self.errors(evaluation, given),
            *self.explained(evaluation, given),
        ]  # fmt: skip

    def errors(self, evaluation: Evaluation, given: np.ndarray) -> "list[Section]":
        """The worst of them, as the network reads them."""
        from fathom.report.blocks import Table
        from fathom.report.page import Section

        shares, truth = evaluation.detail["probabilities"], evaluation.detail["labels"]
        body = []
        for i in worst(evaluation, 20):
            guess = int(shares[i].argmax())
            said = f"{self.labels[guess]} ({shares[i][guess]:.0%})"
            body.append([self.decode(given[i]), self.labels[int(truth[i])], said])
        caption = "Wrong predictions, the most confident first, as the network reads them."
        table = Table(("text", "true", "predicted"), body, caption)
        return [Section("Worst errors", [table])] if body else []

    def explained(self, evaluation: Evaluation, given: np.ndarray) -> "list[Section]":
        """What each token adds in some texts; empty where the network is not at hand."""
        from fathom.report.occlusion import Answered, occlusion_sections

        network = evaluation.detail.get("network")
        if network is None:
            return []
        shares, truth = evaluation.detail["probabilities"], evaluation.detail["labels"]
        chosen = []
        for i in [*worst(evaluation, EXPLAINED), *surest(shares, truth, EXPLAINED)]:
            said, true = self.labels[int(shares[i].argmax())], self.labels[int(truth[i])]
            title = f"said {said}, rightly" if said == true else f"said {said}, is {true}"
            chosen.append(Answered(given[i], self.tokens(given[i]), int(shares[i].argmax()), title))

        def ask(texts: np.ndarray) -> np.ndarray:
            return network({"tokens": texts})["probabilities"]

        return occlusion_sections(ask, chosen, self.unknown, self.gap)

    def tokens(self, numbers: np.ndarray) -> dict[int, str]:
        """Those of a text by their place, without padding and frame; one that is not known shows as [?]."""
        unknown, frame = self.unknown, FRAMED if self.unit == "piece" else ()
        named = {
            place: "[?]" if n == unknown else self.vocabulary[n]
            for place, n in enumerate(numbers.tolist())
            if n != PADDING
        }
        return {place: token for place, token in named.items() if token not in frame}

    def joined(self, tokens: Mapping[int, str]) -> str:
        """Tokens as running text."""
        return self.gap.join(tokens.values()).replace(" ##", "")

    def decode(self, numbers: np.ndarray) -> str:
        """The words that ``numbers`` stand for; one that is not known shows as [?]."""
        return self.joined(self.tokens(numbers))


def places(model: Any) -> bool:
    """Whether a model tells places apart, as far as a context reaches: a Transformer's sizes say so."""
    return hasattr(model, "context")


def learned_pieces(texts: Sequence[str]) -> tuple[str, ...]:
    """``PIECES`` word pieces of training texts, or fewer."""
    from fathom.fundamentals.tokenizers.word_piece import train_word_pieces

    try:
        return train_word_pieces(texts, PIECES).vocabulary
    except ValueError as error:
        raise InputError(f"no word pieces can be learned of these texts: {error}") from None


def shown(numbers: np.ndarray) -> list[int]:
    """The numbers of a text without its padding."""
    return [n for n in numbers.tolist() if n != PADDING]


def escape(text: str) -> str:
    """``text`` inside a quoted attribute of HTML."""
    import html

    return html.escape(text, quote=True)


def text_column(sheet: Sheet, options: Options) -> str:
    """The column that holds texts: as asked, or the one that looks most like it."""
    if options.text is not None:
        if options.text not in sheet.cells:
            raise unknown("column", options.text, sheet.cells)
        return options.text
    found = [n for n, kind in sheet.kinds.items() if kind == "text" and n != options.target]
    if not found:
        raise InputError(
            f"{sheet.path}: no column holds texts; name one with --text: {', '.join(sheet.cells)}"
        )
    return found[0]


def target_column(sheet: Sheet, options: Options, text: str) -> str:
    """The column that holds labels, which is not the text itself."""
    target, _ = rows.find_target(sheet.leaving(text), options)
    if target not in sheet.cells or target == text:
        raise unknown("column of labels", target, [n for n in sheet.cells if n != text])
    return target


def read_texts(sheet: Sheet, name: str) -> list[str]:
    """The texts of a column; a missing one is empty."""
    return ["" if missing(cell) else str(cell) for cell in sheet.cells[name]]


TASK = TextClassification
