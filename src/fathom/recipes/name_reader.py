"""Recipes for the name reader: which of 18 languages a surname comes from."""

from dataclasses import dataclass, replace
from functools import lru_cache

import torch

from fathom.architectures.recurrent import name_reader as system
from fathom.data.split import Data, Tensors
from fathom.tasks.text_classification import TextClassification
from fathom.training import AdamW, CrossEntropy, Expect, Experiment, GradientDescent, OneCycle
from fathom.training.randomness import permutation


@dataclass(frozen=True, kw_only=True)
class Surnames:
    """18,012 surnames of 18 languages, each once for a language: a tenth for testing, a tenth for validation.

    The files hold 20,050 lines; 1,892 of those that go are Arabic, 108 names over and over. A name that
    stands under several languages is in one part with all of them: no name that is asked for was seen.
    """

    seed: int = 0

    def load(self) -> Data:
        return prepared(self)[1]

    def task(self) -> TextClassification:
        return prepared(self)[0]


@lru_cache(maxsize=2)
def prepared(config: Surnames) -> tuple[TextClassification, Data]:
    """The task, whose letters are those of training names alone, and the splits; read once."""
    from fathom.data.sets import surnames

    found = surnames.read()
    pairs = list(dict.fromkeys(zip(found.names, found.languages, strict=True)))
    names = list(dict.fromkeys(name for name, _ in pairs))
    order = permutation(len(names), config.seed, 0).tolist()
    tenth = len(names) // 10
    part = dict.fromkeys(names, "train")
    part |= {names[i]: "test" for i in order[:tenth]} | {names[i]: "valid" for i in order[tenth : 2 * tenth]}
    listed = {which: [p for p in pairs if part[p[0]] == which] for which in ("train", "valid", "test")}
    task = TextClassification.fitted(
        found.labels, [name for name, _ in listed["train"]], unit="character", text="name", target="language"
    )
    splits = {
        which: Tensors((task.encode(name for name, _ in rows), torch.tensor([label for _, label in rows])))
        for which, rows in listed.items()
    }
    facts = {"source": "surnames", **{which: len(split) for which, split in splits.items()}}
    return task, Data(splits["train"], splits["valid"], splits["test"], facts)


def name_reader(model: system.Config | None = None) -> Experiment:
    """Two bidirectional GRU layers read surnames of 18 languages letter by letter: 13 epochs."""
    data = Surnames()
    task = data.task()
    sizes = {"vocabulary": len(task.vocabulary), "classes": len(task.labels)}
    return Experiment(
        model=replace(model or system.Config(cell="gru", layers=2, dropout=0.4), **sizes),
        data=data,
        task=task,
        learning=GradientDescent(
            objective=CrossEntropy(),
            optimizer=AdamW(learning_rate=5e-3, weight_decay=0.01),
            schedule=OneCycle(),
            clip_norm=1.0,
        ),
        batch_size=128,
        steps=1500,
        expect=(Expect(metric="test/accuracy", at_least=0.80, seeds=3, minutes=5),),
    )
