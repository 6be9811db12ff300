"""Language modelling: what has been written so far in, the next character out, again and again.

The network at the boundary makes one step: a character and the state in, scores of the next character
and the new state out. Everything that takes more than one step - generating, scoring a text - is here.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from fathom.data.split import Data, InMemory
from fathom.data.windows import Counts, Windows, encode, parts, read_text, running_text
from fathom.deployment.preprocessing import apply
from fathom.deployment.writing import Wish, Writer, operations
from fathom.errors import InputError
from fathom.report.blocks import Block, Code, Table
from fathom.report.page import Section
from fathom.task import Arrays, Evaluation, Network, Options, Port, Sighting
from fathom.training.objectives import IGNORE
from fathom.training.randomness import key

if TYPE_CHECKING:
    from fathom.training.experiment import Experiment

SHORTEST = 2_000  # characters of text that are enough to begin with
WINDOW = 128  # characters that gradients flow back through
LEAD = 128  # characters read before the first that is scored, where a text is scored in several lanes
LANE = 256  # characters that a lane scores at least
LANES = 256  # at most


@dataclass(frozen=True, kw_only=True)
class LanguageModelling:
    """Text of the characters in ``vocabulary``; ``states`` names what the network carries, with shapes."""

    vocabulary: tuple[str, ...]
    states: tuple[tuple[str, tuple[int, ...]], ...]

    def __post_init__(self) -> None:
        if len(self.vocabulary) < 2 or len(set(self.vocabulary)) < len(self.vocabulary):
            raise ValueError(
                f"vocabulary has {len(self.vocabulary)} characters, {len(set(self.vocabulary))} of them"
                " different; it must have two or more, each once"
            )
        if any(size < 1 for _, shape in self.states for size in shape):
            raise ValueError(f"states has shapes {[s for _, s in self.states]}; sizes must be 1 or more")

    # -- its own data ---------------------------------------------------------------------------
    @staticmethod
    def recognise(path: Path, options: Options) -> Sighting | None:
        """A .txt file, or a folder with .txt files and no folders of such (those would be labels)."""
        if options.target or options.text:
            return None
        if path.is_file() and path.suffix.lower() == ".txt":
            size = path.stat().st_size
            return Sighting(0.7, (f"a text file of {size:,} bytes: learns to go on writing in its manner",))
        if not path.is_dir():
            return None
        files = [f for f in path.iterdir() if f.suffix.lower() == ".txt" and f.is_file()]
        if not files or any(path.glob("*/*.txt")):
            return None
        return Sighting(0.7, (f"{len(files)} text files: learns to go on writing in their manner",))

    @classmethod
    def read(cls, path: Path, options: Options) -> tuple["LanguageModelling", Data]:
        """The first 90 % of the text to learn from, 5 % to choose by and 5 % to be scored on."""
        from fathom.architectures.recurrent.char_lstm import Config

        text, facts = read_text(path, options.skip_bad)
        if len(text) < SHORTEST:
            raise InputError(
                f"{path} holds {len(text):,} characters; give at least {SHORTEST:,} to learn writing from"
            )
        vocabulary = tuple(sorted(set(text)))
        if len(vocabulary) < 2:
            raise InputError(f"{path} holds only the character {text[0]!r}; there is nothing to learn")
        width = 128 if len(text) < 300_000 else 256
        own = Config(vocabulary=len(vocabulary), width=width).states
        task = cls(vocabulary=vocabulary, states=options.fixed.get("states", own))
        return task, parts(encode(text, vocabulary), WINDOW, WINDOW // 4, facts)

    def read_labelled(self, path: Path, options: Options) -> Data:
        """Another text in the same characters; ``skip_bad`` leaves others out, and counts them."""
        text, facts = read_text(path, options.skip_bad)
        strange = sorted(set(text) - set(self.vocabulary))
        if strange and not options.skip_bad:
            raise InputError(
                f"{path} holds characters that the model never saw: {' '.join(map(repr, strange[:10]))};"
                " leave them out with --skip-bad"
            )
        kept = "".join(c for c in text if c in self.vocabulary) if strange else text
        if len(kept) < 2:
            raise InputError(f"{path} holds {len(kept)} characters that the model knows; give a longer text")
        split = Windows(encode(kept, self.vocabulary), length=WINDOW)
        return Data(train=split, test=split, facts={**facts, "skipped": len(text) - len(kept)})

    def experiment(self, data: Data, seed: int) -> "Experiment":
        """A one-layer LSTM of the width that ``read`` chose by the length of the text."""
        from fathom.architectures.recurrent.char_lstm import Config
        from fathom.training import AdamW, OneCycle

        model = Config(vocabulary=len(self.vocabulary), width=dict(self.states)["state_c"][1], dropout=0.2)
        return self.planned(model, data, seed, optimizer=AdamW(learning_rate=5e-3), schedule=OneCycle())

    @staticmethod
    def fixed_by(model: Any) -> dict[str, Any]:
        """What a model that was chosen decides about the task: what is carried from token to token."""
        return {"states": model.states}

    def proposed(self, model: Any, data: Data, seed: int) -> "Experiment":
        """A Transformer that was chosen, of sizes ``model``, with the settings of `gpt_shakespeare`."""
        from fathom.training import AdamW, WarmupCosine

        sized = replace(model, vocabulary=len(self.vocabulary))
        optimizer = AdamW(learning_rate=3e-3, betas=(0.9, 0.99), weight_decay=0.1)
        return self.planned(sized, data, seed, optimizer=optimizer, schedule=WarmupCosine())

    def planned(self, model: Any, data: Data, seed: int, **learning: Any) -> "Experiment":
        """What a run on a text of one's own has in common, whatever learns and however."""
        from fathom.training import Experiment, GradientDescent, NextToken

        batch, steps = course(data)
        return Experiment(
            model=model,
            data=InMemory(data),
            task=self,
            learning=GradientDescent(objective=NextToken(), clip_norm=1.0, **learning),
            batch_size=batch,
            steps=steps,
            evaluate_every=max(100, steps // 10),
            keep="best",
            seed=seed,
        )

    # -- the network's boundary -------------------------------------------------------------------
    def inputs(self) -> tuple[Port, ...]:
        states = (Port(name, "float32", ("batch", *shape)) for name, shape in self.states)
        return (Port("token", "int64", ("batch",)), *states)

    def outputs(self) -> tuple[Port, ...]:
        states = (Port(f"next_{name}", "float32", ("batch", *shape)) for name, shape in self.states)
        return (Port("logits", "float32", ("batch", len(self.vocabulary))), *states)

    def preprocessing(self) -> list[dict[str, Any]]:
        """A wish: a prompt (a new line begins before it), and how to go on; all may be left out."""
        prompt = {"unit": "character", "vocabulary": list(self.vocabulary), "unknown": None}
        limits = {"before": [self.start], "longest": 10_000}
        return [
            {"operation": "tokens", "input": "prompt", "field": "prompt", "default": "", **prompt, **limits},
            *operations(len(self.vocabulary)),
        ]

    @property
    def start(self) -> int:
        """The character that stands before every prompt: the end of the line above."""
        return self.vocabulary.index("\n") if "\n" in self.vocabulary else 0

    def prepare(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return inputs

    def finish(self, output: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(part.float() for part in output)

    def collate(self, items: Sequence[Arrays]) -> Arrays:
        """One step for each wish: the last character of its prompt, in some state of numbers around 0.

        Which state is of no matter: the exported step must equal the trained one in all of them.
        """
        dice = np.random.Generator(np.random.Philox(key=key("state", *(int(i["seed"]) for i in items))))
        made = {name: dice.uniform(-0.9, 0.9, (len(items), *shape)) for name, shape in self.states}
        token = np.array([item["prompt"][-1] for item in items])
        return {"token": token, **{name: state.astype(np.float32) for name, state in made.items()}}

    def zeros(self, count: int) -> Arrays:
        """The states before anything is read."""
        return {name: np.zeros((count, *shape), dtype=np.float32) for name, shape in self.states}

    # -- answers -------------------------------------------------------------------------------------
    def respond(self, network: Network, items: Sequence[Arrays]) -> list[dict[str, Any]]:
        """Each prompt with what the network writes on, all in lock step: ``text`` and its new ``tokens``.

        Character k of an item is chosen by the k-th number of a stream that its own ``seed`` begins.
        """
        wishes = [Wish.of(item) for item in items]
        writer = Writer(network, self.zeros, self.vocabulary)
        texts = writer.write([item["prompt"].tolist() for item in items], wishes)
        return [
            {"text": "".join(self.vocabulary[n] for n in text[1:]), "tokens": wish.length}
            | ({"trace": writer.trace(text, wish)} if wish.trace else {})
            for text, wish in zip(texts, wishes, strict=True)
        ]

    def examples(self) -> list[Any]:
        known = [c for c in self.vocabulary if c.isalpha()] or list(self.vocabulary)
        return [
            {"prompt": known[0] * 2, "length": 40},
            {"prompt": known[-1] + known[0], "length": 40, "temperature": 0.0, "seed": 1},
            {"prompt": known[0] + known[-1], "length": 20, "temperature": 1.0, "top_k": 2, "seed": 2},
            {"prompt": "", "length": 1},
            {},
        ]

    def page(self) -> str:
        return '<text-input field="prompt"></text-input><text-output field="text"></text-output>'

    # -- how good ------------------------------------------------------------------------------------
    def evaluate(self, network: Network, split: Any) -> Evaluation:
        """Score all of the text whose consecutive windows are the rows of ``split``.

        The state is carried across windows, so a character is predicted from what stands before it, not
        from its window alone (``surprise`` says how far back). ``loss`` is in nats a character.
        """
        token, target = (part.numpy() for part in split.rows(torch.arange(len(split))))
        kept = target != IGNORE
        loss, right = surprise(network, self.zeros, token[kept], target[kept])
        found = scored({**measured(loss), "accuracy": right}, kept.sum(axis=1))
        wishes = [{"length": 400, "temperature": t, "seed": s} for s, t in enumerate((0.5, 0.8, 1.0))]
        answers = self.respond(network, [apply(self.preprocessing(), wish) for wish in wishes])
        samples = [
            (wish["temperature"], answer["text"]) for wish, answer in zip(wishes, answers, strict=True)
        ]
        found.detail.update(token=token[kept], target=target[kept], loss=loss, samples=samples)
        return found

    def baselines(self, data: Data) -> dict[str, Evaluation]:
        """Characters counted alone, after one and after two others, smoothed with shorter contexts."""
        if data.valid is None:
            return {}
        known, unseen = running_text(data.train).numpy(), running_text(data.valid).numpy()
        _, target = data.valid.rows(torch.arange(len(data.valid)))
        sizes = (target != IGNORE).sum(dim=1).numpy()
        made: dict[str, Evaluation] = {}
        for order, name in enumerate(("unigram", "bigram", "trigram")):
            likely = Counts(known, len(self.vocabulary), order).probability(unseen)
            made[f"{name} counts"] = scored(measured(-np.log(likely)), sizes)
        return made

    def sections(self, evaluation: Evaluation, split: Any) -> list[Section]:
        detail = evaluation.detail
        samples: list[Block] = [
            Code(text, f"Temperature {warmth}, seed {seed}, no prompt.")
            for seed, (warmth, text) in enumerate(detail["samples"])
        ]
        bits = evaluation.metrics["bits_per_character"]
        rows = [
            ("this model", bits, 2**bits),
            ("every character equally likely", math.log2(len(self.vocabulary)), len(self.vocabulary)),
        ]
        columns = ("", "bits a character", "as unsure as between so many")
        return [
            Section("Writing samples", samples),
            Section("Bits", [Table(columns, rows, f"Over {len(detail['loss']):,} unseen characters.")]),
            Section("Most surprising characters", [self.surprises(detail)]),
        ]

    def surprises(self, detail: dict[str, Any], count: int = 20) -> Table:
        """The characters of the text that the model thought least likely, after what they came."""
        rows = []
        for i in np.argsort(-detail["loss"], kind="stable")[:count]:
            before = "".join(self.vocabulary[t] for t in detail["token"][max(0, i - 39) : i + 1])
            character = self.vocabulary[detail["target"][i]]
            rows.append((repr(before)[1:-1], repr(character)[1:-1], f"{detail['loss'][i] / math.log(2):.1f}"))
        return Table(("after", "came", "bits"), rows, "Where the model was most wrong.")


def course(data: Data) -> tuple[int, int]:
    """Rows of a batch and steps that suit a text; a short one is read more often."""
    characters = len(running_text(data.train))
    batch = 32 if characters > 100_000 else 16
    epochs = min(40.0, 6.0 * max(1.0, 1_000_000 / characters))
    return batch, max(300, round(epochs * characters / (batch * WINDOW)))


def surprise(
    network: Network, zeros: Any, token: np.ndarray, target: np.ndarray, lanes: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """-log probability of each ``target`` (n,), and whether it was the likeliest guess.

    The text is cut into ``lanes`` that are read side by side. Each begins ``LEAD`` characters before the
    first that it scores, with a state of zeros, so every character is predicted from at least that many
    before it (or all there are), and most from many more.
    """
    count = len(token)
    lanes = lanes or min(LANES, max(1, count // LANE))
    span = math.ceil(count / lanes)
    lead = LEAD if lanes > 1 else 0
    loss, right = np.zeros(count), np.zeros(count)
    states, first = zeros(lanes), np.arange(lanes) * span - lead
    for step in range(lead + span):
        place = first + step
        made = network({"token": token[place.clip(0, count - 1)], **states})
        for name, state in states.items():  # a lane whose text has not begun stays at zero
            begun = (place >= 0).reshape(-1, *[1] * (state.ndim - 1))
            states[name] = np.where(begun, made[f"next_{name}"], 0).astype(np.float32)
        if step < lead:
            continue
        live = place < count
        logits, wanted = made["logits"][live].astype(np.float64), target[place[live]]
        top = logits.max(axis=1)
        total = np.log(np.exp(logits - top[:, None]).sum(axis=1)) + top
        loss[place[live]] = total - np.take_along_axis(logits, wanted[:, None], axis=1)[:, 0]
        right[place[live]] = logits.argmax(axis=1) == wanted
    return loss, right


def measured(loss: np.ndarray) -> dict[str, np.ndarray]:
    """The loss of each character in nats and in bits."""
    return {"loss": loss, "bits_per_character": loss / math.log(2)}


def scored(columns: dict[str, np.ndarray], sizes: np.ndarray) -> Evaluation:
    """Metrics of one value a token (``loss`` among them), with rows of ``sizes`` tokens each as items.

    Neighbouring tokens are not independent, rows nearly so: intervals are made of rows. Rows differ in
    length and the metric is a ratio of two sums, so an item is the metric and what the row adds to it: its
    sum less what its size lets expect, over the mean size. The mean of the items is the metric.
    """
    metrics = {name: float(values.mean()) for name, values in columns.items()}
    items = {
        name: mean + (row_sums(columns[name], sizes) - mean * sizes) / sizes.mean()
        for name, mean in metrics.items()
    }
    return Evaluation(metrics=metrics, headline="loss", items=items, higher_is_better=False)


def row_sums(values: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The sums of consecutive runs of ``values``, which are ``sizes`` long."""
    return np.add.reduceat(values, np.concatenate([[0], sizes.cumsum()[:-1]]).astype(np.int64))


TASK = LanguageModelling
