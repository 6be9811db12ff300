"""Recipes for sequence to sequence: captions from English into German, and dates as people write them."""

from dataclasses import dataclass, replace
from functools import lru_cache

from fathom.architectures.recurrent import seq2seq as system
from fathom.data.split import Data
from fathom.tasks.sequence_to_sequence import SequenceToSequence
from fathom.training import AdamW, Expect, Experiment, GradientDescent, NextToken, OneCycle

SIGNS = 2  # places for signs beside the words: a full stop, and a comma or hyphen


@dataclass(frozen=True, kw_only=True)
class Captions:
    """Pairs of Multi30k whose sentences have at most ``longest`` words each, in its own splits.

    Words that occur fewer than ``minimum`` times among the training sentences are unknown. BLEU and chrF are
    against the German sentences as they stand in the set, with their capitals and rare words; the facts say
    how (``scored``), so that a record can be compared with others of these sentences, and with none of all.
    """

    source: str = "en"
    target: str = "de"
    longest: int = 10
    minimum: int = 2

    def __post_init__(self) -> None:
        for name in ("longest", "minimum"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")

    def load(self) -> Data:
        return prepared(self)[1]

    def task(self) -> SequenceToSequence:
        return prepared(self)[0]

    def short(self, pair: tuple[str, str]) -> bool:
        """Whether both sentences are short enough."""
        from fathom.deployment.preprocessing import words

        sides = [words(text) for text in pair]
        spoken = (sum(word.isalnum() for word in side) for side in sides)
        return max(map(len, sides)) <= self.longest + SIGNS and max(spoken) <= self.longest


@lru_cache(maxsize=2)
def prepared(config: Captions) -> tuple[SequenceToSequence, Data]:
    """The task, whose vocabularies are made of training sentences alone, and the splits; read once."""
    from fathom.data.sets import multi30k

    found = multi30k.read(config.source, config.target)
    pairs = {n: [p for p in getattr(found, n) if config.short(p)] for n in ("train", "valid", "test")}
    length = config.longest + SIGNS + 1  # and the end
    task = SequenceToSequence.fitted(
        pairs["train"], source_length=length, target_length=length, minimum=config.minimum
    )
    splits = {name: task.split(listed) for name, listed in pairs.items()}
    facts = {"source": "multi30k", "languages": [config.source, config.target]}
    facts |= {
        "longest": config.longest,
        "scored": task.scored_by(),
        **{name: len(split) for name, split in splits.items()},
    }
    return task, Data(splits["train"], splits["valid"], splits["test"], facts)


def seq2seq_multi30k(model: system.Config | None = None) -> Experiment:
    """Translates captions of up to ten words from English into German, with attention and four beams."""
    data = Captions()
    task = replace(data.task(), beams=4, length_penalty=0.6)
    sizes = {
        "source_vocabulary": len(task.source_vocabulary),
        "target_vocabulary": len(task.target_vocabulary),
    }
    return Experiment(
        model=replace(model or system.Config(), **sizes),
        data=data,
        task=task,
        learning=GradientDescent(
            objective=NextToken(),
            optimizer=AdamW(learning_rate=3e-3, weight_decay=0.01),
            schedule=OneCycle(),
            clip_norm=1.0,
        ),
        batch_size=64,
        steps=1200,
        expect=(Expect(metric="test/bleu", at_least=25.0, minutes=6),),
    )


@dataclass(frozen=True, kw_only=True)
class Dates:
    """Drawn dates, each on a day of its own: what is asked was learned in no way of writing it."""

    learned: int = 24_000
    held_out: int = 1000  # for choosing settings, and as many for testing
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("learned", "held_out"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")

    def load(self) -> Data:
        return drawn(self)[1]

    def task(self) -> SequenceToSequence:
        return drawn(self)[0]


@lru_cache(maxsize=2)
def drawn(config: Dates) -> tuple[SequenceToSequence, Data]:
    """The task, whose characters are those of training dates, and the splits; drawn once."""
    from fathom.data.written_dates import LONGEST, draw

    counts = {"train": config.learned, "valid": config.held_out, "test": config.held_out}
    pairs = draw(counts, config.seed)
    task = SequenceToSequence.fitted(
        pairs["train"], source_length=LONGEST + 1, target_length=len("1998-03-03") + 1, unit="character"
    )
    splits = {name: task.split(listed) for name, listed in pairs.items()}
    facts = {"source": "drawn dates", "scored": task.scored_by(), **counts}
    return task, Data(splits["train"], splits["valid"], splits["test"], facts)


def dates(model: system.Config | None = None) -> Experiment:
    """Reads dates as people write them, in twenty ways, and writes them as ISO 8601, with attention."""
    data = Dates()
    task = data.task()
    sizes = {
        "source_vocabulary": len(task.source_vocabulary),
        "target_vocabulary": len(task.target_vocabulary),
    }
    return Experiment(
        model=replace(model or system.Config(embedding=32, width=128, dropout=0.1), **sizes),
        data=data,
        task=task,
        learning=GradientDescent(
            objective=NextToken(),
            optimizer=AdamW(learning_rate=4e-3, weight_decay=0.01),
            schedule=OneCycle(),
            clip_norm=1.0,
        ),
        batch_size=64,
        steps=1500,
        expect=(Expect(metric="test/exact", at_least=0.99, seeds=3, minutes=5),),
    )
